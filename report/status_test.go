package report

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/forge/githubtest"
)

// commitStates are the states of each context in their order, as in
// "slipway/hello/staging: pending success".
func commitStates(server *githubtest.Server) []string {
	var contexts []string
	states := map[string]string{}
	for _, s := range server.CommitStatuses() {
		if states[s.Context] == "" {
			contexts = append(contexts, s.Context)
		}
		states[s.Context] += " " + s.State
	}
	for i, c := range contexts {
		contexts[i] = c + ":" + states[c]
	}
	return contexts
}

func TestStatusesOfEachStory(t *testing.T) {
	const staging, production = "slipway/hello/staging: ", "slipway/hello/production: "
	for name, want := range map[string][]string{
		"promoted":  {staging + "pending success", production + "pending success"},
		"reverted":  {staging + "pending success", production + "pending failure"},
		"failed":    {staging + "pending failure", production + "pending error"},
		"first":     {production + "pending failure"},
		"unknown":   {production + "pending error"},
		"held":      {production + "pending pending"},
		"under-way": {staging + "pending success", production + "pending"},
		"stopped":   {staging + "pending success", production + "pending error"},
		"aside":     {staging + "pending success", production + "pending success"},
		"unchanged": {staging + "pending success", production + "pending success"},
		"previewed": {"slipway/hello/pr-7: pending success"},
		"settled":   {production + "failure"},
		"removed":   nil,
		"built":     nil,
		"planned":   nil,
		"broken":    nil,
	} {
		t.Run(name, func(t *testing.T) {
			server := githubtest.New(t)
			server.Permissions = map[string]string{"statuses": "write"}
			if errs := run(t, NewStatus(connect(t, server.URL), StatusOptions{Scrub: hide}), stories()[name]); len(errs) > 0 {
				t.Error(errs)
			}
			if diff := cmp.Diff(want, commitStates(server)); diff != "" {
				t.Errorf("wanted (-), got (+):\n%s", diff)
			}
		})
	}
}

func TestAStatusSaysWhatItIs(t *testing.T) {
	server := githubtest.New(t)
	if errs := run(t, NewStatus(connect(t, server.URL), StatusOptions{}), tellReverted()); len(errs) > 0 {
		t.Error(errs)
	}
	all := server.CommitStatuses()
	want := githubtest.CommitStatus{
		SHA: commit, State: "failure", Context: "slipway/hello/production", TargetURL: theRun().URL,
		Description: "reverted: errors 11% against 0% on the live version, after 97 requests in 2 s; chance of this on an equal version below 1 in 10000",
	}
	if diff := cmp.Diff(want, all[len(all)-1]); diff != "" {
		t.Errorf("wanted (-), got (+):\n%s", diff)
	}
}

func TestStatusesHoldNothingHostile(t *testing.T) {
	server := githubtest.New(t)
	if errs := run(t, NewStatus(connect(t, server.URL), StatusOptions{Scrub: hide}), stories()["hostile"]); len(errs) > 0 {
		t.Error(errs)
	}
	if len(server.CommitStatuses()) == 0 {
		t.Error("there is no status")
	}
	for _, s := range server.CommitStatuses() {
		checkSafe(t, fmt.Sprintf("%+v", s))
		if utf8.RuneCountInString(s.Description) > 140 || strings.ContainsAny(s.Context+s.Description, "\n\x1b") {
			t.Errorf("%q: %q", s.Context, s.Description)
		}
	}
}

// TestARefusedStatusIsAWarning: the run goes on, and GitHub is not asked again.
func TestARefusedStatusIsAWarning(t *testing.T) {
	server := githubtest.New(t)
	server.Permissions = map[string]string{"deployments": "write"}
	errs := run(t, NewStatus(connect(t, server.URL), StatusOptions{}), tellPromoted())
	if len(errs) != 1 || !strings.HasPrefix(errs[0].Error(), "set the status of the commit for staging to pending: GitHub answered 403 (") ||
		!strings.Contains(deploy.HintOf(errs[0]), "permissions: {statuses: write}") {
		t.Errorf("told %v", errs)
	}
	if n := len(server.Requests()); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

func TestAStatusIsTriedAgain(t *testing.T) {
	server := githubtest.New(t)
	server.Fail(githubtest.Fault{Match: "POST .*/statuses/", Times: 2, Status: 502})
	if errs := run(t, NewStatus(connect(t, server.URL), StatusOptions{}), tellPromoted()); len(errs) > 0 {
		t.Error(errs)
	}
	if got := commitStates(server); len(got) != 2 || !strings.HasSuffix(got[0], "success") || !strings.HasSuffix(got[1], "success") {
		t.Error(got)
	}
}
