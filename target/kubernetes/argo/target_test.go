package argo_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout"
)

// The strategies of the benches.
const (
	steps = `{canary: {maxSurge: 1, maxUnavailable: 0, steps: [{setWeight: 25}, {pause: {}}, {setWeight: 50}, {pause: {duration: 1s}}, {setWeight: 75}, {pause: {}}]}}`
	two   = `{canary: {maxSurge: 1, maxUnavailable: 0, steps: [{setWeight: 50}, {pause: {}}]}}`
	blue  = `{blueGreen: {activeService: SERVICE, autoPromotionEnabled: false, scaleDownDelaySeconds: 5}}`
)

// TestRollouts drives Rollouts of the real controller.
func TestRollouts(t *testing.T) {
	l := newLab(t)
	first := push(t, "0.9.0")
	for name, c := range map[string]func(t *testing.T, l *lab, first deploy.Image){
		"canary": canaryWalks, "blue": blueGreenSwitches, "doomed": doomedIsTold, "aborted": abortedByAnother,
		"retried": retriedAfterAbort, "killed": killedIsSettled, "fresh": firstOfAll, "others": othersAreLeft,
		"drifted": driftIsTold,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c(t, l, first)
		})
	}
}

func canaryWalks(t *testing.T, l *lab, first deploy.Image) {
	b := l.onBench(t, 4, first.Reference(), steps)
	b.strategy = deploy.Strategy{Kind: deploy.Canary, Hold: 500 * time.Millisecond, Written: deploy.Written{Kind: true}}.WithDefaults()
	b.strategy.Judging.OnUnknown = deploy.OnUnknownPromote
	b.runs(first) // somebody else has brought it in

	next := b.image("1.0.0")
	r := b.release(next)
	b.ends(r, deploy.Promoted)
	if got := b.events.shares; !slices.Equal(got, []deploy.Percent{25, 50, 75, 0}) {
		t.Errorf("the shares were %v", got)
	}
	if r.Previous.Image.Digest != first.Digest {
		t.Errorf("before it was %v", r.Previous)
	}
	b.runs(next)
	b.ends(b.release(next), deploy.Unchanged)

	// What was live before comes back at once, not step by step, and whole.
	target := b.target()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := target.Switch(ctx, r.Previous); err != nil {
		t.Fatal(err)
	}
	b.runs(first)
}

func blueGreenSwitches(t *testing.T, l *lab, first deploy.Image) {
	b := l.onBench(t, 1, first.Reference(), blue)
	b.strategy.Keep = 500 * time.Millisecond
	b.runs(first)
	next := b.image("1.0.0")
	asked := false
	b.events.reached = func(e deploy.Event) {
		if e.Stage == 1 {
			asked = b.is("status", "blueGreen", "activeSelector") == b.is("status", "stableRS") && b.is("status", "phase") == "Paused"
		}
	}
	b.ends(b.release(next), deploy.Promoted)
	if !asked {
		t.Error("the new version was not looked at before its users came")
	}
	b.runs(next)

	// One whose checks fail is taken back before anybody has met it.
	b.events.reached = nil
	target := b.target()
	e := b.decided(target)
	engine := b.engine(target)
	engine.Check = func(_ context.Context, url string, _ deploy.Revision, checks []deploy.Check, _ func(deploy.CheckResult)) []deploy.CheckResult {
		if !strings.HasPrefix(url, "http://127.0.0.1:") {
			t.Errorf("the check was sent to %q", url)
		}
		return []deploy.CheckResult{{Name: checks[0].Name, Detail: "no"}}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	b.ends(engine.Deploy(ctx, rollout.Deployment{
		Target: target, Candidate: deploy.NewRevision("shop", e, b.image("1.1.0"), nil), Strategy: e.Strategy,
		Checks: []deploy.Check{{Name: "smoke"}}, Owner: deploy.Owner{Run: b.name}, Operation: "release",
	}), deploy.Failed)
	b.runs(next)
}

func doomedIsTold(t *testing.T, l *lab, first deploy.Image) {
	b := l.onBench(t, 2, first.Reference(), two)
	b.runs(first)
	r := b.release(b.image("1.0.0", "-exit", "7", "-say", "no database"))
	b.ends(r, deploy.Reverted)
	var doomed *deploy.Doomed
	if !errors.As(r.Err, &doomed) || r.Evidence == nil || !strings.Contains(r.Evidence.Reason, "code 7") || !slices.Contains(r.Evidence.Log, "no database") {
		t.Errorf("told is %v: %+v", r.Err, r.Evidence)
	}
	b.runs(first)
}

func abortedByAnother(t *testing.T, l *lab, first deploy.Image) {
	b := l.onBench(t, 2, first.Reference(), two)
	b.runs(first)
	b.strategy = deploy.Strategy{Kind: deploy.Canary, Hold: time.Hour, Written: deploy.Written{Kind: true}}.WithDefaults()
	done := make(chan rollout.Result)
	next := b.image("1.0.0")
	go func() { done <- b.release(next) }()
	b.until(t, "it is paused", func() string { return b.is("status", "phase") + " " + b.image1() },
		func(said string) bool { return said == "Paused "+next.Reference() })
	b.somebody(`{"status":{"abort":true}}`, "status")
	b.ends(<-done, deploy.Reverted)
	b.runs(first)
}

func retriedAfterAbort(t *testing.T, l *lab, first deploy.Image) {
	b := l.onBench(t, 2, first.Reference(), two)
	b.runs(first)
	b.strategy.Hold = 0
	next := b.image("1.0.0")
	target := b.target()
	e := b.decided(target)
	r := deploy.NewRevision("shop", e, next, nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := target.Start(ctx, r); err != nil {
		t.Fatal(err)
	}
	b.somebody(`{"status":{"abort":true}}`, "status")
	b.until(t, "it is degraded", func() string { return b.is("status", "phase") }, func(said string) bool { return said == "Degraded" })
	if err := target.Split(ctx, r, 50); err == nil || !strings.Contains(err.Error(), "aborted") {
		t.Errorf("what somebody has aborted went on: %v", err)
	}
	b.strategy = deploy.Strategy{Kind: deploy.Canary, Hold: 200 * time.Millisecond, Written: deploy.Written{Kind: true}}.WithDefaults()
	b.strategy.Judging.OnUnknown = deploy.OnUnknownPromote
	b.ends(b.release(next), deploy.Promoted)
	b.runs(next)
}

// firstOfAll: a Rollout that was applied with an image that is not there.
func firstOfAll(t *testing.T, l *lab, first deploy.Image) {
	const nothing = "127.0.0.1:1/nothing:none"
	b := l.onBench(t, 1, nothing, `{canary: {maxSurge: 1, maxUnavailable: 1, steps: [{setWeight: 50}, {pause: {}}]}}`)
	began := time.Now()
	bad := b.release(b.image("1.0.0", "-exit", "3"))
	t.Logf("told after %s, of %s: %s", time.Since(began), bad.Took, bad.Reason)
	b.ends(bad, deploy.Failed)
	if !strings.Contains(bad.Reason, "code 3") {
		t.Errorf("it failed for another reason: %s", bad.Reason)
	}
	if got := b.image1(); got != nothing {
		t.Errorf("it was left with %s", got)
	}
	next := b.image("1.1.0")
	b.ends(b.release(next), deploy.Promoted)
	b.runs(next)
}

func othersAreLeft(t *testing.T, l *lab, first deploy.Image) {
	b := l.onBench(t, 2, first.Reference(), two)
	b.runs(first)
	for name, c := range map[string]struct {
		change func(*deploy.Environment)
		want   string
	}{
		"another kind": {func(e *deploy.Environment) { e.Strategy.Written.Kind = true }, "blue-green is written in slipway.yaml, and the Rollout others has canary"},
		"other steps":  {func(e *deploy.Environment) { e.Strategy = writtenSteps(10, 100) }, "steps: 10%, 100% is written in slipway.yaml, and the Rollout others stops at 50%, 100%"},
		"another share": {func(e *deploy.Environment) {
			e.Strategy = writtenSteps(50, 100)
			e.Strategy.Approve = []deploy.Percent{10}
		}, "approve: the Rollout others does not stop at 10%"},
		"variables": {func(e *deploy.Environment) {
			e.Service.Env = map[string]string{"A": "b"}
			e.Service.Secrets = []string{"C"}
		}, "slipway.yaml has env, secrets, which the Rollout others says of its pods itself"},
		"the same steps": {func(e *deploy.Environment) { e.Strategy = writtenSteps(50, 100) }, ""},
	} {
		e := b.environment()
		c.change(&e)
		_, _, err := b.target().Decided(t.Context(), e)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || !deploy.IsUsage(err) || deploy.HintOf(err) == "") {
			t.Errorf("%s: got %v (%s)", name, err, deploy.HintOf(err))
		}
	}
	// Somebody else's rollout is not fought.
	b.somebody(`{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"` + b.image("5.0.0").Reference() + `","args":["-port","8080"],"readinessProbe":{"periodSeconds":1,"httpGet":{"path":"/healthz","port":8080}}}]}}}}`)
	b.until(t, "it is paused", func() string { return b.is("status", "phase") }, func(said string) bool { return said == "Paused" })
	if _, _, err := b.target().Decided(t.Context(), b.environment()); err == nil || !strings.Contains(err.Error(), "somebody else is bringing in another version") {
		t.Errorf("got %v", err)
	}
}

// driftIsTold: of a Rollout that others apply, too, it is known what it was released
// as.
func driftIsTold(t *testing.T, l *lab, first deploy.Image) {
	b := l.onBench(t, 1, first.Reference(), two)
	b.runs(first)
	b.strategy = deploy.Strategy{Kind: deploy.Canary, Hold: 200 * time.Millisecond, Written: deploy.Written{Kind: true}}.WithDefaults()
	b.strategy.Judging.OnUnknown = deploy.OnUnknownPromote
	next := b.image("1.0.0")
	b.ends(b.release(next), deploy.Promoted)
	differs := func(want ...string) {
		t.Helper()
		found, err := b.target().Drift(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var fields []string
		for _, d := range found {
			fields = append(fields, d.Field+" "+string(d.Change)+" by "+d.Manager)
		}
		if !slices.Equal(fields, want) {
			t.Errorf("it differs in %q, want %q", fields, want)
		}
	}
	differs()
	b.somebody(`{"spec":{"replicas":2}}`, "scale") // which is somebody's right
	differs()

	b.somebody(`{"spec":{"strategy":{"canary":{"steps":[{"setWeight":10}]}},"template":{"spec":{"containers":[{"name":"web","image":"` + first.Reference() +
		`","args":["-port","8080"],"ports":[{"containerPort":8080}],"readinessProbe":{"periodSeconds":1,"httpGet":{"path":"/healthz","port":8080}}}]}}}}`)
	b.until(t, "it is healthy with what somebody has set", func() string { return b.is("status", "phase") + " " + b.image1() },
		func(said string) bool { return said == "Healthy "+first.Reference() })
	// Of containers the controller becomes an owner, too, which says nothing of who
	// has changed the image.
	differs(".spec.strategy.canary.steps changed by somebody", ".spec.template.spec.containers[0].image changed by ")
	target := b.target()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if undone, err := target.Repair(ctx, func(string) string { return "" }); err != nil || len(undone) != 2 {
		t.Errorf("put back are %v: %v", undone, err)
	}
	b.runs(next)
	differs()
	b.somebody(`{"spec":{"restartAt":"2026-01-01T00:00:00Z"}}`) // the same; it takes the controller a while
	differs()
}

func writtenSteps(steps ...deploy.Percent) deploy.Strategy {
	return deploy.Strategy{Kind: deploy.Canary, Steps: steps, Written: deploy.Written{Kind: true, Steps: true}}.WithDefaults()
}

// The variables of TestAnotherProcess.
const (
	asProcess = "SLIPWAY_TEST_ROLLOUT"
	asImage   = "SLIPWAY_TEST_IMAGE"
	asLogin   = "SLIPWAY_TEST_LOGIN"
)

// killedIsSettled kills a process in the middle of a release.
func killedIsSettled(t *testing.T, l *lab, first deploy.Image) {
	b := l.onBench(t, 2, first.Reference(), two)
	b.runs(first)
	next := b.image("1.0.0")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, "-test.run", "^TestAnotherProcess$", "-test.timeout", "5m")
	c.Env = append(os.Environ(), asProcess+"="+b.name+" "+b.namespace, asImage+"="+next.Reference(), asLogin+"="+b.kubeconfig)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	b.until(t, "it is paused with the new version", func() string { return b.is("status", "phase") + " " + b.image1() },
		func(said string) bool { return said == "Paused "+next.Reference() })
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // it says that it was killed

	target := b.target()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	engine := b.engine(target)
	var r rollout.Result
	for ctx.Err() == nil { // until its hold has run out
		r = engine.Settle(ctx, target, deploy.Owner{Run: "settle"})
		if _, locked := errors.AsType[*deploy.Locked](r.Err); !locked {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	b.ends(r, deploy.Reverted)
	b.runs(first)
}

// TestAnotherProcess is the release that killedIsSettled kills.
func TestAnotherProcess(t *testing.T) {
	name, namespace, is := strings.Cut(os.Getenv(asProcess), " ")
	if !is {
		t.Skip("it is a part of TestRollouts")
	}
	b := &bench{T: t, lab: &lab{namespace: namespace, kubeconfig: os.Getenv(asLogin)}, name: name, events: &events{}}
	b.strategy = deploy.Strategy{Kind: deploy.Canary, Hold: time.Hour, Written: deploy.Written{Kind: true}}.WithDefaults()
	target := b.target()
	e := b.decided(target)
	repository, digest, _ := strings.Cut(os.Getenv(asImage), "@")
	engine := b.engine(target)
	engine.LockTTL = 3 * time.Second
	engine.Deploy(t.Context(), rollout.Deployment{
		Target: target, Candidate: deploy.NewRevision("shop", e, deploy.Image{Repository: repository, Digest: digest, Version: "1.0.0"}, nil),
		Strategy: e.Strategy, Owner: deploy.Owner{Run: "killed"}, Operation: "release",
	})
}
