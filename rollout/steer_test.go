package rollout

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/deploy"
)

// asked is grace, who asks the run of ada for something.
func asked(f *fake) Deployment {
	owner := somebody
	owner.Reason = "the pager rang"
	return Deployment{Target: f, Owner: owner}
}

// during runs a canary, and what somebody does after a while beside it.
func during(t *testing.T, f *fake, after time.Duration, do func(*Engine) Result) (release, other Result) {
	t.Helper()
	engine, done := &Engine{}, make(chan Result)
	go func() { done <- engine.Deploy(t.Context(), deployment(f, deploy.Canary)) }()
	time.Sleep(after)
	other = do(engine)
	return <-done, other
}

func TestPauseHoldsARolloutWhereItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serving()
		release, other := during(t, f, 8*time.Second, func(e *Engine) Result { return e.Pause(t.Context(), asked(f)) })
		if release.Outcome != deploy.Held || other.Outcome != deploy.Held {
			t.Fatalf("release %s (%s), pause %s (%s)", release.Outcome, release.Reason, other.Outcome, other.Reason)
		}
		if want := "paused by grace (the pager rang)"; !strings.Contains(release.Reason, want) || !strings.Contains(other.Reason, want) {
			t.Errorf("reasons %q and %q lack %q", release.Reason, other.Reason, want)
		}
		if f.state.Share != 50 || f.state.Lock != nil || f.state.Record.Passed != 2 {
			t.Errorf("share %s, lock %+v, passed %d", f.state.Share, f.state.Lock, f.state.Record.Passed)
		}
		leavesAlone(t, f)
	})
}

// leavesAlone demands that neither settle nor another release touches what a
// person has to decide.
func leavesAlone(t *testing.T, f *fake) {
	t.Helper()
	before := f.moving()
	if r := (&Engine{}).Settle(t.Context(), f, somebody); r.Outcome != deploy.Unchanged || !strings.Contains(r.Reason, "held") {
		t.Errorf("settle: %s (%s)", r.Outcome, r.Reason)
	}
	d := deployment(f, deploy.BlueGreen)
	d.Candidate = revision("1.2.0", 2)
	if r := (&Engine{}).Deploy(t.Context(), d); r.Outcome != deploy.Failed || !strings.Contains(r.Hint, "slipway resume --environment production") {
		t.Errorf("deploy: %s (%s; %s)", r.Outcome, r.Reason, r.Hint)
	}
	if diff := cmp.Diff(before, f.moving()); diff != "" {
		t.Errorf("something moved (-before +after):\n%s", diff)
	}
}

// pausedAtTen is a fake with a canary that was paused at 10%.
func pausedAtTen(t *testing.T) *fake {
	t.Helper()
	f := serving()
	if r, _ := during(t, f, 2*time.Second, func(e *Engine) Result { return e.Pause(t.Context(), asked(f)) }); r.Outcome != deploy.Held {
		t.Fatalf("release: %s (%s)", r.Outcome, r.Reason)
	}
	f.acts = nil
	return f
}

func TestResumeGoesOnAndPromotes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := pausedAtTen(t)
		r := (&Engine{}).Resume(t.Context(), asked(f))
		if r.Outcome != deploy.Promoted || r.Environment != "production" {
			t.Fatalf("resume: %s (%s) in %q", r.Outcome, r.Reason, r.Environment)
		}
		if diff := cmp.Diff([]string{"split 1.1.0 10%", "split 1.1.0 50%", "switch 1.1.0", "stop 1.0.0"}, f.moving()); diff != "" {
			t.Errorf("acts (-want +got):\n%s", diff)
		}
		wholeAndFree(t, f, newOne)
	})
}

func TestResumeJudgesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := pausedAtTen(t)
		f.errors[newOne.ID] = 0.2
		if r := (&Engine{}).Resume(t.Context(), asked(f)); r.Outcome != deploy.Reverted {
			t.Fatalf("resume: %s (%s)", r.Outcome, r.Reason)
		}
		wholeAndFree(t, f, oldOne)
	})
}

func TestAbortTakesAHeldRolloutBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := pausedAtTen(t)
		r := (&Engine{}).Abort(t.Context(), asked(f))
		if r.Outcome != deploy.Reverted || !errors.Is(r.Err, ErrAborted) || r.Reason != "aborted by grace (the pager rang)" {
			t.Fatalf("abort: %s (%s)", r.Outcome, r.Reason)
		}
		wholeAndFree(t, f, oldOne)
	})
}

func TestAbortStopsTheRunAtWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serving()
		release, other := during(t, f, 2*time.Second, func(e *Engine) Result { return e.Abort(t.Context(), asked(f)) })
		if release.Outcome != deploy.Reverted || other.Outcome != deploy.Reverted {
			t.Fatalf("release %s (%s), abort %s (%s)", release.Outcome, release.Reason, other.Outcome, other.Reason)
		}
		wholeAndFree(t, f, oldOne)
	})
}

// A signal is for one run: what was meant for an earlier one is not heeded.
func TestAnOldSignalIsNotHeeded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serving()
		f.state.Signal = &deploy.Signal{Kind: deploy.SignalAbort, Run: me.Run, From: somebody, At: time.Now().Add(-time.Minute)}
		if r := (&Engine{}).Deploy(t.Context(), deployment(f, deploy.BlueGreen)); r.Outcome != deploy.Promoted {
			t.Errorf("%s (%s)", r.Outcome, r.Reason)
		}
	})
}

func TestApprovalHoldsAfterItsStage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serving()
		d := deployment(f, deploy.Canary)
		d.Strategy.Approve = []deploy.Percent{0, 50}
		if r := (&Engine{}).Deploy(t.Context(), d); r.Outcome != deploy.Held || f.state.Share != 0 || f.state.Record.Passed != 1 {
			t.Fatalf("%s (%s), share %s, passed %d", r.Outcome, r.Reason, f.state.Share, f.state.Record.Passed)
		}
		if r := (&Engine{}).Resume(t.Context(), asked(f)); r.Outcome != deploy.Held || f.state.Share != 50 {
			t.Fatalf("%s (%s), share %s", r.Outcome, r.Reason, f.state.Share)
		}
		if r := (&Engine{}).Resume(t.Context(), asked(f)); r.Outcome != deploy.Promoted {
			t.Fatalf("%s (%s)", r.Outcome, r.Reason)
		}
		wholeAndFree(t, f, newOne)
	})
}

func TestNothingToSteer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serving()
		e := &Engine{}
		for name, r := range map[string]Result{
			"resume": e.Resume(t.Context(), asked(f)), "abort": e.Abort(t.Context(), asked(f)), "pause": e.Pause(t.Context(), asked(f)),
		} {
			if r.Outcome != deploy.Failed || r.Hint == "" {
				t.Errorf("%s: %s (%s; %s)", name, r.Outcome, r.Reason, r.Hint)
			}
		}
		wholeOrUntouched(t, f)
	})
}

func wholeOrUntouched(t *testing.T, f *fake) {
	t.Helper()
	if len(f.moving()) != 0 || f.state.Lock != nil {
		t.Errorf("acts %v, lock %+v", f.moving(), f.state.Lock)
	}
}
