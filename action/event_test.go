package action

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/forge/githubtest"
)

// example is the environment of a run that one of GitHub's published examples
// started, the nth of its event.
func example(t *testing.T, name string, n int, more env) env {
	t.Helper()
	payload, err := githubtest.Payload(name, n)
	if err != nil {
		t.Fatal(err)
	}
	e := env{"GITHUB_EVENT_NAME": name, "GITHUB_EVENT_PATH": write(t, string(payload))}
	maps.Copy(e, more)
	return e
}

func TestEventsOfGitHub(t *testing.T) {
	tests := map[string]struct {
		env  env
		want Event
	}{
		"push of a branch": {
			example(t, "push", 6, env{"GITHUB_REF": "refs/heads/master", "GITHUB_SHA": "abc", "GITHUB_ACTOR": "octocat", "GITHUB_JOB": "ship"}),
			Event{Name: "push", Ref: "refs/heads/master", SHA: "abc", Actor: "octocat", Job: "ship"},
		},
		"push that deletes": {
			example(t, "push", 2, env{"GITHUB_REF": "refs/heads/master"}),
			Event{Name: "push", Ref: "refs/tags/simple-tag", Deleted: true, SHA: strings.Repeat("0", 40)},
		},
		"pull request": {
			example(t, "pull_request", 23, env{"GITHUB_REF": "refs/pull/2/merge"}),
			Event{
				Name: "pull_request", Action: "synchronize", Ref: "refs/pull/2/merge",
				PullRequest: PullRequest{Number: 2, HeadSHA: "ec26c3e57ca3a959ca5aad62de7213c562f8c821"},
			},
		},
		"release": {
			example(t, "release", 1, nil),
			Event{Name: "release", Action: "published", Ref: "refs/tags/0.0.1", Release: ReleaseEvent{Tag: "0.0.1"}},
		},
		"started by hand": {
			example(t, "workflow_dispatch", 2, nil),
			Event{Name: "workflow_dispatch", Ref: "refs/heads/master", DispatchInputs: map[string]string{}},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r, _ := onRunner(test.env)
			got, err := r.Event()
			if err != nil {
				t.Fatal(err)
			}
			test.want.DefaultBranch, test.want.Repository = got.DefaultBranch, got.Repository
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
			if !strings.Contains(got.Repository, "/") || got.DefaultBranch == "" {
				t.Errorf("repository %q, default branch %q", got.Repository, got.DefaultBranch)
			}
		})
	}
}

// TestEveryExample runs every example that GitHub publishes of the events
// through auto, and holds what a user would read: a command, a skip or a
// refusal that says what to do.
func TestEveryExample(t *testing.T) {
	events := map[string]int{ // how many there are
		"push": 7, "pull_request": 29, "workflow_dispatch": 2, "release": 13, "deployment": 4, "repository_dispatch": 2, "workflow_run": 5,
	}
	var all strings.Builder
	for _, name := range slices.Sorted(maps.Keys(events)) {
		payloads, err := githubtest.Payloads(name)
		if err != nil || len(payloads) != events[name] {
			t.Errorf("%d examples of %s, want %d (%v)", len(payloads), name, events[name], err)
		}
		for i := range payloads {
			r, _ := onRunner(example(t, name, i+1, nil))
			e, err := r.Event()
			if err != nil {
				t.Errorf("%s %d: %v", name, i+1, err)
				continue
			}
			checkClear(t, e)
			fmt.Fprintf(&all, "%s %d: %s\n", name, i+1, outcome(e))
		}
	}
	golden(t, filepath.Join("testdata", "examples.golden"), all.String())
}

// outcome is what auto makes of an event.
func outcome(e Event) string {
	c, err := Choose(e, Inputs{})
	switch {
	case err != nil:
		return fmt.Sprintf("refused: %v; %s", err, deploy.HintOf(err))
	case c.Skip != "":
		return "skip: " + c.Skip
	}
	text := c.Name
	if c.Version != "" {
		text += " " + c.Version
	}
	if c.PullRequest != 0 {
		text += fmt.Sprintf(" of #%d", c.PullRequest)
	}
	if c.Close {
		text += ", which goes"
	}
	return text + note(c.Note)
}

func note(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

var update = flag.Bool("update", false, "write the golden files")

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

func checkClear(t *testing.T, e Event) {
	t.Helper()
	c, err := Choose(e, Inputs{})
	switch {
	case err != nil && (!deploy.IsUsage(err) || deploy.HintOf(err) == ""):
		t.Errorf("%v does not say what to do", err)
	case err == nil && (c.Name == "") == (c.Skip == ""):
		t.Errorf("%+v is neither a command nor a skip", c)
	}
}

func TestDispatchInputs(t *testing.T) {
	file := write(t, `{"ref":"refs/heads/main","inputs":{"operation":"promote","n":4,"b":true,"nothing":null}}`)
	r, _ := onRunner(env{"GITHUB_EVENT_NAME": "workflow_dispatch", "GITHUB_EVENT_PATH": file})
	e, err := r.Event()
	want := map[string]string{"operation": "promote", "n": "4", "b": "true", "nothing": ""}
	if diff := cmp.Diff(want, e.DispatchInputs); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
}

func TestForks(t *testing.T) {
	tests := map[string]struct {
		head string
		want bool
	}{
		"same repository": {`{"full_name":"acme/hello"}`, false},
		"a fork":          {`{"full_name":"mallory/hello"}`, true},
		"a deleted fork":  {`null`, true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			file := write(t, `{"pull_request":{"number":3,"merged":true,"head":{"sha":"abc","repo":`+test.head+
				`},"base":{"repo":{"full_name":"acme/hello"}}}}`)
			r, _ := onRunner(env{"GITHUB_EVENT_NAME": "pull_request_target", "GITHUB_EVENT_PATH": file})
			e, err := r.Event()
			want := PullRequest{Number: 3, HeadSHA: "abc", Fork: test.want, Merged: true}
			if err != nil || e.PullRequest != want {
				t.Errorf("got %+v, %v", e.PullRequest, err)
			}
		})
	}
}

func TestBadPayloads(t *testing.T) {
	tests := map[string]struct{ path, want string }{
		"missing":    {filepath.Join(t.TempDir(), "none.json"), "no such file"},
		"a folder":   {t.TempDir(), "is a directory"},
		"empty":      {write(t, ""), "not a JSON object"},
		"an array":   {write(t, "[]"), "not a JSON object"},
		"cut off":    {write(t, `{"ref":`), "not a JSON object"},
		"wrong type": {write(t, `{"ref":7,"deleted":"maybe"}`), "ref: "},
		"too large":  {large(t), "larger than 25 MiB"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r, _ := onRunner(env{"GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": test.path})
			_, err := r.Event()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want %s", err, test.want)
			}
			if deploy.HintOf(err) == "" {
				t.Error("no hint")
			}
		})
	}
}

func FuzzEvent(f *testing.F) {
	files, _ := filepath.Glob(filepath.Join("testdata", "events", "*.json"))
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		name, _, _ := strings.Cut(filepath.Base(file), "-")
		f.Add(strings.TrimSuffix(name, ".json"), content)
	}
	f.Add("push", []byte(`{"repository":null,"ref":null}`))
	f.Add("workflow_dispatch", []byte(`{"inputs":null}`))
	f.Add("pull_request", []byte(`{"pull_request":{"head":null}}`))
	f.Fuzz(func(t *testing.T, name string, payload []byte) {
		e := Event{Name: name}
		if e.fill(payload) == nil {
			checkClear(t, e)
		}
	})
}

func write(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "event.json")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func large(t *testing.T) string {
	t.Helper()
	return write(t, `{"a":"`+string(bytes.Repeat([]byte("x"), maxPayload))+`"}`)
}
