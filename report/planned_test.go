package report

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

func TestMarkupMakesNothingOfText(t *testing.T) {
	for in, want := range map[string]string{
		"production: 1.5.0 would replace 1.4.2": "production: 1.5.0 would replace 1.4.2",
		"</summary><b>&amp;":                    "&lt;/summary&gt;&lt;b&gt;&amp;amp;",
		"@octocat, #12 or GH-3":                 "@~octocat, #~12 or GH-~3",
		"::error:: :smile:":                     ":~:~error:~: :~smile:",
		"see http://x.example, www.x.example":   "see http:~//x.example, www~.x.example",
		"costs $x$ and ends with @":             "costs $~x$ and ends with @",
		"\xffä\n\x1b[31mred":                    "�ä red",
	} {
		if got := strings.ReplaceAll(markup(in, 60), zeroWidth, "~"); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
	if got := markup(strings.Repeat("ä", 20), 10); got != "äääääääää…" {
		t.Errorf("%q", got)
	}
}

// planned is an environment from one version to another that was only planned.
func planned(name, from, to string) Environment {
	e := Environment{Name: name, Strategy: deploy.Canary, Candidate: &Version{Version: to, Revision: to}}
	if from != "" {
		e.Previous = &Version{Version: from, Revision: from}
	}
	return e
}

func TestWhatMergingWouldDo(t *testing.T) {
	many := make([]Environment, 25)
	for i := range many {
		many[i] = planned(fmt.Sprint("e", i), "1", "2")
	}
	for want, environments := range map[string][]Environment{
		"":                                     nil,
		"merging would change nothing":         {planned("staging", "1", "1")},
		"merging would change production":      {planned("staging", "1", "1"), planned("production", "1", "2")},
		"merging would change a, b and c":      {planned("a", "1", "2"), planned("b", "", "2"), planned("c", "1", "2")},
		"merging would change 25 environments": many,
	} {
		s := Story{Run: Run{Operation: "preview"}, Environments: environments}
		if got := merging(&s); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
	done := planned("pr-7", "1", "2")
	done.Started = time.Unix(1, 0)
	for name, s := range map[string]Story{
		"more than a plan": {Run: Run{Operation: "preview"}, Environments: []Environment{planned("staging", "1", "2"), done}},
		"a dry run":        {Run: Run{Operation: "release"}, Environments: []Environment{planned("staging", "1", "2")}},
	} {
		if got := merging(&s); got != "" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// The workflow is named where it takes the operation, and where its name and
// the repository's can stand in a shell as they are.
func TestCommandsByTheWorkflow(t *testing.T) {
	const begin = "gh workflow run "
	for name, c := range map[string]struct {
		run     Run
		outcome deploy.Outcome
		want    int
	}{
		"held":                       {Run{Repository: "acme/hello", Workflow: "slipway.yml"}, deploy.Held, 2},
		"promoted":                   {Run{Repository: "acme/hello", Workflow: "slipway.yml"}, deploy.Promoted, 1},
		"reverted":                   {Run{Repository: "acme/hello", Workflow: "slipway.yml"}, deploy.Reverted, 0},
		"on a command line":          {Run{}, deploy.Held, 0},
		"a workflow with a quote":    {Run{Repository: "acme/hello", Workflow: "a'b.yml"}, deploy.Held, 0},
		"a workflow that is a flag":  {Run{Repository: "acme/hello", Workflow: "--help"}, deploy.Held, 0},
		"a repository with a dollar": {Run{Repository: "acme/$(id)", Workflow: "slipway.yml"}, deploy.Held, 0},
	} {
		e := ended(c.outcome, 100, Traffic{}, Traffic{}, nil)
		block := commandBlock(&Story{Run: c.run, Outcome: e.Outcome, Environments: []Environment{e}})
		if got := strings.Count(block, begin); got != c.want {
			t.Errorf("%s: %d, want %d in\n%s", name, got, c.want, block)
		}
		if c.want > 0 && !strings.Contains(block, begin+"slipway.yml --repo acme/hello -f operation=") {
			t.Errorf("%s: %s", name, block)
		}
	}
}

func TestCommands(t *testing.T) {
	const in = " --environment production"
	at := func(o deploy.Outcome, change func(*Environment)) Environment {
		return ended(o, 100, Traffic{}, Traffic{}, change)
	}
	preview := func(e *Environment) { e.Name = "pr-7" }
	for name, c := range map[string]struct {
		e    Environment
		want string
	}{
		"promoted":           {at(deploy.Promoted, nil), "slipway rollback" + in + "; slipway history" + in},
		"the first":          {at(deploy.Promoted, func(e *Environment) { e.Previous = nil }), ""},
		"reverted":           {at(deploy.Reverted, nil), "slipway status" + in + "; slipway history" + in},
		"held":               {at(deploy.Held, nil), "slipway resume" + in + "; slipway abort" + in},
		"unknown":            {at(deploy.Unknown, nil), "slipway status" + in + "; slipway settle" + in},
		"under way":          {at("", nil), "slipway pause" + in + "; slipway abort" + in},
		"a preview":          {at(deploy.Promoted, preview), "slipway preview --pull-request 7 --close"},
		"removed":            {at("", func(e *Environment) { preview(e); e.Removed = "it is over" }), ""},
		"only planned":       {planned("production", "1", "2"), ""},
		"a name with quotes": {at(deploy.Held, func(e *Environment) { e.Name = "a'b" }), ""},
	} {
		s := Story{Outcome: c.e.Outcome, Environments: []Environment{c.e}}
		var got []string
		for _, next := range commands(&s) {
			got = append(got, "slipway "+next.operation+next.flags)
		}
		if strings.Join(got, "; ") != c.want {
			t.Errorf("%s: %q", name, got)
		}
	}
}
