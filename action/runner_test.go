package action

import (
	"bytes"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/deploy"
)

// env is the environment of a test.
type env map[string]string

func (e env) get(name string) string { return e[name] }

// onRunner is a Runner on a runner with the environment, and what it prints.
func onRunner(e env) (*Runner, *bytes.Buffer) {
	all := env{"GITHUB_ACTIONS": "true"}
	for k, v := range e {
		all[k] = v
	}
	var out bytes.Buffer
	return New(all.get, &out), &out
}

func TestRun(t *testing.T) {
	r, _ := onRunner(env{
		"GITHUB_RUN_ID": "77", "GITHUB_RUN_ATTEMPT": "2", "GITHUB_SERVER_URL": "https://github.example/",
		"GITHUB_REPOSITORY": "acme/hello", "GITHUB_ACTOR": "octocat", "GITHUB_SHA": "abc", "GITHUB_REF": "refs/heads/main",
		"GITHUB_WORKFLOW_REF": "acme/hello/.github/workflows/slipway.yml@refs/heads/main",
	})
	want := deploy.Run{
		ID: "77-2", URL: "https://github.example/acme/hello/actions/runs/77",
		Who: "octocat", Repository: "acme/hello", Commit: "abc", Ref: "refs/heads/main", Workflow: "slipway.yml",
	}
	if diff := cmp.Diff(want, r.Run()); diff != "" {
		t.Error(diff)
	}
}

func TestRunWithoutRunner(t *testing.T) {
	r := New(env{"GITHUB_RUN_ID": "77", "GITHUB_REPOSITORY": "acme/hello"}.get, nil)
	if r.Present() || r.Run() != (deploy.Run{}) || r.Origin() != (deploy.Origin{}) {
		t.Errorf("no runner, yet %+v of %+v", r.Run(), r.Origin())
	}
}

func TestOrigin(t *testing.T) {
	r, _ := onRunner(env{"GITHUB_REPOSITORY": "acme/hello", "GITHUB_REPOSITORY_ID": "42"})
	if got := r.Origin(); got != (deploy.Origin{Repository: "acme/hello", ID: "42"}) {
		t.Errorf("%+v", got)
	}
}

func TestAPIURL(t *testing.T) {
	r, _ := onRunner(nil)
	if got := r.APIURL(); got != "https://api.github.com" {
		t.Error(got)
	}
	r, _ = onRunner(env{"GITHUB_API_URL": "https://github.example/api/v3/"})
	if got := r.APIURL(); got != "https://github.example/api/v3" {
		t.Error(got)
	}
}

// broken fails every write.
type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errors.New("closed pipe") }

func TestLogThatCannotBeWrittenStopsNothing(t *testing.T) {
	r := New(env{"GITHUB_ACTIONS": "true"}.get, broken{})
	r.Group("title")
	r.Error("title", "message")
	r.AddMask("secret")
	r.EndGroup()
}
