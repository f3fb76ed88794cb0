package report

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/forge"
	"github.com/slipway-ci/slipway/forge/githubtest"
)

// connect is a client of the test's GitHub that does not wait long.
func connect(t *testing.T, url string, change ...func(*forge.Options)) *forge.Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	o := forge.Options{
		APIURL: url, Repository: githubtest.Repository, Token: githubtest.Token, Transport: transport,
		Budget: 30 * time.Second, RequestLimit: time.Minute, FirstWait: time.Millisecond,
	}
	for _, f := range change {
		f(&o)
	}
	g, err := forge.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// byPerson makes the token a person's, where the test's GitHub has its login.
func byPerson(login string) func(*forge.Options) {
	return func(o *forge.Options) {
		if login != "" {
			o.Token = githubtest.PersonalToken
		}
	}
}

// run hands events to a reporter alone, and gives its errors.
func run(t *testing.T, r Flusher, events []deploy.Event) []error {
	t.Helper()
	var errs []error
	for _, e := range events {
		if err := r.Report(context.Background(), e); err != nil {
			errs = append(errs, err)
		}
	}
	if err := r.Flush(context.Background()); err != nil {
		errs = append(errs, err)
	}
	return errs
}

// house is a Hub with all reports, as a run on a runner has it.
type house struct {
	hub              *Hub
	console, summary bytes.Buffer
	deployments      *Deployments
}

// newHouse reports to GitHub with a clock that goes on by 5 seconds whenever the
// comment looks at it.
func newHouse(g *forge.Client) *house {
	h := &house{}
	now := time.Now()
	clock := func() time.Time { now = now.Add(editSoon); return now }
	h.deployments = NewDeployments(g, DeploymentsOptions{Production: "production", Scrub: hide})
	h.hub = NewHub(nil,
		NewConsole(ConsoleOptions{Out: &h.console, Scrub: hide}),
		NewSummary(SummaryOptions{Scrub: hide, Write: func(s string) error { h.summary.WriteString(s); return nil }}),
		h.deployments, NewComment(g, CommentOptions{Scrub: hide, Now: clock}))
	return h
}

// tell reports events and closes the hub.
func (h *house) tell(events []deploy.Event) error {
	for _, e := range events {
		_ = h.hub.Report(context.Background(), e)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return h.hub.Close(ctx)
}

// TestWhatGitHubRefuses tells the same release to a GitHub in trouble. The run
// ends as it would have; the console and the summary say once what could not be
// reported, and what to do.
func TestWhatGitHubRefuses(t *testing.T) {
	const deployments, comments = "could not report to GitHub deployments: ", "could not report to the pull request: "
	hours := time.Now().Add(3 * time.Hour)
	for name, c := range map[string]struct {
		fault githubtest.Fault
		want  []string
		hint  string
		// most is how many requests it may come to.
		most int
	}{
		"401": {
			githubtest.Fault{Status: 401, Message: "Bad credentials"},
			[]string{deployments + "create the deployment to staging: GitHub answered 401 (Bad credentials)", comments + "find the pull request of the commit: GitHub answered 401 (Bad credentials)"},
			"the token is not valid or has run out: check the input github-token", 2,
		},
		"403": {
			githubtest.Fault{Status: 403, Message: "Resource not accessible by integration"},
			[]string{deployments + "create the deployment to staging: GitHub answered 403 (Resource not accessible by integration)", comments + "find the pull request of the commit: GitHub answered 403"},
			"give the job `permissions: {deployments: write}`; the token of a pull request from a fork may only read", 2,
		},
		"404": {
			githubtest.Fault{Status: 404},
			[]string{deployments + "create the deployment to staging: GitHub answered 404 (Not Found)", comments + "find the pull request of the commit: GitHub answered 404 (Not Found)"},
			"give the job `permissions: {pull-requests: write, contents: read}`", 2,
		},
		"410": {
			githubtest.Fault{Status: 410},
			[]string{deployments + "create the deployment to staging: GitHub answered 410 (Gone)", comments + "find the pull request of the commit: GitHub answered 410 (Gone)"},
			"", 3,
		},
		"422": {
			githubtest.Fault{Status: 422, Message: "No ref found for: " + commit},
			[]string{deployments + "create the deployment to staging: GitHub answered 422 (No ref found for: " + commit + ")", deployments + "create the deployment to production: GitHub answered 422"},
			"push the commit to this repository first", 3,
		},
		"5xx": {
			githubtest.Fault{Status: 503},
			[]string{deployments + "create the deployment to staging: GitHub answered 503 (Service Unavailable), also when asked again", comments + "find the pull request of the commit: GitHub answered 503"},
			"", 40,
		},
		"a primary rate limit": {
			githubtest.Fault{Status: 403, Reset: hours},
			[]string{deployments + "create the deployment to staging: GitHub's rate limit for this token is used up until " + hours.UTC().Format("15:04 UTC")},
			"", 2,
		},
		"a primary rate limit by 429": {
			githubtest.Fault{Status: 429, Reset: hours},
			[]string{deployments + "create the deployment to staging: GitHub's rate limit for this token is used up until "},
			"", 40,
		},
		"a long secondary rate limit": {
			githubtest.Fault{Status: 403, RetryAfter: 3600},
			[]string{deployments + "create the deployment to staging: GitHub asks to slow down until "},
			"", 2,
		},
		"a secondary rate limit without an end": {
			githubtest.Fault{Status: 429, Secondary: true},
			[]string{deployments + "create the deployment to staging: GitHub asks to slow down (secondary rate limit), also when asked again later"},
			"", 80,
		},
		"connections that break": {
			githubtest.Fault{Drop: true},
			[]string{deployments + "create the deployment to staging: GitHub cannot be reached: EOF", comments + "find the pull request of the commit: GitHub cannot be reached: EOF"},
			"", 80,
		},
		"another host": {
			githubtest.Fault{Status: 307, Location: "http://collector.example/"},
			[]string{deployments + "create the deployment to staging: GitHub cannot be reached: it redirects to where a token must not go"},
			"", 16,
		},
		"a page in place of JSON": {
			githubtest.Fault{Status: 200, Message: "not what was asked for"},
			[]string{deployments + "create the deployment to staging: GitHub's answer cannot be read: json: cannot unmarshal object"},
			"", 80,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := githubtest.New(t)
			server.AddPull(commit, githubtest.Pull{Number: 7, State: "open", HeadSHA: commit})
			c.fault.Match, c.fault.Times = ".", -1
			server.Fail(c.fault)
			h := newHouse(connect(t, server.URL))
			if err := h.tell(tellPromoted()); err != nil {
				t.Error(err)
			}
			h.checkTold(t, c.want, c.hint)
			if n := len(server.Requests()); n > c.most {
				t.Errorf("%d requests:\n%s", n, strings.Join(server.Requests(), "\n"))
			}
			if !strings.Contains(h.console.String(), "promoted: hello 1.5.0 is live in production") {
				t.Errorf("the run did not end as it should:\n%s", h.console.String())
			}
		})
	}
}

// checkTold holds that both reports have each sentence once, and nothing twice.
func (h *house) checkTold(t *testing.T, want []string, hint string) {
	t.Helper()
	summary := strings.NewReplacer(`\`, "", zeroWidth, "").Replace(h.summary.String())
	for where, got := range map[string]string{"console": h.console.String(), "summary": summary} {
		for _, w := range want {
			if strings.Count(got, w) != 1 {
				t.Errorf("%q is %d times on the %s:\n%s", w, strings.Count(got, w), where, got)
			}
		}
		if !strings.Contains(got, hint) {
			t.Errorf("no %q on the %s:\n%s", hint, where, got)
		}
		told := map[string]bool{}
		for line := range strings.Lines(got) {
			if strings.Contains(line, "could not report") && told[line] {
				t.Errorf("twice on the %s: %s", where, line)
			}
			told[line] = true
		}
	}
}

func TestTransientTroubleLosesNothing(t *testing.T) {
	for name, fault := range map[string]githubtest.Fault{
		"5xx":                              {Match: ".", Times: 3, Status: 502},
		"5xx after it was done":            {Match: "POST|PATCH", Times: 3, Status: 502, Done: true},
		"broken connections":               {Match: ".", Times: 3, Drop: true},
		"a connection that breaks after":   {Match: "POST|PATCH", Times: 3, Drop: true, Done: true},
		"a secondary limit":                {Match: ".", Times: 3, Status: 403, Secondary: true},
		"a secondary limit by 429":         {Match: ".", Times: 3, Status: 429, Secondary: true},
		"a secondary limit with its end":   {Match: ".", Times: 1, Status: 429, RetryAfter: 1},
		"a primary limit that ends soon":   {Match: "POST", Times: 1, Status: 403, Reset: time.Now().Add(time.Second)},
		"a repository that has a new name": {Match: "^GET /repos/acme/hello/deployments$", Times: 1, Status: 307, Location: "/repos/acme/hello/deployments?environment=staging"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := githubtest.New(t)
			server.AddPull(commit, githubtest.Pull{Number: 7, State: "open", HeadSHA: commit})
			server.Fail(fault)
			h := newHouse(connect(t, server.URL, func(o *forge.Options) { o.Budget = time.Minute }))
			if err := h.tell(tellPromoted()); err != nil {
				t.Error(err)
			}
			if got := h.console.String(); strings.Contains(got, "could not report") {
				t.Errorf("a warning about what was done in the end:\n%s", got)
			}
			checkStates(t, server, "staging: queued in_progress success", "production: queued in_progress success")
			if n := len(server.Comments()); n != 1 {
				t.Errorf("%d comments", n)
			}
		})
	}
}

// checkStates holds the deployments of a server, with their states, against
// what is wanted; the same state twice in a row counts once, as when an answer
// was lost.
func checkStates(t *testing.T, server *githubtest.Server, want ...string) {
	t.Helper()
	var got []string
	for _, d := range server.Deployments() {
		line, last := d.Environment+":", ""
		for _, s := range d.Statuses {
			if s.State != last {
				line += " " + s.State
			}
			last = s.State
		}
		got = append(got, line)
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("deployments:\n%s\nnot:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestGitHubThatIsBackAgainIsToldTheEnd(t *testing.T) {
	server := githubtest.New(t)
	server.Fail(githubtest.Fault{Match: ".", Times: forge.Attempts, Status: 502})
	d := NewDeployments(connect(t, server.URL), DeploymentsOptions{})
	errs := run(t, d, tellReverted())
	if len(errs) != 1 {
		t.Errorf("%d errors: %v", len(errs), errs)
	}
	checkStates(t, server, "production: queued in_progress failure", "staging: in_progress success")
}

func TestNobodyWaitsForAGitHubThatHangs(t *testing.T) {
	server := githubtest.New(t)
	server.AddPull(commit, githubtest.Pull{Number: 7, State: "open", HeadSHA: commit})
	server.Fail(githubtest.Fault{Match: ".", Times: -1, Hang: true})
	h := newHouse(connect(t, server.URL))
	for _, e := range tellReverted() {
		_ = h.hub.Report(context.Background(), e)
	}
	if n := len(server.Requests()); n > 2 {
		t.Errorf("%d requests: it does not hang", n)
	}
	if !strings.Contains(h.console.String(), "reverted: hello 1.5.0 was taken back") {
		t.Errorf("the console waited:\n%s", h.console.String())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	err := h.hub.Close(ctx)
	for _, name := range []string{"GitHub deployments", "the pull request"} {
		want := name + ": gave up with "
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(h.console.String(), "could not report to "+want) {
			t.Errorf("nobody says %q: %v\n%s", want, err, h.console.String())
		}
	}
	checkNoGoroutines(t)
}

// checkNoGoroutines waits until no goroutine of this package is left.
func checkNoGoroutines(t *testing.T) {
	t.Helper()
	var dump string
	for range 200 {
		var b bytes.Buffer
		_ = pprof.Lookup("goroutine").WriteTo(&b, 1)
		if dump = b.String(); !strings.Contains(dump, "report.(*worker)") && !strings.Contains(dump, "report.(*forge.Client)") {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("goroutines are left:\n%s", dump)
}

func TestAnAttemptThatHangsIsTriedAgain(t *testing.T) {
	server := githubtest.New(t)
	server.Fail(githubtest.Fault{Match: ".", Times: 1, Hang: true})
	d := NewDeployments(connect(t, server.URL, func(o *forge.Options) { o.RequestLimit = time.Second }), DeploymentsOptions{})
	if errs := run(t, d, tellFailed()); len(errs) > 0 {
		t.Error(errs)
	}
	checkStates(t, server, "staging: queued in_progress failure", "production: queued inactive")
}

func TestAttemptsThatHangSayForHowLong(t *testing.T) {
	server := githubtest.New(t)
	server.Fail(githubtest.Fault{Match: ".", Times: -1, Hang: true})
	d := NewDeployments(connect(t, server.URL, func(o *forge.Options) { o.RequestLimit = 20 * time.Millisecond }), DeploymentsOptions{})
	errs := run(t, d, tellFailed())
	if len(errs) == 0 || errs[0].Error() != "create the deployment to staging: GitHub did not answer within 20ms" {
		t.Error(errs)
	}
}

func TestARefusedConnection(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	h := newHouse(connect(t, server.URL))
	if err := h.tell(tellPromoted()); err != nil {
		t.Error(err)
	}
	h.checkTold(t, []string{"create the deployment to staging: GitHub cannot be reached: dial tcp "}, "connection refused")
	if strings.Contains(h.console.String(), server.URL) {
		t.Errorf("an address that nobody asked for:\n%s", h.console.String())
	}
}

// talker is a proxy that says too much.
type talker struct{}

func (talker) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "pulls") {
		body := fmt.Sprintf(`{"message": "%s may not"}`, r.Header.Get("Authorization"))
		return &http.Response{StatusCode: 403, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
	}
	return nil, fmt.Errorf("proxy of %s does not let %s through", r.URL.Host, r.Header.Get("Authorization"))
}

func TestTheTokenIsInNoReport(t *testing.T) {
	g := connect(t, "https://user:"+secret+"@api.example", func(o *forge.Options) { o.Token, o.Transport = secret, talker{} })
	var console bytes.Buffer
	c := NewConsole(ConsoleOptions{Out: &console}) // it does not know the secret
	hub := NewHub(nil, c, NewDeployments(g, DeploymentsOptions{}), NewComment(g, CommentOptions{}))
	for _, e := range tellPromoted() {
		_ = hub.Report(context.Background(), e)
	}
	if err := hub.Close(context.Background()); err != nil {
		t.Error(err)
	}
	checkSafe(t, console.String())
	for _, want := range []string{"proxy of api.example does not let Bearer *** through", "GitHub answered 403 (Bearer *** may not)"} {
		if !strings.Contains(console.String(), want) {
			t.Errorf("no %q in:\n%s", want, console.String())
		}
	}
}
