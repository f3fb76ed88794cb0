package acttest

import (
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/slipway-ci/slipway/forge/githubtest"
)

// An event is something that happens at GitHub and starts the workflow.
type event func(*scene) run

// payload is one of GitHub's published examples, made one of this repository.
func (s *scene) payload(example string, changes map[string]any) map[string]any {
	s.t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "action", "testdata", "events", example+".json"))
	if err != nil {
		s.t.Fatal(err)
	}
	payload := map[string]any{}
	if err := json.Unmarshal(content, &payload); err != nil {
		s.t.Fatal(err)
	}
	merge(payload, map[string]any{"repository": map[string]any{"full_name": repository, "default_branch": "main"}})
	merge(payload, changes)
	return payload
}

// merge lays changes over a payload, object by object.
func merge(payload, changes map[string]any) {
	for name, value := range changes {
		inner, is := value.(map[string]any)
		if old, was := payload[name].(map[string]any); is && was {
			merge(old, inner)
			continue
		}
		payload[name] = value
	}
}

// pushed is the push of a branch at which the version of hello is a new one.
func pushed(branch, version string) event {
	return func(s *scene) run {
		s.build("hello", "./testdata/hello", "-X main.version="+version)
		s.commit("feat: hello " + version)
		ref := "refs/heads/" + branch
		return run{event: "push", ref: ref, payload: s.payload("push-branch", map[string]any{"ref": ref, "after": s.sha})}
	}
}

// merged is the push of main by which a pull request came in.
func merged(number int, version string) event {
	return func(s *scene) run {
		o := pushed("main", version)(s)
		s.hub.AddPull(s.sha, githubtest.Pull{Number: number, State: "closed", MergeSHA: s.sha, Merged: true})
		return o
	}
}

// tagged is the push of a tag at which the version of hello is that of the tag.
func tagged(version string) event {
	return func(s *scene) run {
		s.build("hello", "./testdata/hello", "-X main.version="+version)
		s.commit("feat: hello " + version)
		s.tag("v" + version)
		ref := "refs/tags/v" + version
		return run{event: "push", ref: ref, payload: s.payload("push-tag", map[string]any{"ref": ref, "after": s.sha})}
	}
}

// dispatched is the workflow started by hand on main.
func dispatched(inputs map[string]string) event {
	return func(s *scene) run {
		return run{
			event: "workflow_dispatch", ref: "refs/heads/main",
			payload: s.payload("workflow_dispatch", map[string]any{"ref": "refs/heads/main", "inputs": inputs}),
		}
	}
}
