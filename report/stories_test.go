package report

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/deploy"
)

var update = flag.Bool("update", false, "write the golden files")

// secret must never be seen in any report.
const secret = "hunter22-hunter22"

func hide(s string) string { return strings.ReplaceAll(s, secret, "***") }

const commit = "1a2b3c4d5e6f708192a3b4c5d6e7f8091a2b3c4d"

// tale builds the events of a run, each at a time of its own.
type tale struct {
	at     time.Time
	events []deploy.Event
}

func newTale() *tale {
	return &tale{at: time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)}
}

// tell adds an event that happens after a while.
func (t *tale) tell(after time.Duration, e deploy.Event) *tale {
	t.at = t.at.Add(after)
	e.At = t.at
	t.events = append(t.events, e)
	return t
}

// theRun is the one that all stories are about.
func theRun() deploy.Run {
	return deploy.Run{
		ID: "77-1", URL: "https://github.com/acme/hello/actions/runs/77", Operation: "release", App: "hello",
		Who: "octocat", Repository: "acme/hello", Workflow: "slipway.yml", Commit: commit, Ref: "refs/heads/main",
	}
}

func (t *tale) begin() *tale {
	run := theRun()
	return t.tell(0, deploy.Event{Kind: deploy.RunStarted, Run: &run, Message: "release hello"})
}

func (t *tale) step(name string, took time.Duration) *tale {
	t.tell(0, deploy.Event{Kind: deploy.StepStarted, Message: name})
	return t.tell(took, deploy.Event{Kind: deploy.StepEnded, Message: name, Took: took})
}

func (t *tale) build() *tale {
	image := newRevision("1.5.0").Image
	t.step("compute the version", 4*time.Millisecond)
	t.tell(0, deploy.Event{Kind: deploy.StepStarted, Message: "build the image"})
	t.tell(1300*time.Millisecond, deploy.Event{Kind: deploy.ImageReady, Image: &image, Message: "built " + image.String()})
	return t.tell(0, deploy.Event{Kind: deploy.StepEnded, Message: "build the image", Took: 1300 * time.Millisecond})
}

// queue tells which environments 1.5.0 is to come to.
func (t *tale) queue(environments ...string) *tale {
	for _, env := range environments {
		plan := deploy.Plan{Environment: env, Strategy: canary, Candidate: newRevision("1.5.0")}
		t.tell(0, deploy.Event{Kind: deploy.Queued, Environment: env, Plan: &plan, Message: "1.5.0 is to come to " + env})
	}
	return t
}

func newRevision(version string) deploy.Revision {
	digest := "sha256:" + strings.Repeat(strings.ReplaceAll(version, ".", ""), 22)[:64]
	image := deploy.Image{Repository: "ghcr.io/acme/hello", Digest: digest, Version: version}
	return deploy.NewRevision("hello", deploy.Environment{Name: "any"}, image, nil)
}

var (
	canary = deploy.Strategy{Kind: deploy.Canary, Steps: []deploy.Percent{10, 100}, Hold: 5 * time.Second, Errors: 1}
	stages = []deploy.Stage{
		{Act: deploy.ActStart, Checks: true},
		{Act: deploy.ActSplit, Share: 10, Hold: 5 * time.Second},
		{Act: deploy.ActSwitch, Share: 100, Hold: 5 * time.Second},
	}
	stageNames = []string{"start beside the live version, no users, run the checks", "10% of the users, watch for 5s", "all users, watch for 5s"}
)

func (t *tale) rollout(env, from, to string) *tale {
	plan := deploy.Plan{Environment: env, Strategy: canary, Candidate: newRevision(to), Stages: stages}
	if from != "" {
		plan.Live = newRevision(from)
	}
	t.tell(0, deploy.Event{Kind: deploy.StepStarted, Message: "deploy to " + env})
	return t.tell(20*time.Millisecond, deploy.Event{
		Kind: deploy.RolloutStarted, Environment: env, Plan: &plan, URL: "http://" + env + ".hello.localhost:4280",
		Message: "canary to " + env,
	})
}

func (t *tale) start(env string, n int) *tale {
	return t.tell(10*time.Millisecond, deploy.Event{
		Kind: deploy.StageStarted, Environment: env, Stage: n, Share: stages[n-1].Share, Message: stageNames[n-1],
	})
}

// judge is like observe, of a stage whose users are compared.
func (t *tale) judge(env string, n int, after time.Duration, requests, errors uint64, v deploy.Verdict, why string) *tale {
	t.observe(env, n, after, requests, errors)
	e := &t.events[len(t.events)-1]
	e.Message, e.Observation.Verdict = why, &v
	return t
}

func (t *tale) observe(env string, n int, after time.Duration, requests, errors uint64) *tale {
	s := stages[n-1]
	return t.tell(after, deploy.Event{
		Kind: deploy.Observed, Environment: env, Stage: n, Share: s.Share, Message: "not worse",
		Observation: &deploy.Observation{
			Share: s.Share, Live: deploy.Traffic{Requests: 9 * requests}, Candidate: deploy.Traffic{Requests: requests, Errors: errors},
			Ready: 2, Replicas: 2, Elapsed: after, Hold: s.Hold,
		},
	})
}

func (t *tale) check(env string, n int, c deploy.CheckResult) *tale {
	return t.tell(c.Took, deploy.Event{Kind: deploy.Checked, Environment: env, Stage: n, Check: &c, Message: c.Name})
}

func (t *tale) pass(env string, n int) *tale {
	return t.tell(time.Millisecond, deploy.Event{Kind: deploy.StagePassed, Environment: env, Stage: n, Share: stages[n-1].Share, Message: "passed"})
}

func (t *tale) end(env string, e deploy.Event) *tale {
	e.Kind, e.Environment = deploy.RolloutEnded, env
	e.URL = "http://" + env + ".hello.localhost:4280"
	t.tell(30*time.Millisecond, e)
	return t.tell(0, deploy.Event{Kind: deploy.StepEnded, Message: "deploy to " + env, Took: e.Took})
}

func (t *tale) over(o deploy.Outcome, message, hint string) *tale {
	return t.tell(0, deploy.Event{Kind: deploy.RunEnded, Outcome: o, Message: message, Hint: hint, Took: t.at.Sub(t.events[0].At)})
}

// promoted walks an environment to its good end.
func (t *tale) promoted(env, from, to string) *tale {
	t.rollout(env, from, to)
	t.start(env, 1).observe(env, 1, 1200*time.Millisecond, 0, 0)
	t.check(env, 1, deploy.CheckResult{Name: "home", Passed: true, Attempts: 1, Took: 12 * time.Millisecond}).pass(env, 1)
	for n := 2; n <= 3; n++ {
		t.start(env, n).observe(env, n, time.Second, 40, 0).observe(env, n, 5*time.Second, 212, 0).pass(env, n)
	}
	return t.end(env, deploy.Event{Outcome: deploy.Promoted, Message: newRevision(to).String() + " is live", Took: 13 * time.Second})
}

// stories are the runs that every report is rendered of.
func stories() map[string][]deploy.Event {
	return map[string][]deploy.Event{
		"promoted":  tellPromoted(),
		"unchanged": tellUnchanged(),
		"failed":    tellFailed(),
		"reverted":  tellReverted(),
		"unknown":   tellUnknown(),
		"hostile":   tellHostile(),
		"dry-run":   tellDryRun(),
		"settled":   tellSettled(),
		"watched":   tellWatched(),
		"undone":    tellUndone(),
		"first":     tellFirst(),
		"held":      tellHeld(),
		"resumed":   tellResumed(),
		"built":     tellBuilt(),
		"broken":    tellBroken(),
		"under-way": tellUnderWay(),
		"stopped":   tellStopped(),
		"removed":   tellRemoved(),
		"aside":     tellAside(),
		"planned":   tellPlanned(),
		"previewed": tellPreviewed(),
		"drifted":   tellDrifted(false),
		"repaired":  tellDrifted(true),
	}
}

// tags tells what became of those that move with releases.
func (t *tale) tags() *tale {
	image := newRevision("1.5.0").Image
	t.tell(0, deploy.Event{Kind: deploy.StepStarted, Message: "move the tags"})
	for _, tag := range []deploy.TagMove{
		{Name: "1.5", Version: "1.5.0", Digest: image.Digest, Moved: true},
		{Name: "1", Version: "1.5.0", Digest: image.Digest, Moved: true, From: "1.4.2"},
		{Name: "latest", Version: "2.0.0", Digest: newRevision("2.0.0").Image.Digest},
	} {
		t.tell(20*time.Millisecond, deploy.Event{Kind: deploy.TagMoved, Tag: &tag, Message: "the tag " + tag.Name + " is at " + tag.Version})
	}
	return t.tell(0, deploy.Event{Kind: deploy.StepEnded, Message: "move the tags", Took: 60 * time.Millisecond})
}

func tellPromoted() []deploy.Event {
	t := newTale().begin().build().queue("staging", "production")
	t.promoted("staging", "", "1.5.0").promoted("production", "1.4.2", "1.5.0").tags()
	return t.over(deploy.Promoted, "1.5.0 is live in production", "").events
}

func tellUnchanged() []deploy.Event {
	t := newTale().begin().build().queue("staging", "production")
	t.tell(0, deploy.Event{Kind: deploy.StepStarted, Message: "deploy to staging"})
	t.end("staging", deploy.Event{Outcome: deploy.Unchanged, Message: "1.5.0 is live already"})
	return t.over(deploy.Unchanged, "1.5.0 is live already in staging", "").events
}

func tellFailed() []deploy.Event {
	t := newTale().begin().build().queue("staging", "production").rollout("staging", "1.4.2", "1.5.0").start("staging", 1)
	why := "1.5.0: replica r2 exited with code 1 after 0.2s"
	t.tell(400*time.Millisecond, deploy.Event{Kind: deploy.Reverting, Environment: "staging", Message: why})
	t.end("staging", deploy.Event{
		Outcome: deploy.Failed, Message: why, Hint: "look at what the app printed", Took: 450 * time.Millisecond,
		Evidence: &deploy.Evidence{Replica: "r2", Reason: "exited with code 1 after 0.2s", Log: []string{
			"2026-03-14T09:26:54Z starting", "panic: API_KEY=" + secret + " was refused", "", "goroutine 1 [running]:", "\tmain.main()",
		}},
	})
	return t.over(deploy.Failed, "staging: "+why, "look at what the app printed").events
}

func tellReverted() []deploy.Event {
	t := newTale().begin().build().queue("staging", "production").promoted("staging", "1.4.2", "1.5.0").rollout("production", "1.4.2", "1.5.0")
	t.tell(0, deploy.Event{Kind: deploy.Warning, Environment: "production", Message: "no requests in the last 5s", Hint: "send some"})
	t.start("production", 1)
	t.check("production", 1, deploy.CheckResult{Name: "home", Passed: true, Attempts: 1, Took: 9 * time.Millisecond}).pass("production", 1)
	t.start("production", 2).observe("production", 2, time.Second, 40, 0)
	t.judge("production", 2, 2*time.Second, 97, 11, deploy.Verdict{Decision: "revert", Metric: "errors", Evidence: 18000}, "errors 11% against 0% on the live version, after 97 requests in 2 s; chance of this on an equal version below 1 in 10000")
	t.check("production", 2, deploy.CheckResult{Name: "script", Attempts: 3, Took: 90 * time.Millisecond, Detail: "exit code 1\nexpected 200, got 503"})
	why := "errors 11% against 0% on the live version, after 97 requests in 2 s; chance of this on an equal version below 1 in 10000"
	t.tell(100*time.Millisecond, deploy.Event{Kind: deploy.Reverting, Environment: "production", Message: why})
	t.tell(84*time.Millisecond, deploy.Event{Kind: deploy.TrafficBack, Environment: "production", Took: 84 * time.Millisecond, Message: "all users are back on 1.4.2, 84ms after the decision"})
	t.tell(2*time.Second, deploy.Event{Kind: deploy.Notice, Environment: "production", Message: "1.5.0 was removed"})
	t.end("production", deploy.Event{
		Outcome: deploy.Reverted, Message: why, Took: 5 * time.Second,
		Evidence: &deploy.Evidence{Replica: "r1", Reason: "answered 11 requests with 5xx", Log: []string{"GET /pay 500 boom"}, Events: []string{"Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 503"}},
	})
	return t.over(deploy.Reverted, "production: "+why, "").events
}

func tellUnknown() []deploy.Event {
	t := newTale().begin().build().rollout("production", "1.4.2", "1.5.0")
	t.start("production", 1).pass("production", 1).start("production", 2).observe("production", 2, time.Second, 3, 0)
	t.tell(time.Second, deploy.Event{Kind: deploy.Reverting, Environment: "production", Message: "interrupted: terminated"})
	why := "interrupted: terminated; and the way back failed: timed out after 30s: read the state of hello in production"
	hint := "look at slipway status; slipway settle --environment production tries the way back again"
	t.tell(2*time.Minute, deploy.Event{Kind: deploy.Warning, Environment: "production", Message: "the sandbox has not answered for 30s", Hint: "slipway sandbox status"})
	t.end("production", deploy.Event{Outcome: deploy.Unknown, Message: why, Hint: hint, Took: 122 * time.Second})
	return t.over(deploy.Unknown, "production: "+why, hint).events
}

// tellHostile is a run in which everything that comes from outside attacks.
func tellHostile() []deploy.Event {
	const evil = "</td><script>alert(1)</script> @octocat #1 GH-2 [x](http://evil.example) | ``` \n::error::injected\n##[add-mask]x \x1b[31mred\u202e https://evil.example www.evil.example &lt; :smile: %%{init: {}}%% $x^2$"
	t := newTale()
	run := deploy.Run{
		ID: "77-1", URL: "https://github.com/acme/hello/actions/runs/77", Operation: "release", App: "hello",
		Who: "mallory|" + evil, Repository: "acme/hello", Workflow: evil, Commit: commit, Ref: "refs/heads/" + evil,
	}
	t.tell(0, deploy.Event{Kind: deploy.RunStarted, Run: &run, Message: evil})
	t.tell(0, deploy.Event{Kind: deploy.StepStarted, Message: evil})
	t.tell(time.Second, deploy.Event{Kind: deploy.StepEnded, Message: evil, Took: time.Second})
	plan := deploy.Plan{Environment: "staging", Strategy: canary, Stages: stages, Candidate: newRevision("1.5.0"), Live: newRevision("1.4.2")}
	plan.Candidate.Image.Version = "1.5.0`|" + evil
	t.tell(0, deploy.Event{Kind: deploy.StepStarted, Message: "deploy: to, staging; #1"})
	t.tell(0, deploy.Event{Kind: deploy.RolloutStarted, Environment: "staging", Plan: &plan, URL: "javascript:alert(1)//" + evil, Message: evil})
	t.tell(time.Second, deploy.Event{Kind: deploy.StageStarted, Environment: "staging", Stage: 1, Message: evil + ": a, b; c #d"})
	t.check("staging", 1, deploy.CheckResult{Name: evil, Attempts: 2, Took: time.Second, Detail: evil + "\n" + secret})
	t.tell(0, deploy.Event{Kind: deploy.Notice, Environment: "staging", Message: "::set-output name=outcome::promoted"})
	t.tell(0, deploy.Event{Kind: deploy.Warning, Message: evil + secret, Hint: evil})
	t.tell(0, deploy.Event{Kind: deploy.Notice, Environment: evil, Plan: &plan, Message: "</details>"})
	t.tell(time.Second, deploy.Event{Kind: deploy.Reverting, Environment: "staging", Message: evil})
	t.tell(time.Second, deploy.Event{
		Kind: deploy.RolloutEnded, Environment: "staging", Outcome: deploy.Failed, Message: evil + strings.Repeat("x", 3000) + secret, Hint: evil, Took: time.Second,
		Evidence: &deploy.Evidence{Replica: "r1`", Reason: evil, Log: []string{
			"``````", "</details>", "::error::injected by the app", "  ::add-mask::x", "##[group]x", "<!-- slipway:hello -->", "~~~", secret, "\xff\xfe\x00",
		}},
	})
	return t.over(deploy.Failed, evil, evil).events
}

func tellDryRun() []deploy.Event {
	t := newTale().begin()
	t.tell(0, deploy.Event{Kind: deploy.StepStarted, Message: "plan production"})
	t.plan("production", "1.4.2", "1.5.0")
	t.tell(0, deploy.Event{Kind: deploy.StepEnded, Message: "plan production", Took: time.Millisecond})
	return t.over(deploy.Unchanged, "nothing was changed: this was a dry run", "").events
}

// plan says what would happen in an environment.
func (t *tale) plan(env, from, to string) *tale {
	plan := deploy.Plan{Environment: env, Strategy: canary, Candidate: newRevision(to), Stages: stages}
	note := func(p *deploy.Plan, line string) {
		t.tell(0, deploy.Event{Kind: deploy.Notice, Environment: env, Plan: p, Message: line})
	}
	note(nil, "protected: must be approved by octocat; waits 30m; only from main, release/*")
	if from == to {
		plan.Live, plan.Stages = newRevision(from), nil
		note(&plan, to+" is live already: nothing would change")
		return t
	}
	if from != "" {
		plan.Live = newRevision(from)
	}
	note(&plan, "canary: "+to+" would replace "+orElse(from, "nothing"))
	for i, name := range stageNames {
		note(nil, fmt.Sprintf("%d. %s", i+1, name))
	}
	return t
}

// pullRequestRun begins a run of pull request #7.
func pullRequestRun() *tale {
	t := newTale()
	run := theRun()
	run.Operation, run.Ref = "preview", "refs/pull/7/merge"
	t.tell(0, deploy.Event{Kind: deploy.RunStarted, Run: &run, Message: "preview hello to pr-7"})
	return t.tell(0, deploy.Event{Kind: deploy.StepStarted, Message: "plan what merging would do"})
}

// tellPlanned is a pull request in an app without previews, or from a fork.
func tellPlanned() []deploy.Event {
	t := pullRequestRun().plan("staging", "1.5.0", "1.5.0").plan("production", "1.4.2", "1.5.0")
	return t.over(deploy.Unchanged, "nothing was changed: this was planned for the merge", "").events
}

// tellPreviewed is one in an app with previews.
func tellPreviewed() []deploy.Event {
	t := pullRequestRun().plan("staging", "1.4.2", "1.5.0").plan("production", "", "1.5.0").build()
	t.queue("pr-7").promoted("pr-7", "1.4.2", "1.5.0")
	return t.over(deploy.Promoted, "1.5.0 is live in pr-7", "").events
}

// tellSettled is what settle tells: the plan comes last, from the journal.
func tellSettled() []deploy.Event {
	t := newTale()
	run := theRun()
	run.Operation = "settle"
	t.tell(0, deploy.Event{Kind: deploy.RunStarted, Run: &run, Message: "settle hello"})
	t.tell(0, deploy.Event{
		Kind: deploy.Notice, Environment: "production", URL: "http://production.hello.localhost:4280",
		Message: "release of 1.5.0 was left unfinished (holding, stage 2 of 3) by 76-1: settling it",
	})
	const why = "its run ended before the rollout was over"
	t.tell(0, deploy.Event{Kind: deploy.Reverting, Environment: "production", Message: why})
	t.tell(20*time.Millisecond, deploy.Event{Kind: deploy.TrafficBack, Environment: "production", Took: 20 * time.Millisecond, Message: "all users are back on 1.4.2, 20ms after the decision"})
	plan := deploy.Plan{Environment: "production", Strategy: canary, Candidate: newRevision("1.5.0"), Live: newRevision("1.4.2"), Stages: stages}
	t.tell(time.Second, deploy.Event{Kind: deploy.RolloutEnded, Environment: "production", Outcome: deploy.Reverted, Message: why, Plan: &plan, Took: time.Second})
	return t.over(deploy.Promoted, "everything is settled", "").events
}

// tellDrifted is what drift tells, and what it does where it puts back.
func tellDrifted(repaired bool) []deploy.Event {
	t := newTale()
	run := theRun()
	run.Operation = "drift"
	t.tell(0, deploy.Event{Kind: deploy.RunStarted, Run: &run, Message: "drift hello"})
	t.tell(0, deploy.Event{Kind: deploy.StepStarted, Message: "compare with the last release"})
	t.tell(0, deploy.Event{Kind: deploy.Drifted, Environment: "staging", Drift: &deploy.Drift{}, Message: "it is as it was released"})
	at := time.Date(2026, 3, 14, 8, 0, 0, 0, time.UTC)
	t.tell(0, deploy.Event{Kind: deploy.Drifted, Environment: "production", Message: "3 differences from what was released", Drift: &deploy.Drift{
		Repaired: repaired,
		Found: []deploy.Difference{
			{Object: "Deployment shop/hello-production", Change: deploy.DriftChanged, Field: `.spec.template.spec.containers[name="app"].image`, Applied: `"one|two"`, Live: `"` + secret + `"`, Manager: "kubectl-edit", Operation: "Update", At: at},
			{Object: "HTTPRoute shop/hello-production", Change: deploy.DriftRemoved, Field: ".spec.hostnames", Applied: `["hello.example.com"]`},
			{Object: "PodDisruptionBudget shop/hello-production", Change: deploy.DriftMissing},
		},
	}})
	t.tell(0, deploy.Event{Kind: deploy.StepEnded, Message: "compare with the last release", Took: time.Second})
	if repaired {
		return t.over(deploy.Promoted, "staging, production: put back as it was released", "").events
	}
	return t.over(deploy.Held, "3 differences from what was released in production", "put it back with: slipway drift --repair; or release what it should be").events
}

// bakes are the stages of a canary that is watched on by scheduled runs.
var bakes = append(stages[:3:3], deploy.Stage{Act: deploy.ActBake, Share: 100, Hold: 30 * time.Minute, By: deploy.BakeBySchedule})

const bakeName = "all users, watch for 30m0s against what the old version did, by the scheduled run"

// tellWatched is a version that is live, and left to scheduled runs to watch.
func tellWatched() []deploy.Event {
	t := newTale().begin().build().rollout("production", "1.4.2", "1.5.0")
	t.events[len(t.events)-1].Plan.Stages = bakes
	for n := 1; n <= 3; n++ {
		t.start("production", n)
		if n > 1 {
			t.observe("production", n, 5*time.Second, 250, 0)
		}
		t.pass("production", n)
	}
	const until = "watched until 2026-03-14T09:57:04Z by the scheduled slipway reap"
	t.end("production", deploy.Event{
		Outcome: deploy.Promoted, Message: "1.5.0 is live, and " + until, Took: 11 * time.Second, Until: t.at.Add(30 * time.Minute),
	})
	return t.over(deploy.Promoted, "1.5.0 is live in production, and "+until, "").events
}

// tellUndone is the scheduled run that takes it back.
func tellUndone() []deploy.Event {
	t := newTale()
	run := theRun()
	run.Operation, run.ID, run.Commit = "reap", "80-1", strings.Repeat("b", 40)
	t.tell(0, deploy.Event{Kind: deploy.RunStarted, Run: &run, Message: "reap hello"})
	t.tell(0, deploy.Event{Kind: deploy.StageStarted, Environment: "production", Stage: 4, Share: 100, Message: bakeName})
	const why = "errors 2.1% against 0.1% on the version before, after 5000 requests in 12 min; chance of this on a version that is at most 1 point worse below 1 in a million"
	t.tell(10*time.Millisecond, deploy.Event{
		Kind: deploy.Observed, Environment: "production", Stage: 4, Share: 100, Message: why,
		Observation: &deploy.Observation{
			Share: 100, Candidate: deploy.Traffic{Requests: 5000, Errors: 105}, Ready: 2, Replicas: 2, Elapsed: 12 * time.Minute, Hold: 30 * time.Minute,
			Verdict: &deploy.Verdict{Decision: "revert", Metric: "errors", Evidence: 1e9},
		},
	})
	t.tell(0, deploy.Event{Kind: deploy.Reverting, Environment: "production", Message: why})
	t.tell(20*time.Millisecond, deploy.Event{Kind: deploy.TrafficBack, Environment: "production", Took: 20 * time.Millisecond, Message: "all users are back on 1.4.2, 20ms after the decision"})
	plan := deploy.Plan{Environment: "production", Strategy: canary, Candidate: newRevision("1.5.0"), Live: newRevision("1.4.2"), Stages: bakes}
	t.tell(time.Second, deploy.Event{Kind: deploy.RolloutEnded, Environment: "production", Outcome: deploy.Reverted, Message: why, Plan: &plan, Took: time.Second})
	return t.over(deploy.Reverted, "production: "+why, "").events
}

// tellFirst is a first version that is bad: there is nothing to go back to.
func tellFirst() []deploy.Event {
	t := newTale().begin().build().rollout("production", "", "1.5.0").start("production", 1).pass("production", 1)
	t.start("production", 3).observe("production", 3, time.Second, 120, 30)
	why := "30 of 120 answers of 1.5.0 were 5xx (25%), more than 1%"
	t.tell(10*time.Millisecond, deploy.Event{Kind: deploy.Reverting, Environment: "production", Message: why})
	t.end("production", deploy.Event{Outcome: deploy.Reverted, Message: why, Took: 3 * time.Second})
	return t.over(deploy.Reverted, "production: "+why, "").events
}

func tellHeld() []deploy.Event {
	t := newTale().begin().build().rollout("production", "1.4.2", "1.5.0").start("production", 1).pass("production", 1)
	t.start("production", 2).observe("production", 2, 5*time.Second, 212, 0).pass("production", 2)
	why := "1.5.0 is held with 10% of the users since 2026-03-14T09:27:00Z: 10% of the users, watch for 5s passed; the strategy asks for a person here"
	hint := "go on with: slipway resume --environment production; or go back with: slipway abort --environment production"
	t.end("production", deploy.Event{Outcome: deploy.Held, Message: why, Hint: hint, Took: 6 * time.Second})
	return t.over(deploy.Held, "production: "+why, hint).events
}

// tellResumed begins with the stage after those that have passed.
func tellResumed() []deploy.Event {
	t := newTale()
	run := theRun()
	run.ID, run.Operation = "78-1", "resume"
	t.tell(0, deploy.Event{Kind: deploy.RunStarted, Run: &run, Message: "resume hello to production"})
	t.rollout("production", "1.4.2", "1.5.0").start("production", 3).observe("production", 3, 5*time.Second, 2120, 1).pass("production", 3)
	t.end("production", deploy.Event{Outcome: deploy.Promoted, Message: newRevision("1.5.0").String() + " is live", Took: 6 * time.Second})
	return t.over(deploy.Promoted, "1.5.0 is live in production", "").events
}

func tellBuilt() []deploy.Event {
	t := newTale()
	run := theRun()
	run.Operation = "build"
	t.tell(0, deploy.Event{Kind: deploy.RunStarted, Run: &run, Message: "build hello"})
	t.build().tell(0, deploy.Event{Kind: deploy.Notice, Message: "version 1.5.0"})
	return t.over(deploy.Unchanged, newRevision("1.5.0").Image.String(), "").events
}

// tellBroken ends before it comes to an environment.
func tellBroken() []deploy.Event {
	t := newTale().begin().step("compute the version", 4*time.Millisecond).step("build the image", 20*time.Millisecond)
	return t.over(deploy.Failed, `build: bin/hello: no such file or directory (slipway.yaml:6:12)`, "run what makes it before slipway, or mend build.files").events
}

// tellRemoved is what the end of a pull request leads to.
func tellRemoved() []deploy.Event {
	t := newTale()
	run := theRun()
	run.Operation = "preview"
	t.tell(0, deploy.Event{Kind: deploy.RunStarted, Run: &run, Message: "preview hello"})
	t.tell(0, deploy.Event{Kind: deploy.StepStarted, Message: "remove the preview"})
	t.tell(time.Second, deploy.Event{Kind: deploy.Removed, Environment: "pr-7", Message: "pull request #7: it was merged"})
	t.tell(0, deploy.Event{Kind: deploy.StepEnded, Message: "remove the preview", Took: time.Second})
	return t.over(deploy.Unchanged, "", "").events
}

// tellAside comes to production after a newer run.
func tellAside() []deploy.Event {
	t := newTale().begin().build().queue("staging", "production").promoted("staging", "1.4.2", "1.5.0")
	t.tell(0, deploy.Event{Kind: deploy.StepStarted, Message: "deploy to production"})
	why := "1.6.0 of run 78 is live in production already"
	t.tell(0, deploy.Event{Kind: deploy.SteppedAside, Environment: "production", Message: why})
	t.tell(0, deploy.Event{Kind: deploy.StepEnded, Message: "deploy to production"})
	return t.over(deploy.Promoted, "left to a newer run: "+why, "").events
}

// tellStopped is interrupted between two environments.
func tellStopped() []deploy.Event {
	t := newTale().begin().build().queue("staging", "production").promoted("staging", "1.4.2", "1.5.0")
	return t.over(deploy.Failed, "interrupted before it could deploy to production: terminated", "").events
}

// tellUnderWay ends in the middle.
func tellUnderWay() []deploy.Event {
	t := newTale().begin().build().queue("staging", "production").promoted("staging", "1.4.2", "1.5.0").rollout("production", "1.4.2", "1.5.0")
	t.start("production", 1).pass("production", 1)
	return t.start("production", 2).observe("production", 2, 2*time.Second, 97, 0).events
}

// golden compares with a file in testdata, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (make it with -update)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got, -update writes it):\n%s", path, diff)
	}
}

// checkSafe holds what no report may contain.
func checkSafe(t *testing.T, got string) {
	t.Helper()
	if strings.Contains(got, secret) || strings.Contains(got, secret[:8]) {
		t.Errorf("a secret is in:\n%s", got)
	}
}
