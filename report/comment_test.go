package report

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/forge"
	"github.com/slipway-ci/slipway/forge/githubtest"
)

const pullRequest = 7

// reviewed is a GitHub whose commit belongs to a pull request.
func reviewed(t *testing.T) *githubtest.Server {
	t.Helper()
	server := githubtest.New(t)
	server.AddPull(commit, githubtest.Pull{Number: pullRequest, State: "open", HeadSHA: commit})
	return server
}

// onlyComment is the one comment that there is to be.
func onlyComment(t *testing.T, server *githubtest.Server) githubtest.Comment {
	t.Helper()
	all := server.Comments()
	if len(all) != 1 {
		t.Fatalf("%d comments: %+v", len(all), all)
	}
	return all[0]
}

func TestOneCommentIsUpdatedInPlace(t *testing.T) {
	for name, login := range map[string]string{"a job's token": "", "a person's token": "octocat"} {
		t.Run(name, func(t *testing.T) {
			server := reviewed(t)
			server.Login = login
			for _, events := range [][]deploy.Event{tellHeld(), tellResumed(), tellReverted()} {
				if errs := run(t, NewComment(connect(t, server.URL, byPerson(login)), CommentOptions{Scrub: hide}), events); len(errs) > 0 {
					t.Error(errs)
				}
			}
			c := onlyComment(t, server)
			if c.Issue != pullRequest || c.Body != CommentMarkdown(told(tellReverted())) || c.Edits < 3 {
				t.Errorf("on %d, edited %d times:\n%s", c.Issue, c.Edits, c.Body)
			}
		})
	}
}

func TestARunThatHadNothingToDoLeavesTheComment(t *testing.T) {
	server := reviewed(t)
	run(t, NewComment(connect(t, server.URL), CommentOptions{}), tellReverted())
	before := onlyComment(t, server)
	r := theRun()
	r.Operation = "settle"
	nothing := newTale().tell(0, deploy.Event{Kind: deploy.RunStarted, Run: &r}).over(deploy.Unchanged, "nothing was unfinished", "").events
	run(t, NewComment(connect(t, server.URL), CommentOptions{}), nothing)
	if after := onlyComment(t, server); after != before {
		t.Errorf("it says now:\n%s", after.Body)
	}
}

func TestOtherPeoplesCommentsAreLeftAlone(t *testing.T) {
	mark := marker("hello") + "\n"
	bot := githubtest.User{Login: "github-actions[bot]", Type: "Bot"}
	person := githubtest.User{Login: "octocat", Type: "User"}
	for name, c := range map[string]struct {
		login string
		by    githubtest.User
		body  string
		ours  bool
	}{
		"a person with the mark":                  {"", person, mark + "I know the mark", false},
		"a bot that quotes it":                    {"", bot, "> " + mark + "quoted", false},
		"another app's":                           {"", bot, marker("world") + "\nworld", false},
		"a bot with the mark":                     {"", bot, mark + "old", true},
		"somebody else with the mark":             {"hubot", person, mark + "I know the mark", false},
		"a bot with the mark, the token is not's": {"hubot", bot, mark + "old", false},
		"the token's own user":                    {"octocat", person, mark + "old", true},
	} {
		t.Run(name, func(t *testing.T) {
			server := reviewed(t)
			server.Login = c.login
			id := server.AddComment(pullRequest, c.by, c.body)
			if errs := run(t, NewComment(connect(t, server.URL, byPerson(c.login)), CommentOptions{}), tellPromoted()); len(errs) > 0 {
				t.Error(errs)
			}
			all := server.Comments()
			if c.ours && (len(all) != 1 || all[0].ID != id || all[0].Body == c.body) {
				t.Errorf("ours was not edited: %+v", all)
			}
			if !c.ours && (len(all) != 2 || all[0].Body != c.body || all[0].Edits > 0) {
				t.Errorf("it was touched: %+v", all)
			}
		})
	}
}

func TestTheCommentIsFoundBehindManyOthers(t *testing.T) {
	server := reviewed(t)
	for i := range 250 {
		if i == 230 {
			server.AddComment(pullRequest, githubtest.User{Login: "github-actions[bot]", Type: "Bot"}, marker("hello")+"\nold")
			continue
		}
		server.AddComment(pullRequest, githubtest.User{Login: "octocat", Type: "User"}, fmt.Sprint("no. ", i))
	}
	if errs := run(t, NewComment(connect(t, server.URL), CommentOptions{}), tellPromoted()); len(errs) > 0 {
		t.Error(errs)
	}
	all := server.Comments()
	if len(all) != 250 || all[230].Edits == 0 {
		t.Errorf("%d comments, ours edited %d times", len(all), all[230].Edits)
	}
}

func TestACommentThatWasDeletedIsMadeAnew(t *testing.T) {
	server := reviewed(t)
	events := tellReverted()
	c := NewComment(connect(t, server.URL), CommentOptions{})
	half := len(events) / 2
	for _, e := range events[:half] {
		if err := c.Report(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	server.DeleteComment(onlyComment(t, server).ID)
	if errs := run(t, c, events[half:]); len(errs) > 0 {
		t.Error(errs)
	}
	if got := onlyComment(t, server).Body; got != CommentMarkdown(told(events)) {
		t.Errorf("it says:\n%s", got)
	}
}

// rival makes a comment just before the first one is made through it, as
// another run of the same pull request does.
type rival struct {
	server *githubtest.Server
	done   *bool
}

func (r rival) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.Method == http.MethodPost && !*r.done {
		*r.done = true
		r.server.AddComment(pullRequest, githubtest.User{Login: "github-actions[bot]", Type: "Bot"}, marker("hello")+"\nfirst")
	}
	return http.DefaultTransport.RoundTrip(request)
}

func TestOfTwoRunsAtTheSameTimeOneCommentStays(t *testing.T) {
	server := reviewed(t)
	t.Cleanup(http.DefaultTransport.(*http.Transport).CloseIdleConnections)
	g := connect(t, server.URL, func(o *forge.Options) { o.Transport = rival{server, new(bool)} })
	if errs := run(t, NewComment(g, CommentOptions{}), tellPromoted()); len(errs) > 0 {
		t.Error(errs)
	}
	if c := onlyComment(t, server); c.Edits == 0 || !strings.Contains(c.Body, "is live in production") {
		t.Errorf("the older one is to stay, with our words: %+v", c)
	}
}

func TestWhoseTokenItIsIsNotGuessed(t *testing.T) {
	for name, fault := range map[string]githubtest.Fault{
		"5xx":               {Match: "^GET /user$", Times: 3, Status: 502},
		"a secondary limit": {Match: "^GET /user$", Times: 2, Status: 403, Secondary: true},
		"a broken line":     {Match: "^GET /user$", Times: 2, Drop: true},
	} {
		t.Run(name, func(t *testing.T) {
			server := reviewed(t)
			server.Login = "octocat"
			id := server.AddComment(pullRequest, githubtest.User{Login: "octocat", Type: "User"}, marker("hello")+"\nold")
			server.Fail(fault)
			if errs := run(t, NewComment(connect(t, server.URL, byPerson(server.Login)), CommentOptions{}), tellPromoted()); len(errs) > 0 {
				t.Error(errs)
			}
			if c := onlyComment(t, server); c.ID != id {
				t.Errorf("another comment: %+v", c)
			}
		})
	}
}

func TestWhichPullRequest(t *testing.T) {
	pull := func(number int, state, head, merge string) githubtest.Pull {
		return githubtest.Pull{Number: number, State: state, HeadSHA: head, MergeSHA: merge, Merged: merge != ""}
	}
	for name, c := range map[string]struct {
		pulls []githubtest.Pull
		want  int
	}{
		"none":                                {nil, 0},
		"the only one":                        {[]githubtest.Pull{pull(1, "open", "x", "")}, 1},
		"the one whose head it is":            {[]githubtest.Pull{pull(1, "open", "x", ""), pull(2, "open", commit, ""), pull(3, "closed", "x", commit)}, 2},
		"an open one before a merged one":     {[]githubtest.Pull{pull(1, "closed", commit, commit), pull(2, "open", "x", "")}, 2},
		"the one that was merged as it":       {[]githubtest.Pull{pull(1, "closed", commit, "y"), pull(2, "closed", "x", commit)}, 2},
		"one that brought it in":              {[]githubtest.Pull{pull(1, "closed", "x", "y")}, 1},
		"one that was closed is told nothing": {[]githubtest.Pull{pull(1, "closed", commit, "")}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			server := githubtest.New(t)
			for _, p := range c.pulls {
				server.AddPull(commit, p)
			}
			if errs := run(t, NewComment(connect(t, server.URL), CommentOptions{}), tellPromoted()); len(errs) > 0 {
				t.Error(errs)
			}
			got := 0
			if all := server.Comments(); len(all) > 0 {
				got = all[0].Issue
			}
			if got != c.want {
				t.Errorf("comment on %d, not %d", got, c.want)
			}
		})
	}
}

func TestTheEventsOwnPullRequestIsNotLookedFor(t *testing.T) {
	server := reviewed(t)
	server.AddPull("another", githubtest.Pull{Number: 8, State: "open"})
	run(t, NewComment(connect(t, server.URL), CommentOptions{PullRequest: 8}), tellPromoted())
	if c := onlyComment(t, server); c.Issue != 8 {
		t.Errorf("comment on %d", c.Issue)
	}
	for _, r := range server.Requests() {
		if strings.Contains(r, "/commits/") {
			t.Error(r)
		}
	}
}

func TestARunWithoutACommitAsksNothing(t *testing.T) {
	server := reviewed(t)
	events := tellPromoted()
	r := theRun()
	r.Commit = ""
	events[0].Run = &r
	if errs := run(t, NewComment(connect(t, server.URL), CommentOptions{}), events); len(errs) > 0 || len(server.Requests()) > 0 {
		t.Errorf("%v, %v", errs, server.Requests())
	}
}

func TestAPullRequestFromAForkIsOneWarning(t *testing.T) {
	server := reviewed(t)
	server.ReadOnly = true
	errs := run(t, NewComment(connect(t, server.URL), CommentOptions{}), tellReverted())
	var denied *forge.Denied
	if len(errs) != 1 || !errors.As(errs[0], &denied) || denied.Status != 403 {
		t.Fatalf("errors %v", errs)
	}
	if hint := deploy.HintOf(errs[0]); hint != "give the job `permissions: {pull-requests: write}`; the token of a pull request from a fork may only read" {
		t.Error(hint)
	}
}

// TestTheCommentIsEditedLessAndLess: after 5, 10, 20, 40 seconds, and once a
// minute from then on.
func TestTheCommentIsEditedLessAndLess(t *testing.T) {
	server := reviewed(t)
	begun := time.Now()
	now := begun
	c := NewComment(connect(t, server.URL), CommentOptions{Now: func() time.Time { return now }})
	tale := newTale().begin().build().rollout("staging", "1.4.2", "1.5.0")
	for range 300 {
		tale.start("staging", 2)
	}
	var edited []int
	before := 0
	for _, e := range tale.events {
		if err := c.Report(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if n := onlyIfAny(server); n > before {
			edited = append(edited, int(now.Sub(begun)/time.Second))
			before = n
		}
		now = now.Add(time.Second)
	}
	for i := len(edited) - 1; i > 0; i-- {
		edited[i] -= edited[i-1]
	}
	if !slices.Equal(edited[1:], []int{5, 10, 20, 40, 60, 60, 60}) {
		t.Errorf("written after %v", edited)
	}
}

// onlyIfAny counts how often the comment was written.
func onlyIfAny(server *githubtest.Server) int {
	written := 0
	for _, c := range server.Comments() {
		written += 1 + c.Edits
	}
	return written
}

// tellMuch is more than any report can hold.
func tellMuch() []deploy.Event {
	t := newTale().begin()
	for i := range 120 {
		env := fmt.Sprintf("region-%d", i)
		t.rollout(env, "1.4.2", "1.5.0").start(env, 2)
		t.check(env, 2, deploy.CheckResult{Name: strings.Repeat("check ", 50), Detail: strings.Repeat("|ö", 5000), Attempts: 1})
		t.tell(0, deploy.Event{Kind: deploy.Warning, Environment: env, Message: strings.Repeat("&", 5000)})
		t.tell(0, deploy.Event{Kind: deploy.Notice, Environment: env, Message: strings.Repeat("`", 5000)})
		t.end(env, deploy.Event{
			Outcome: deploy.Failed, Message: strings.Repeat("<", 5000), Hint: strings.Repeat("*", 5000),
			Evidence: &deploy.Evidence{Reason: strings.Repeat("_", 5000), Log: slicesOf(strings.Repeat("日本", 500), 20)},
		})
	}
	return t.over(deploy.Failed, strings.Repeat("[x](y) ", 10000), strings.Repeat("\\", 100000)).events
}

func slicesOf(s string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = s
	}
	return all
}

func TestSizeLimits(t *testing.T) {
	server := reviewed(t)
	if errs := run(t, NewComment(connect(t, server.URL), CommentOptions{}), tellMuch()); len(errs) > 0 {
		t.Error(errs)
	}
	story := told(tellMuch())
	summary, comment := SummaryMarkdown(story), onlyComment(t, server).Body
	if len(summary) > 1<<20 || utf8.RuneCountInString(comment) > 65536 {
		t.Errorf("the summary has %d bytes, the comment %d characters", len(summary), utf8.RuneCountInString(comment))
	}
	for name, text := range map[string]string{"summary": summary, "comment": comment} {
		if !utf8.ValidString(text) || !strings.Contains(text, "failed\\: nothing changed for users") || !strings.Contains(text, "- **Live now:** 1.4.2 in region-0; ") {
			t.Errorf("the %s has lost what matters:\n%.3000s", name, text)
		}
		if !strings.Contains(text, "_Shortened: ") {
			t.Errorf("the %s does not say that it is shortened", name)
		}
	}
	if len(story.Events) > maxMoments || len(story.Warnings) > maxMoments {
		t.Errorf("%d events, %d warnings", len(story.Events), len(story.Warnings))
	}
}
