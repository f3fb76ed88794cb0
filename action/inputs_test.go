package action

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/deploy"
)

func TestInputs(t *testing.T) {
	r, _ := onRunner(env{
		"INPUT_COMMAND": "Promote", "INPUT_CONFIG": "deploy/slipway.yaml", "INPUT_VERSION": " v1.4.2 ",
		"INPUT_ENVIRONMENT": "production", "INPUT_STRATEGY": "canary", "INPUT_OPERATION": "rollback",
		"INPUT_REASON": "as agreed", "INPUT_DRY-RUN": "true", "INPUT_PUSH": "TRUE", "INPUT_MOVE-TAGS": "true", "INPUT_REPORT": "r.json",
		"INPUT_GITHUB-TOKEN": "t", "INPUT_WORKING-DIRECTORY": "app", "INPUT_PLAN": "p.json", "INPUT_SKIP-ORDER": "true", "INPUT_PULL-REQUEST": "12",
	})
	got, err := r.Inputs()
	want := Inputs{
		Command: Promote, Config: "deploy/slipway.yaml", Version: "1.4.2", Environment: "production",
		Strategy: deploy.Canary, Operation: Rollback, Reason: "as agreed", DryRun: true, Push: true, MoveTags: true,
		Plan: "p.json", SkipOrder: true, PullRequest: 12,
		Report: "r.json", GitHubToken: "t", WorkingDirectory: "app",
	}
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestInputsOfNothing(t *testing.T) {
	r, _ := onRunner(nil)
	got, err := r.Inputs()
	if want := (Inputs{Command: Auto, WorkingDirectory: "."}); err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestInputsTakeUnderscores(t *testing.T) {
	r, _ := onRunner(env{"INPUT_DRY_RUN": "true"})
	if got, err := r.Inputs(); err != nil || !got.DryRun {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestBadInputs(t *testing.T) {
	tests := map[string]struct {
		env  env
		want string
		hint string
	}{
		"unknown boolean":  {env{"INPUT_DRY-RUN": "yes"}, `input dry-run: "yes" is neither true nor false`, "use true or false"},
		"typed boolean":    {env{"INPUT_PUSH": "ture"}, `input push: "ture"`, "true or false"},
		"unknown command":  {env{"INPUT_COMMAND": "deploy"}, `input command: "deploy" is not known`, "release, build, plan"},
		"unknown strategy": {env{"INPUT_STRATEGY": "yolo"}, `input strategy: "yolo"`, "recreate, rolling, blue-green, canary"},
		"operation":        {env{"INPUT_OPERATION": "build"}, `input operation: "build"`, "release, promote, rollback"},
		"pull request":     {env{"INPUT_PULL-REQUEST": "twelve"}, `input pull-request: "twelve" is not a number`, "such as 12"},
		"two lines":        {env{"INPUT_ENVIRONMENT": "a\nb"}, "input environment has a line break", "one line"},
		"given twice":      {env{"INPUT_DRY-RUN": "true", "INPUT_DRY_RUN": "false"}, "input dry-run is given twice", "one of the two"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r, _ := onRunner(test.env)
			_, err := r.Inputs()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %s", err, test.want)
			}
			if !deploy.IsUsage(err) || !strings.Contains(deploy.HintOf(err), test.hint) {
				t.Errorf("usage %v, hint %q", deploy.IsUsage(err), deploy.HintOf(err))
			}
		})
	}
}

func TestAllMistakesAreToldAtOnce(t *testing.T) {
	r, _ := onRunner(env{"INPUT_DRY-RUN": "x", "INPUT_PULL-REQUEST": "y", "INPUT_COMMAND": "z"})
	_, err := r.Inputs()
	for _, name := range []string{"dry-run", "pull-request", "command"} {
		if err == nil || !strings.Contains(err.Error(), "input "+name) {
			t.Errorf("%v does not tell of %s", err, name)
		}
	}
}
