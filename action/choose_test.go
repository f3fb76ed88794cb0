package action

import (
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

func TestChoose(t *testing.T) {
	branch := func(name string) Event {
		return Event{Name: "push", Ref: "refs/heads/" + name, DefaultBranch: "main"}
	}
	tag := func(name string) Event {
		return Event{Name: "push", Ref: "refs/tags/" + name, DefaultBranch: "main"}
	}
	release := func(action, tag string) Event {
		return Event{Name: "release", Action: action, Release: ReleaseEvent{Tag: tag}}
	}
	byHand := func(inputs map[string]string) Event {
		return Event{Name: "workflow_dispatch", DispatchInputs: inputs}
	}
	tests := map[string]struct {
		event Event
		in    Inputs
		want  Command
	}{
		"push to the default branch":   {branch("main"), Inputs{}, Command{Name: Release}},
		"with a version":               {branch("main"), Inputs{Version: "2.0.0"}, Command{Name: Release, Version: "2.0.0"}},
		"push of a version":            {tag("v1.4.2"), Inputs{}, Command{Name: Release, Version: "1.4.2"}},
		"push of a pre-release":        {tag("v1.5.0-rc.1"), Inputs{}, Command{Name: Release, Version: "1.5.0-rc.1"}},
		"the input wins over the tag":  {tag("v1.4.2"), Inputs{Version: "9.0.0"}, Command{Name: Release, Version: "9.0.0"}},
		"release published":            {release("published", "v1.4.2"), Inputs{}, Command{Name: Release, Version: "1.4.2"}},
		"release named without v":      {release("published", "1.4.2"), Inputs{}, Command{Name: Release, Version: "1.4.2"}},
		"a command beats the event":    {branch("other"), Inputs{Command: Build}, Command{Name: Build}},
		"validate on a pull request":   {Event{Name: "pull_request"}, Inputs{Command: Validate}, Command{Name: Validate}},
		"settle without an event":      {Event{}, Inputs{Command: Settle}, Command{Name: Settle}},
		"by hand: release":             {byHand(map[string]string{"operation": "release"}), Inputs{}, Command{Name: Release}},
		"by hand: the action's inputs": {byHand(nil), Inputs{Operation: Rollback, Environment: "staging"}, Command{Name: Rollback, Environment: "staging"}},
		"by hand: promote": {
			byHand(map[string]string{"operation": "promote", "version": "v1.4.2", "environment": "production", "reason": "agreed"}),
			Inputs{}, Command{Name: Promote, Version: "1.4.2", Environment: "production", Reason: "agreed"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Choose(test.event, test.in)
			if err != nil || got != test.want {
				t.Errorf("got %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
}

func TestChooseSkips(t *testing.T) {
	tests := map[string]struct {
		event Event
		want  string
	}{
		"another branch":       {Event{Name: "push", Ref: "refs/heads/topic", DefaultBranch: "main"}, "topic is not the default branch main"},
		"default unknown":      {Event{Name: "push", Ref: "refs/heads/main"}, "does not say which branch is the default"},
		"a moving tag":         {Event{Name: "push", Ref: "refs/tags/v1"}, "the tag v1 does not name a version"},
		"a tag without v":      {Event{Name: "push", Ref: "refs/tags/1.4.2"}, "the tag 1.4.2 does not name a version"},
		"a deleted branch":     {Event{Name: "push", Ref: "refs/heads/main", DefaultBranch: "main", Deleted: true}, "was deleted"},
		"release edited":       {Event{Name: "release", Action: "edited", Release: ReleaseEvent{Tag: "v1.4.2"}}, "was edited"},
		"release is a draft":   {Event{Name: "release", Action: "published", Release: ReleaseEvent{Tag: "v1.4.2", Draft: true}}, "only published"},
		"release of no semver": {Event{Name: "release", Action: "published", Release: ReleaseEvent{Tag: "nightly"}}, "does not name a version"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := Choose(test.event, Inputs{})
			if err != nil || got.Name != "" || !strings.Contains(got.Skip, test.want) {
				t.Errorf("got %+v, %v, want a skip: %s", got, err, test.want)
			}
		})
	}
}

func TestChooseRefuses(t *testing.T) {
	tests := map[string]struct {
		event Event
		in    Inputs
		want  string
	}{
		"no event":                 {Event{}, Inputs{}, "no event"},
		"pull request":             {Event{Name: "pull_request", Action: "opened"}, Inputs{}, "pull requests are not part"},
		"pull request target":      {Event{Name: "pull_request_target"}, Inputs{}, "pull requests are not part"},
		"schedule":                 {Event{Name: "schedule"}, Inputs{}, "schedule is not part"},
		"another event":            {Event{Name: "issue_comment"}, Inputs{}, "issue_comment"},
		"by hand without one":      {Event{Name: "workflow_dispatch"}, Inputs{}, "does not say which operation"},
		"by hand, unknown":         {Event{Name: "workflow_dispatch", DispatchInputs: map[string]string{"operation": "pause"}}, Inputs{}, `"pause" is not known`},
		"by hand, bad version":     {Event{Name: "workflow_dispatch", DispatchInputs: map[string]string{"operation": "release", "version": "one"}}, Inputs{}, `"one"`},
		"promote without version":  {Event{}, Inputs{Command: Promote, Environment: "production"}, "promote needs"},
		"rollback without a place": {Event{}, Inputs{Command: Rollback}, "rollback needs"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			_, err := Choose(test.event, test.in)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %s", err, test.want)
			}
			if !deploy.IsUsage(err) || deploy.HintOf(err) == "" {
				t.Errorf("%v is no usage error that says what to do", err)
			}
		})
	}
}
