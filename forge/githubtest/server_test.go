package githubtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

const repo = "/repos/" + Repository

// ask sends a request and decodes the answer.
func ask(t *testing.T, s *Server, method, path, body string) (int, any, http.Header) {
	t.Helper()
	r, err := http.NewRequest(method, s.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	token := Token
	if s.Login != "" {
		token = PersonalToken
	}
	r.Header.Set("Authorization", "Bearer "+token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var value any
	if len(content) > 0 {
		if err := json.Unmarshal(content, &value); err != nil {
			t.Fatalf("%s: %s", err, content)
		}
	}
	return answer.StatusCode, value, answer.Header
}

// TestAnswersAreGitHubs walks every operation. The server itself holds each
// answer against GitHub's description, and fails the test.
func TestAnswersAreGitHubs(t *testing.T) {
	s := New(t)
	s.Login = "octocat"
	s.AddPull("abc", Pull{Number: 7, State: "open", HeadSHA: "abc"})
	s.AddComment(7, User{Login: "hubot", Type: "Bot"}, "hello")
	s.Permissions = map[string]string{"deployments": "write", "pull-requests": "write", "actions": "read", "contents": "read", "statuses": "write", administration: "write"}
	s.SetEnvironment(Environment{
		Name: "production", Reviewers: []string{"octocat", "@ops"}, NotOneself: true, WaitMinutes: 30,
		Branches: []string{"main", "release/*"}, Tags: []string{"v*"},
	})
	s.SetEnvironment(Environment{Name: "a/b", ProtectedBranches: true})
	s.AddBranch(Branch{Name: "main", SHA: "abc", Protected: true})
	s.Review(77, "approved", "production")
	s.AddJob(Job{RunID: 77, Attempt: 2, Runner: "GitHub Actions 2", Status: "in_progress", URL: "https://github.com/acme/hello/actions/runs/77/job/1"})
	for _, step := range []struct {
		request, body string
		status        int
	}{
		{"GET /user", "", 200},
		{"GET " + repo + "/commits/abc/pulls", "", 200},
		{"GET " + repo + "/commits/unknown/pulls?per_page=50", "", 200},
		{"GET " + repo + "/issues/7/comments?per_page=100&page=1", "", 200},
		{"GET " + repo + "/issues/8/comments", "", 404},
		{"POST " + repo + "/issues/7/comments", `{"body": "hi"}`, 201},
		{"POST " + repo + "/issues/8/comments", `{"body": "hi"}`, 404},
		{"POST " + repo + "/issues/7/comments", `{"body": ""}`, 422},
		{"POST " + repo + "/issues/7/comments", `{"body": "` + strings.Repeat("ä", 65537) + `"}`, 422},
		{"POST " + repo + "/issues/7/comments", `{"body": "` + strings.Repeat("ä", 65536) + `"}`, 201},
		{"PATCH " + repo + "/issues/comments/102", `{"body": "hello"}`, 200},
		{"PATCH " + repo + "/issues/comments/999", `{"body": "hello"}`, 404},
		{"DELETE " + repo + "/issues/comments/102", "", 204},
		{"DELETE " + repo + "/issues/comments/102", "", 404},
		{"POST " + repo + "/deployments", `{"ref": "abc", "environment": "staging", "payload": {"a": 1}}`, 201},
		{"GET " + repo + "/deployments?environment=staging&sha=abc", "", 200},
		{"POST " + repo + "/deployments/104/statuses", `{"state": "in_progress", "environment_url": "http://x.example"}`, 201},
		{"POST " + repo + "/deployments/999/statuses", `{"state": "success"}`, 404},
		{"POST " + repo + "/deployments/104/statuses", `{"state": "success", "description": "` + strings.Repeat("x", 141) + `"}`, 422},
		{"GET " + repo + "/deployments/104/statuses?per_page=1", "", 200},
		{"GET " + repo + "/deployments/999/statuses", "", 404},
		{"POST " + repo + "/statuses/abc", `{"state": "pending", "context": "slipway/hello/staging"}`, 201},
		{"POST " + repo + "/statuses/abc", `{"state": "success", "description": "` + strings.Repeat("x", 141) + `"}`, 422},
		{"GET /rate_limit", "", 200},
		{"GET " + repo + "/pulls/7", "", 200},
		{"GET " + repo + "/pulls/8", "", 404},
		{"GET " + repo + "/environments?per_page=100", "", 200},
		{"GET " + repo + "/environments/Production", "", 200},
		{"GET " + repo + "/environments/a%2Fb", "", 200},
		{"GET " + repo + "/environments/staging", "", 200}, // the deployment made it
		{"GET " + repo + "/environments/qa", "", 404},
		{"GET " + repo + "/environments/production/deployment-branch-policies", "", 200},
		{"GET " + repo + "/environments/a%2Fb/deployment-branch-policies", "", 404},
		{"DELETE " + repo + "/environments/a%2Fb", "", 204},
		{"DELETE " + repo + "/environments/a%2Fb", "", 404},
		{"GET " + repo + "/actions/runs/77/approvals", "", 200},
		{"GET " + repo + "/actions/runs/77/attempts/2/jobs?per_page=100", "", 200},
		{"GET " + repo + "/branches?protected=true&per_page=100", "", 200},
		{"GET " + repo + "/git/matching-refs/heads/main", "", 200},
		{"GET " + repo + "/git/matching-refs/heads/topic/x", "", 200},
	} {
		method, path, _ := strings.Cut(step.request, " ")
		if status, value, _ := ask(t, s, method, path, step.body); status != step.status {
			t.Errorf("%s: %d %v, not %d", step.request, status, value, step.status)
		}
	}
}

func TestRequestsThatGitHubWouldNotTakeAreSeen(t *testing.T) {
	for request, body := range map[string]string{
		"POST " + repo + "/deployments":                  `{"environment": "staging"}`,
		"POST " + repo + "/deployments?x=1":              `{"ref": "abc"}`,
		"POST " + repo + "/deployments/1/statuses":       `{"state": "succeeded"}`,
		"POST " + repo + "/issues/7/comments":            `{}`,
		"PATCH " + repo + "/issues/comments/1":           `{"body": 1}`,
		"GET " + repo + "/deployments?perpage=1":         "",
		"GET " + repo + "/issues/7/comments?page=second": "",
		"PUT " + repo + "/deployments":                   "",
		"GET /repos/acme/hello/rulesets":                 "",
	} {
		t.Run(request, func(t *testing.T) {
			noted := &notes{TB: t}
			s := New(noted)
			method, path, _ := strings.Cut(request, " ")
			status, _, _ := ask(t, s, method, path, body)
			if noted.errors != 1 || status != 422 && status != 404 {
				t.Errorf("answered %d, with %d complaints", status, noted.errors)
			}
		})
	}
}

// notes counts what a server complains of, in place of failing the test.
type notes struct {
	testing.TB
	errors int
}

func (n *notes) Errorf(string, ...any) { n.errors++ }

func TestAnAnswerThatIsNotGitHubsIsSeen(t *testing.T) {
	c, err := theContract()
	if err != nil {
		t.Fatal(err)
	}
	o := c.find("GET", repo+"/deployments")
	if o.answersWith(200, []byte(`[{"id": 1}]`)) == nil || o.answersWith(204, nil) == nil || o.answersWith(200, []byte(`{`)) == nil {
		t.Error("it was taken")
	}
	if err := o.answersWith(503, []byte(`whatever`)); err != nil {
		t.Errorf("GitHub's troubles are not described: %v", err)
	}
}

func TestAutoInactive(t *testing.T) {
	for name, c := range map[string]struct {
		older Deployment
		was   string
		sent  string
		want  string
	}{
		"an older success":         {Deployment{Environment: "staging"}, "success", `{"state": "success"}`, "inactive"},
		"asked for":                {Deployment{Environment: "Staging"}, "success", `{"state": "success", "auto_inactive": true}`, "inactive"},
		"not asked for":            {Deployment{Environment: "staging"}, "success", `{"state": "success", "auto_inactive": false}`, "success"},
		"an older failure":         {Deployment{Environment: "staging"}, "failure", `{"state": "success"}`, "failure"},
		"production":               {Deployment{Environment: "staging", Production: true}, "success", `{"state": "success"}`, "success"},
		"transient":                {Deployment{Environment: "staging", Transient: true}, "success", `{"state": "success"}`, "success"},
		"another environment":      {Deployment{Environment: "qa"}, "success", `{"state": "success"}`, "success"},
		"this one is no success":   {Deployment{Environment: "staging"}, "success", `{"state": "in_progress"}`, "success"},
		"this one is a failed one": {Deployment{Environment: "staging"}, "success", `{"state": "failure"}`, "success"},
	} {
		t.Run(name, func(t *testing.T) {
			s := New(t)
			s.AddDeployment(c.older, c.was)
			ask(t, s, "POST", repo+"/deployments", `{"ref": "abc", "environment": "staging"}`)
			ask(t, s, "POST", repo+"/deployments/103/statuses", c.sent)
			if got := s.Deployments()[0].State(); got != c.want {
				t.Errorf("the older one is %s, not %s", got, c.want)
			}
		})
	}
}

func TestProductionIsWhatIsCalledSo(t *testing.T) {
	s := New(t)
	ask(t, s, "POST", repo+"/deployments", `{"ref": "abc"}`)
	ask(t, s, "POST", repo+"/deployments", `{"ref": "abc", "environment": "live"}`)
	ask(t, s, "POST", repo+"/deployments", `{"ref": "abc", "environment": "live", "production_environment": true}`)
	all := s.Deployments()
	if !all[0].Production || all[1].Production || !all[2].Production {
		t.Errorf("%+v", all)
	}
}

func TestPagesAreLinked(t *testing.T) {
	s := New(t)
	s.AddPull("abc", Pull{Number: 7})
	for range 250 {
		s.AddComment(7, User{}, "x")
	}
	path, pages := repo+"/issues/7/comments?per_page=100", []int{}
	for path != "" {
		_, value, header := ask(t, s, "GET", path, "")
		pages = append(pages, len(value.([]any)))
		path = ""
		for _, link := range strings.Split(header.Get("Link"), ", ") {
			if address, ok := strings.CutSuffix(link, `>; rel="next"`); ok {
				path = strings.TrimPrefix(address, "<"+s.URL)
			}
		}
	}
	if !slices.Equal(pages, []int{100, 100, 50}) {
		t.Errorf("pages of %v", pages)
	}
}

func TestFaults(t *testing.T) {
	reset := time.Now().Add(time.Hour)
	s := New(t)
	s.AddPull("abc", Pull{Number: 7})
	s.Fail(Fault{Match: "^GET .*/pulls", Skip: 1, Times: 1, Status: 502})
	s.Fail(Fault{Match: "^GET .*/comments", Times: -1, Status: 403, Reset: reset})
	s.Fail(Fault{Match: "^POST .*/deployments", Times: 1, Status: 429, RetryAfter: 7, Done: true})
	for _, want := range []int{200, 502, 200} {
		if got, _, _ := ask(t, s, "GET", repo+"/commits/abc/pulls", ""); got != want {
			t.Errorf("%d, not %d", got, want)
		}
	}
	status, _, header := ask(t, s, "GET", repo+"/issues/7/comments", "")
	if status != 403 || header.Get("X-RateLimit-Remaining") != "0" || header.Get("X-RateLimit-Reset") == "" {
		t.Errorf("%d %v is no primary limit", status, header)
	}
	status, value, header := ask(t, s, "POST", repo+"/deployments", `{"ref": "abc"}`)
	about := value.(map[string]any)["documentation_url"].(string)
	if status != 429 || header.Get("Retry-After") != "7" || !strings.HasSuffix(about, "secondary-rate-limits") {
		t.Errorf("%d %v %v is no secondary limit", status, header, value)
	}
	if n := len(s.Deployments()); n != 1 {
		t.Errorf("%d deployments, though it was done", n)
	}
	s.Recover()
	if status, _, _ = ask(t, s, "GET", repo+"/issues/7/comments", ""); status != 200 {
		t.Errorf("it did not recover: %d", status)
	}
}

func TestConnectionsBreakAndHang(t *testing.T) {
	s := New(t)
	s.Fail(Fault{Match: "GET", Times: 1, Drop: true})
	s.Fail(Fault{Match: "GET", Times: -1, Hang: true})
	client := &http.Client{Timeout: 200 * time.Millisecond}
	for range 2 {
		r, err := http.NewRequest("GET", s.URL+"/user", bytes.NewReader(nil))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+Token)
		if answer, err := client.Do(r); err == nil {
			answer.Body.Close()
			t.Errorf("answered %s", answer.Status)
		}
	}
}

func TestWhoMayWhat(t *testing.T) {
	s := New(t)
	s.ReadOnly = true
	if status, _, _ := ask(t, s, "POST", repo+"/deployments", `{"ref": "abc"}`); status != 403 {
		t.Errorf("a token that may only read wrote: %d", status)
	}
	if status, _, _ := ask(t, s, "GET", "/user", ""); status != 403 {
		t.Errorf("a job's token asked who it is: %d", status)
	}
	if status, _, _ := ask(t, s, "DELETE", repo+"/environments/pr-7", ""); status != 403 {
		t.Errorf("a job's token removed an environment: %d", status)
	}
	s.ReadOnly, s.Permissions = false, map[string]string{"deployments": "read"}
	for request, want := range map[string]int{
		"GET " + repo + "/deployments":          200,
		"POST " + repo + "/deployments":         403,
		"GET " + repo + "/environments/staging": 403,
		"GET /rate_limit":                       200,
	} {
		method, path, _ := strings.Cut(request, " ")
		if status, _, _ := ask(t, s, method, path, `{"ref": "abc"}`); status != want {
			t.Errorf("%s: %d, not %d", request, status, want)
		}
	}
	answer, err := http.Get(s.URL + "/user")
	if err := errors.Join(err, answer.Body.Close()); err != nil || answer.StatusCode != 401 {
		t.Errorf("no token: %v, %v", answer.StatusCode, err)
	}
}

func TestTheTokensRequestsAreCounted(t *testing.T) {
	s := New(t)
	s.Quota = 2
	for _, want := range []struct {
		path, remaining string
		status          int
	}{
		{"/rate_limit", "2", 200},
		{repo + "/deployments", "1", 200},
		{repo + "/branches", "0", 200},
		{repo + "/branches", "0", 403},
		{"/rate_limit", "0", 200},
	} {
		status, _, header := ask(t, s, "GET", want.path, "")
		if status != want.status || header.Get("X-RateLimit-Remaining") != want.remaining {
			t.Errorf("%s: %d, %s remain", want.path, status, header.Get("X-RateLimit-Remaining"))
		}
	}
}

func TestWhatIsAsTheClientKnowsItIsNotSentAgain(t *testing.T) {
	s := New(t)
	_, _, header := ask(t, s, "GET", repo+"/deployments", "")
	again := func() *http.Response {
		r, err := http.NewRequest("GET", s.URL+repo+"/deployments", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+Token)
		r.Header.Set("If-None-Match", header.Get("ETag"))
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		return answer
	}
	if a := again(); a.StatusCode != 304 || a.Header.Get("X-RateLimit-Remaining") != "999" || s.Unchanged() != 1 {
		t.Errorf("%s, %s remain", a.Status, a.Header.Get("X-RateLimit-Remaining"))
	}
	s.AddDeployment(Deployment{Environment: "staging"}, "success")
	if a := again(); a.StatusCode != 200 || a.Header.Get("ETag") == header.Get("ETag") {
		t.Errorf("%s for what has changed", a.Status)
	}
}
