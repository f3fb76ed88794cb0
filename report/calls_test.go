package report

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/forge"
	"github.com/slipway-ci/slipway/forge/githubtest"
)

// protected is a GitHub at which both environments have all rules, with a
// history, a job, and a pull request that the commit came from.
func protected(t *testing.T) *githubtest.Server {
	t.Helper()
	server := githubtest.New(t)
	server.AddPull(commit, githubtest.Pull{Number: 7, State: "closed", Merged: true, MergeSHA: commit})
	server.Review(77, "approved", "staging", "production")
	server.AddJob(githubtest.Job{RunID: 77, Attempt: 1, Runner: "r1", Status: "in_progress", URL: "https://github.com/acme/hello/actions/runs/77/job/5"})
	for _, name := range []string{"staging", "production"} {
		server.SetEnvironment(githubtest.Environment{Name: name, Reviewers: []string{"octocat"}, WaitMinutes: 1, Branches: []string{"main"}})
		for i, state := range []string{"inactive", "success", "failure"} {
			server.AddDeployment(older(name, fmt.Sprint(70+i, "-1"), newRevision(fmt.Sprint("1.4.", i))), state)
		}
	}
	return server
}

// long is a release whose canaries have as many stages as told, each watched
// for so long.
func long(stages int, hold time.Duration) []deploy.Event {
	t := newTale().begin().build().queue("staging", "production")
	for _, env := range []string{"staging", "production"} {
		t.rollout(env, "1.4.2", "1.5.0")
		for n := range stages {
			t.tell(0, deploy.Event{Kind: deploy.StageStarted, Environment: env, Stage: n + 1, Message: "more users"})
			for range 10 {
				t.tell(hold/10, deploy.Event{Kind: deploy.Observed, Environment: env, Stage: n + 1, Observation: &deploy.Observation{}})
			}
		}
		t.end(env, deploy.Event{Outcome: deploy.Promoted, Message: "1.5.0 is live", Took: time.Minute})
	}
	return t.over(deploy.Promoted, "1.5.0 is live in production", "").events
}

// release does with GitHub what a release does, and returns how many requests
// it made: it looks at the rules, and for newer runs before each environment,
// tells all reporters, and waits for none. With statuses the commit is told, too.
func release(t *testing.T, server *githubtest.Server, events []deploy.Event, statuses bool) int {
	t.Helper()
	g := connect(t, server.URL)
	log := func(ctx context.Context) string {
		url, err := g.JobURL(ctx, 77, 1, "r1")
		if err != nil {
			t.Error(err)
		}
		return url
	}
	var at time.Time // one goroutine reports here
	deployments := NewDeployments(g, DeploymentsOptions{Production: "production", Log: log, Statuses: statuses})
	comment := NewComment(g, CommentOptions{Statuses: statuses, Now: func() time.Time { return at }})
	reporters := []Flusher{NewHeadroom(g), deployments, comment}
	if statuses {
		reporters = append(reporters, NewStatus(g, StatusOptions{}))
	}
	for _, env := range []string{"staging", "production"} {
		if p, err := g.Permit(t.Context(), env, forge.Job{RunID: 77, Ref: "refs/heads/main"}); err != nil || p.Refused != nil {
			t.Fatal(p, err)
		}
	}
	for _, e := range events {
		at = e.At
		if e.Kind == deploy.RolloutStarted {
			if why, err := deployments.Newer(t.Context(), theRun(), e.Environment); why != "" || err != nil {
				t.Fatal(why, err)
			}
		}
		for _, r := range reporters {
			if err := r.Report(t.Context(), e); err != nil {
				t.Error(err)
			}
		}
	}
	for _, r := range reporters {
		if err := r.Flush(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if g.Calls() != len(server.Requests()) {
		t.Errorf("%d calls counted, %d came", g.Calls(), len(server.Requests()))
	}
	return g.Calls()
}

// TestNeverMoreThan30Calls holds for a release to two environments however long
// it takes, with every rule that GitHub has, and all that is told there.
func TestNeverMoreThan30Calls(t *testing.T) {
	for name, events := range map[string][]deploy.Event{
		"a usual one":    tellPromoted(),
		"a reverted one": tellReverted(),
		"a long one":     long(20, 5*time.Minute),
		"a quick one":    long(20, 100*time.Millisecond),
		"endless":        long(60, 5*time.Hour),
	} {
		t.Run(name, func(t *testing.T) { heldTo30(t, events, false) })
		t.Run(name+" with statuses", func(t *testing.T) { heldTo30(t, events, true) })
	}
}

func heldTo30(t *testing.T, events []deploy.Event, statuses bool) {
	t.Helper()
	server := protected(t)
	calls := release(t, server, events, statuses)
	t.Logf("%d calls", calls)
	if calls > 30 {
		t.Errorf("%d calls:\n%s", calls, strings.Join(server.Requests(), "\n"))
	}
	story := told(events)
	if body := onlyComment(t, server).Body; body != CommentMarkdown(story) {
		t.Errorf("the comment has not the last word:\n%s", body)
	}
	all := server.Deployments()
	if got := all[4].State(); got == "success" != (story.Outcome == deploy.Reverted) {
		t.Errorf("the last version's deployment to production is %s", got)
	}
	if n := len(server.CommitStatuses()); statuses && n != 4 {
		t.Errorf("%d statuses of the commit", n)
	}
}

func TestTheCommentFollowsALongRollout(t *testing.T) {
	server := protected(t)
	release(t, server, long(20, 5*time.Minute), false)
	if c := onlyComment(t, server); c.Edits < 4 {
		t.Errorf("it was edited %d times", c.Edits)
	}
}

func TestHowManyCallsWereMadeIsReported(t *testing.T) {
	server := protected(t)
	g := connect(t, server.URL)
	path := filepath.Join(t.TempDir(), "report.json")
	var summary string
	hub := NewHub(nil,
		NewSummary(SummaryOptions{Calls: g.Calls, Write: func(s string) error { summary = s; return nil }}),
		NewJSON(JSONOptions{Calls: g.Calls, Path: path}),
		NewHeadroom(g), NewDeployments(g, DeploymentsOptions{}), NewComment(g, CommentOptions{}))
	for _, e := range tellPromoted() {
		_ = hub.Report(t.Context(), e)
	}
	if err := hub.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	n := len(server.Requests())
	if want := fmt.Sprintf("\n\n%d calls to GitHub\n", n); !strings.HasSuffix(summary, want) {
		t.Errorf("the summary does not end with %q:\n%s", want, summary)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var story Story
	if err := json.Unmarshal(content, &story); err != nil || story.GitHub == nil || story.GitHub.Calls != n {
		t.Errorf("%+v instead of %d, %v", story.GitHub, n, err)
	}
}

func TestHeadroom(t *testing.T) {
	settle := theRun()
	settle.Operation = "settle"
	for name, c := range map[string]struct {
		quota  int
		fault  githubtest.Fault
		events []deploy.Event
		want   string
		asked  int
	}{
		"enough":              {60, githubtest.Fault{}, tellPromoted(), "", 1},
		"few":                 {59, githubtest.Fault{}, tellPromoted(), `^this token has 59 requests to GitHub left until \d\d:\d\d UTC: what is reported there may stop in the middle$`, 1},
		"no limit":            {0, githubtest.Fault{Match: ".", Times: -1, Status: http.StatusNotFound}, tellPromoted(), "", 1},
		"settle does not ask": {1, githubtest.Fault{}, []deploy.Event{{Kind: deploy.RunStarted, Run: &settle}}, "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			server := githubtest.New(t)
			server.Quota = c.quota
			server.Fail(c.fault)
			errs := run(t, NewHeadroom(connect(t, server.URL)), c.events)
			if c.want == "" && len(errs) > 0 || c.want != "" && (len(errs) != 1 || !regexp.MustCompile(c.want).MatchString(errs[0].Error())) {
				t.Errorf("told %v", errs)
			}
			if n := len(server.Requests()); n != c.asked {
				t.Errorf("asked %d times", n)
			}
		})
	}
}

// TestARunDoesNotWaitToKnowItsHeadroom: what is told about it comes from
// another goroutine, as a warning of its own.
func TestARunDoesNotWaitToKnowItsHeadroom(t *testing.T) {
	server := githubtest.New(t)
	server.Quota = 12
	var mu sync.Mutex
	var console bytes.Buffer
	held := make(chan struct{})
	wait := transport(func(r *http.Request) (*http.Response, error) {
		<-held
		return http.DefaultTransport.RoundTrip(r)
	})
	g := connect(t, server.URL, func(o *forge.Options) { o.Transport = wait })
	hub := NewHub(nil, NewConsole(ConsoleOptions{Out: writer(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return console.Write(b)
	})}), NewHeadroom(g))
	events := tellPromoted()
	for _, e := range events {
		_ = hub.Report(t.Context(), e)
	}
	close(held) // the run is over by now
	if err := hub.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	got := console.String()
	if strings.Count(got, "this token has 12 requests to GitHub left until ") != 1 || strings.Contains(got, "could not report") {
		t.Error(got)
	}
}

// transport and writer are functions as what their names say.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

type writer func([]byte) (int, error)

func (f writer) Write(b []byte) (int, error) { return f(b) }
