package report

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// dockerfileBuild is a build whose last step fails, with a secret in its log.
func dockerfileBuild() []deploy.Event {
	at := time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)
	event := func(after time.Duration, e deploy.Event) deploy.Event {
		e.At = at.Add(after)
		return e
	}
	step := func(after time.Duration, state deploy.BuildState, name, line string, took time.Duration) deploy.Event {
		return event(after, deploy.Event{Kind: deploy.Building, Message: name, Took: took, Build: &deploy.BuildStep{State: state, Line: line}})
	}
	failed := step(41*time.Second, deploy.BuildFailed, "[3/3] RUN npm test", "", 20*time.Second)
	failed.Evidence = &deploy.Evidence{Reason: "Dockerfile:3: exit code: 1", Log: []string{"1 failing", "the token was " + secret}}
	return []deploy.Event{
		event(0, deploy.Event{Kind: deploy.RunStarted, Message: "build hello", Run: &deploy.Run{ID: "1", Operation: "build", App: "hello"}}),
		event(0, deploy.Event{Kind: deploy.StepStarted, Message: "build the image"}),
		step(time.Second, deploy.BuildRunning, "[1/3] FROM node", "", 0),
		step(time.Second, deploy.BuildCached, "[1/3] FROM node", "", 0),
		step(2*time.Second, deploy.BuildRunning, "[2/3] RUN npm ci", "", 0),
		step(3*time.Second, deploy.BuildRunning, "[2/3] RUN npm ci", "added 3 packages", 0),
		step(20*time.Second, deploy.BuildDone, "[2/3] RUN npm ci", "", 18*time.Second),
		step(21*time.Second, deploy.BuildRunning, "[3/3] RUN npm test", "", 0),
		step(51*time.Second, deploy.BuildRunning, "[3/3] RUN npm test", "still at it", 0),
		failed,
		event(60*time.Second, deploy.Event{Kind: deploy.StepEnded, Message: "build the image", Took: time.Minute}),
		event(60*time.Second, deploy.Event{Kind: deploy.RunEnded, Outcome: deploy.Failed, Message: errors.New("Dockerfile:3: [3/3] RUN npm test: exit code: 1").Error()}),
	}
}

func TestConsoleShowsABuildStepByStep(t *testing.T) {
	got := show(t, dockerfileBuild(), ConsoleOptions{})
	for _, want := range []string{
		"    = [1/3] FROM node", "cached\n", "    ✓ [2/3] RUN npm ci", "18.0s\n", "    … [3/3] RUN npm test  still at it\n",
		"    ✗ [3/3] RUN npm test", "    Dockerfile:3: exit code: 1\n", "      │ 1 failing\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in:\n%s", want, got)
		}
	}
	if strings.Contains(got, secret) || strings.Contains(got, "added 3 packages") {
		t.Errorf("too much is told:\n%s", got)
	}
	if live := show(t, dockerfileBuild(), ConsoleOptions{Terminal: true}); !strings.Contains(live, "[2/3] RUN npm ci") || !strings.Contains(live, "added 3 packages") {
		t.Errorf("the live line is missing:\n%q", live)
	}
}
