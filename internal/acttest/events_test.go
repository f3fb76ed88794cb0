package acttest

import (
	"encoding/json"
	"strconv"

	"github.com/slipway-ci/slipway/forge/githubtest"
)

// An event is something that happens at GitHub and starts the workflow.
type event func(*scene) run

// The published examples that happen here, by event: a push of a branch and of a
// tag, and the activities of a pull request.
const (
	pushOfBranch = 5
	pushOfTag    = 1
	byHand       = 2
)

var activities = map[string]int{"opened": 1, "closed": 4, "synchronize": 23}

// payload is one of GitHub's published examples, made one of this repository.
func (s *scene) payload(event string, n int, changes map[string]any) map[string]any {
	s.t.Helper()
	content, err := githubtest.Payload(event, n)
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
		s.build("./testdata/hello", "-X main.version="+version)
		s.commit("feat: hello " + version)
		ref := "refs/heads/" + branch
		return run{event: "push", ref: ref, payload: s.payload("push", pushOfBranch, map[string]any{"ref": ref, "after": s.sha})}
	}
}

// pushedAsIs is the push of main with whatever lies in the workspace.
func pushedAsIs(s *scene) run {
	s.commit("feat: more")
	return run{event: "push", ref: "refs/heads/main", payload: s.payload("push", pushOfBranch, map[string]any{"ref": "refs/heads/main", "after": s.sha})}
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
		s.build("./testdata/hello", "-X main.version="+version)
		s.commit("feat: hello " + version)
		s.tag("v" + version)
		ref := "refs/tags/v" + version
		return run{event: "push", ref: ref, payload: s.payload("push", pushOfTag, map[string]any{"ref": ref, "after": s.sha})}
	}
}

// dispatched is the workflow started by hand on main.
func dispatched(inputs map[string]string) event {
	return func(s *scene) run {
		return run{
			event: "workflow_dispatch", ref: "refs/heads/main",
			payload: s.payload("workflow_dispatch", byHand, map[string]any{"ref": "refs/heads/main", "inputs": inputs}),
		}
	}
}

// scheduled is the time of day that the workflow names.
func scheduled(s *scene) run {
	return run{event: "schedule", ref: "refs/heads/main", payload: s.payload("push", pushOfBranch, map[string]any{"schedule": "17 4 * * *"})}
}

// missed is the end of a pull request that started no workflow, before an event.
func missed(number int, then event) event {
	return func(s *scene) run {
		s.hub.SetPull(githubtest.Pull{Number: number, State: "closed", HeadSHA: s.sha})
		return then(s)
	}
}

// pullRequest is an activity (opened, synchronize or closed) on a pull request
// of a branch of this repository. Opened and synchronize bring a new version of
// hello.
func pullRequest(number int, activity, version string) event {
	return func(s *scene) run { return s.pullRequest(number, activity, version, repository) }
}

// forked is the same from a fork: with a token that may only read, and without
// secrets.
func forked(number int, activity, version string) event {
	return func(s *scene) run {
		s.hub.ReadOnly = true
		return s.pullRequest(number, activity, version, "stranger/hello")
	}
}

// red is an event whose job ends with an error.
func red(e event) event {
	return func(s *scene) run {
		o := e(s)
		o.red = true
		return o
	}
}

// trusted is an event with a token that may write again.
func trusted(e event) event {
	return func(s *scene) run {
		s.hub.ReadOnly = false
		return e(s)
	}
}

func (s *scene) pullRequest(number int, activity, version, head string) run {
	state, closed := "open", activity == "closed"
	if closed {
		state = "closed"
	} else {
		s.build("./testdata/hello", "-X main.version="+version)
		s.commit("feat: hello " + version)
		s.hub.AddPull(s.sha, githubtest.Pull{Number: number, State: state, HeadSHA: s.sha})
	}
	// What a runner checks out is the merge with main.
	ref := "refs/pull/" + strconv.Itoa(number) + "/merge"
	return run{event: "pull_request", ref: ref, payload: s.payload("pull_request", activities[activity], map[string]any{
		"number": number,
		"pull_request": map[string]any{
			"number": number, "state": state,
			"head": map[string]any{"sha": s.sha, "ref": "feature", "repo": map[string]any{"full_name": head}},
			"base": map[string]any{"ref": "main", "repo": map[string]any{"full_name": repository}},
		},
	})}
}
