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
	pull := func(action string) Event {
		return Event{Name: "pull_request", Action: action, PullRequest: PullRequest{Number: 12}}
	}
	tests := map[string]struct {
		event Event
		in    Inputs
		want  Command
	}{
		"pull request opened":         {pull("opened"), Inputs{}, Command{Name: Preview, PullRequest: 12}},
		"pull request pushed to":      {pull("synchronize"), Inputs{}, Command{Name: Preview, PullRequest: 12}},
		"pull request closed":         {pull("closed"), Inputs{}, Command{Name: Preview, PullRequest: 12, Close: true}},
		"pull request target, closed": {Event{Name: "pull_request_target", Action: "closed", PullRequest: PullRequest{Number: 12, Fork: true}}, Inputs{}, Command{Name: Preview, PullRequest: 12, Close: true}},
		"schedule":                    {Event{Name: "schedule"}, Inputs{}, Command{Name: Reap}},
		"plan on a pull request":      {pull("opened"), Inputs{Command: Plan}, Command{Name: Plan, PullRequest: 12}},
		"by hand: preview":            {byHand(map[string]string{"operation": "preview", "pull-request": "#12"}), Inputs{}, Command{Name: Preview, PullRequest: 12}},
		"by hand: pause":              {byHand(map[string]string{"operation": "Pause", "environment": "production", "reason": "look"}), Inputs{}, Command{Name: Pause, Environment: "production", Reason: "look"}},
		"by hand: out of order, dry": {
			byHand(map[string]string{"operation": "promote", "version": "~1.4", "environment": "production", "skip-order": "true", "dry-run": "true", "strategy": "rolling", "reason": "hotfix"}),
			Inputs{},
			Command{Name: Promote, Version: "~1.4", Environment: "production", SkipOrder: true, DryRun: true, Strategy: deploy.Rolling, Reason: "hotfix"},
		},
		"push to the default branch":   {branch("main"), Inputs{}, Command{Name: Release}},
		"with a version":               {branch("main"), Inputs{Version: "2.0.0"}, Command{Name: Release, Version: "2.0.0"}},
		"push of a version":            {tag("v1.4.2"), Inputs{}, Command{Name: Release, Version: "1.4.2"}},
		"push of a pre-release":        {tag("v1.5.0-rc.1"), Inputs{}, Command{Name: Release, Version: "1.5.0-rc.1"}},
		"the input wins over the tag":  {tag("v1.4.2"), Inputs{Version: "9.0.0"}, Command{Name: Release, Version: "9.0.0"}},
		"a version with metadata":      {tag("v1.4.2+build.5"), Inputs{}, Command{Name: Release, Version: "1.4.2+build.5"}},
		"a release with metadata":      {release("published", "v1.4.2+build.5"), Inputs{}, Command{Name: Release, Version: "1.4.2+build.5"}},
		"a release that is a beta":     {release("published", "v1.5.0-beta.3"), Inputs{}, Command{Name: Release, Version: "1.5.0-beta.3"}},
		"release published":            {release("published", "v1.4.2"), Inputs{}, Command{Name: Release, Version: "1.4.2"}},
		"release named without v":      {release("published", "1.4.2"), Inputs{}, Command{Name: Release, Version: "1.4.2"}},
		"a command beats the event":    {branch("other"), Inputs{Command: Build}, Command{Name: Build}},
		"validate on a pull request":   {Event{Name: "pull_request"}, Inputs{Command: Validate}, Command{Name: Validate}},
		"settle without an event":      {Event{}, Inputs{Command: Settle}, Command{Name: Settle}},
		"by hand: release":             {byHand(map[string]string{"operation": "release"}), Inputs{}, Command{Name: Release}},
		"by hand: the action's inputs": {byHand(nil), Inputs{Operation: Rollback, Environment: "staging"}, Command{Name: Rollback, Environment: "staging"}},
		"by hand: promote": {
			byHand(map[string]string{"operation": "promote", "version": "v1.4.2", "environment": "production", "reason": "agreed"}),
			Inputs{},
			Command{Name: Promote, Version: "1.4.2", Environment: "production", Reason: "agreed"},
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

// The code of a fork is planned for, and what to do instead is said.
func TestChooseOnAFork(t *testing.T) {
	e := Event{Name: "pull_request", Action: "opened", PullRequest: PullRequest{Number: 12, Fork: true}}
	got, err := Choose(e, Inputs{})
	if err != nil || got.Name != Plan || !got.DryRun || !strings.Contains(got.Note, "operation preview and pull-request 12") {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestChooseSkips(t *testing.T) {
	tests := map[string]struct {
		event Event
		want  string
	}{
		"a fork's end":         {Event{Name: "pull_request", Action: "closed", PullRequest: PullRequest{Number: 12, Fork: true}}, "had no preview"},
		"a label":              {Event{Name: "pull_request", Action: "labeled", PullRequest: PullRequest{Number: 12}}, ": labeled, and so"},
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
		"pull request target":      {Event{Name: "pull_request_target", Action: "opened"}, Inputs{}, "gives secrets and a token"},
		"another event":            {Event{Name: "issue_comment"}, Inputs{}, "issue_comment"},
		"by hand without one":      {Event{Name: "workflow_dispatch"}, Inputs{}, "does not say which operation"},
		"by hand, unknown":         {Event{Name: "workflow_dispatch", DispatchInputs: map[string]string{"operation": "teleport"}}, Inputs{}, `"teleport" is not known`},
		"by hand, half true":       {Event{Name: "workflow_dispatch", DispatchInputs: map[string]string{"operation": "release", "dry-run": "yes"}}, Inputs{}, `"yes"`},
		"preview of nothing":       {Event{}, Inputs{Command: Preview}, "preview needs"},
		"pause without a place":    {Event{}, Inputs{Command: Pause}, "pause needs"},
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
