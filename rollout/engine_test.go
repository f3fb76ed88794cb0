package rollout

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/deploy"
)

func revision(version string, replicas int) deploy.Revision {
	env := deploy.Environment{Name: "production", Service: deploy.Service{
		Port: 8080, Replicas: replicas, StartTimeout: 30 * time.Second, Drain: 5 * time.Second,
	}}
	image := deploy.Image{Repository: "registry/hello", Digest: "sha256:" + version, Version: version}
	return deploy.NewRevision("hello", env, image, nil)
}

var (
	me       = deploy.Owner{Run: "run-1", Who: "ada"}
	somebody = deploy.Owner{Run: "run-2", Who: "grace", Reason: "release 9.9.9"}
	oldOne   = revision("1.0.0", 2)
	newOne   = revision("1.1.0", 2)

	strategies = map[deploy.Kind]deploy.Strategy{
		deploy.Recreate:  {Kind: deploy.Recreate, Hold: 2 * time.Second, Errors: 1},
		deploy.Rolling:   {Kind: deploy.Rolling, Batch: 1, Hold: 2 * time.Second, Errors: 1},
		deploy.BlueGreen: {Kind: deploy.BlueGreen, Keep: 3 * time.Second, Errors: 1},
		deploy.Canary:    {Kind: deploy.Canary, Steps: []deploy.Percent{10, 50, 100}, Hold: 5 * time.Second, Errors: 1},
		baselined: {
			Kind: deploy.Canary, Steps: []deploy.Percent{10, 75, 100}, Hold: 5 * time.Second, Errors: deploy.NoLimit, Baseline: deploy.BaselineFresh,
		},
	}
)

// baselined is a canary beside a baseline.
const baselined deploy.Kind = "canary beside a baseline"

// serving is a fake on which the old version is live.
func serving() *fake {
	f := newFake()
	f.scale(oldOne, 2)
	live := oldOne
	f.state.Live = &live
	return f
}

func deployment(f *fake, k deploy.Kind) Deployment {
	return Deployment{Target: f, Candidate: newOne, Strategy: strategies[k], Owner: me, Operation: "release"}
}

// story collects what an engine tells.
type story struct{ events []deploy.Event }

func (s *story) Report(_ context.Context, e deploy.Event) error {
	s.events = append(s.events, e)
	return nil
}

func (s *story) find(k deploy.EventKind) (deploy.Event, bool) {
	for _, e := range s.events {
		if e.Kind == k {
			return e, true
		}
	}
	return deploy.Event{}, false
}

func TestGoodVersionIsPromoted(t *testing.T) {
	want := map[deploy.Kind][]string{
		deploy.Recreate:  {"stop 1.0.0", "start 1.1.0", "switch 1.1.0", "stop 1.0.0"},
		deploy.Rolling:   {"roll 1.1.0 1/0/2", "roll 1.1.0 1/1/2", "roll 1.1.0 2/2/1", "switch 1.1.0", "stop 1.0.0"},
		deploy.BlueGreen: {"start 1.1.0", "switch 1.1.0", "stop 1.0.0"},
		deploy.Canary:    {"start 1.1.0", "split 1.1.0 10%", "split 1.1.0 50%", "switch 1.1.0", "stop 1.0.0"},
		baselined: {
			"start 1.1.0", "start the baseline of 1.0.0", "split 1.1.0 10% beside 10%", "split 1.1.0 75% beside 25%",
			"switch 1.1.0", "stop the baseline", "stop 1.0.0",
		},
	}
	for kind, acts := range want {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := serving()
				r := (&Engine{}).Deploy(t.Context(), deployment(f, kind))
				if r.Outcome != deploy.Promoted {
					t.Fatalf("outcome %s: %s", r.Outcome, r.Reason)
				}
				if diff := cmp.Diff(acts, f.moving()); diff != "" {
					t.Errorf("acts (-want +got):\n%s", diff)
				}
				wholeAndFree(t, f, newOne)
				if got := f.state.History[0]; got.Outcome != deploy.Promoted || got.Candidate.ID != newOne.ID || got.Previous.ID != oldOne.ID {
					t.Errorf("history: %+v", got)
				}
			})
		})
	}
}

// wholeAndFree demands what every deployment must leave behind: users on one
// version, all of it and nothing else running, journal closed, nobody holding.
func wholeAndFree(t *testing.T, f *fake, live deploy.Revision) {
	t.Helper()
	if f.state.Live == nil || f.state.Live.ID != live.ID {
		t.Errorf("live is %s, want %s", show(f.state.Live), live)
	}
	if len(f.state.Running) != 1 || len(f.state.Running[0].Replicas) != live.Config.Replicas {
		t.Errorf("running: %+v, want %d replicas of %s alone", f.state.Running, live.Config.Replicas, live)
	}
	if f.state.Share != 0 || f.state.Candidate != nil {
		t.Errorf("candidate %s with %s", show(f.state.Candidate), f.state.Share)
	}
	if f.state.BaselineShare != 0 || f.state.Baseline != nil {
		t.Errorf("baseline %s with %s", show(f.state.Baseline), f.state.BaselineShare)
	}
	if f.state.Record.Phase != deploy.PhaseSettled {
		t.Errorf("journal is in phase %q", f.state.Record.Phase)
	}
	if f.state.Lock != nil {
		t.Errorf("still held by %s", f.state.Lock.Owner.Run)
	}
}

func TestFirstDeploymentNeedsNoStrategy(t *testing.T) {
	for kind := range strategies {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			r := (&Engine{}).Deploy(t.Context(), deployment(f, kind))
			if r.Outcome != deploy.Promoted || r.Took > time.Second {
				t.Errorf("%s: %s after %s: %s", kind, r.Outcome, r.Took, r.Reason)
			}
			wholeAndFree(t, f, newOne)
		})
	}
}

func TestSameRevisionIsUnchanged(t *testing.T) {
	f := serving()
	d := deployment(f, deploy.Canary)
	d.Candidate = oldOne
	r := (&Engine{}).Deploy(t.Context(), d)
	if r.Outcome != deploy.Unchanged || len(f.moving()) != 0 {
		t.Errorf("%s, acts %v", r.Outcome, f.moving())
	}
}

// Every way in which a version can be bad, in every strategy, ends with users
// on the old version, and tells them apart by whether a user met the new one.
func TestBadVersionGoesBack(t *testing.T) {
	never := deploy.Outcome("")
	bad := []struct {
		name   string
		spoil  func(f *fake, d *Deployment, e *Engine)
		reason string
		// limited is the reason where nobody compares both versions, if it is
		// another one.
		limited string
		// outcome by strategy is Reverted where not named.
		outcome map[deploy.Kind]deploy.Outcome
	}{
		{
			name: "never ready",
			spoil: func(f *fake, _ *Deployment, _ *Engine) {
				doomed := func(context.Context) error {
					return &deploy.Doomed{Revision: newOne, Evidence: deploy.Evidence{Replica: "a", Reason: "exited with code 3"}, Hint: "read its log"}
				}
				f.trouble["start 1.1.0"], f.trouble["roll 1.1.0 1/0/2"] = doomed, doomed
			},
			reason:  "exited with code 3",
			outcome: map[deploy.Kind]deploy.Outcome{deploy.Canary: deploy.Failed, deploy.BlueGreen: deploy.Failed, deploy.Rolling: deploy.Failed},
		},
		{
			name: "fails a tenth",
			spoil: func(f *fake, _ *Deployment, _ *Engine) {
				f.errors[newOne.ID] = 0.1
			},
			reason:  "% against 0% on the ",
			limited: "failed on the new version",
		},
		{
			name: "dies under traffic",
			spoil: func(f *fake, _ *Deployment, _ *Engine) {
				time.AfterFunc(time.Second, func() { f.mu.Lock(); defer f.mu.Unlock(); f.restarts[newOne.ID] = 1 })
			},
			reason: "died while it was watched",
		},
		{
			name: "stays unready",
			spoil: func(f *fake, d *Deployment, _ *Engine) {
				d.Strategy.Hold, d.Strategy.Keep = 6*time.Second, 6*time.Second
				f.down[newOne.ID] = 1
			},
			reason:  "have not been ready",
			outcome: map[deploy.Kind]deploy.Outcome{deploy.Canary: never, deploy.BlueGreen: never, deploy.Rolling: never},
		},
		{
			name: "check fails",
			spoil: func(_ *fake, d *Deployment, e *Engine) {
				d.Checks = []deploy.Check{{Name: "home"}}
				e.Check = func(context.Context, string, deploy.Revision, []deploy.Check, func(deploy.CheckResult)) []deploy.CheckResult {
					return []deploy.CheckResult{{Name: "home", Detail: "status 500"}}
				}
			},
			reason:  `check "home" failed: status 500`,
			outcome: map[deploy.Kind]deploy.Outcome{deploy.Canary: deploy.Failed, deploy.BlueGreen: deploy.Failed, deploy.Rolling: deploy.Failed},
		},
		{
			name: "another digest runs",
			spoil: func(f *fake, _ *Deployment, _ *Engine) {
				f.digest = "sha256:other"
			},
			reason: "runs sha256:other",
		},
		{
			name: "the state cannot be read",
			spoil: func(f *fake, d *Deployment, _ *Engine) {
				d.Strategy.Hold, d.Strategy.Keep = time.Minute, time.Minute
				for _, act := range []string{"switch 1.1.0", "split 1.1.0 10%", "split 1.1.0 10% beside 10%", "roll 1.1.0 1/1/2"} {
					f.trouble[act] = func(context.Context) error {
						f.mu.Lock()
						defer f.mu.Unlock()
						f.trouble["state"] = broken
						time.AfterFunc(20*time.Second, func() { f.mu.Lock(); defer f.mu.Unlock(); delete(f.trouble, "state") })
						return nil
					}
				}
			},
			reason: "nothing could be seen for 10s",
		},
	}
	for _, tt := range bad {
		for kind := range strategies {
			t.Run(tt.name+"/"+string(kind), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f, told := serving(), &story{}
					e := &Engine{Reporter: told}
					d := deployment(f, kind)
					tt.spoil(f, &d, e)
					r := e.Deploy(t.Context(), d)
					f.digest = ""
					want, named := tt.outcome[d.Strategy.Kind]
					why := tt.reason
					if tt.limited != "" && d.Strategy.Kind != deploy.Canary {
						why = tt.limited
					}
					switch {
					case !named:
						want = deploy.Reverted
					case want == never:
						want = deploy.Failed // unready from the start: found before any user
					}
					if r.Outcome != want || !strings.Contains(r.Reason, why) {
						t.Fatalf("%s: %s, want %s: …%s…", r.Outcome, r.Reason, want, why)
					}
					wholeAndFree(t, f, oldOne)
					if e, ok := told.find(deploy.TrafficBack); want == deploy.Reverted && (!ok || e.Took > time.Second && tt.name != "the state cannot be read") {
						t.Errorf("users were back after %s (told: %v)", e.Took, ok)
					}
				})
			})
		}
	}
}

// Cancelling at any moment takes everything back, or, once the last stage has
// passed, completes it.
func TestCancelAtEveryMoment(t *testing.T) {
	for kind := range strategies {
		for at := range 40 {
			synctest.Test(t, func(t *testing.T) {
				f := serving()
				slow := func(ctx context.Context) error {
					select {
					case <-ctx.Done():
						return ctx.Err()
					case <-time.After(700 * time.Millisecond):
						return nil
					}
				}
				for _, act := range []string{"start 1.1.0", "switch 1.1.0", "stop 1.0.0", "split 1.1.0 10%", "roll 1.1.0 1/0/2", "start the baseline of 1.0.0", "split 1.1.0 10% beside 10%", "stop the baseline"} {
					f.trouble[act] = slow
				}
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Duration(at)*500*time.Millisecond, func() { cancel(errors.New("SIGTERM")) })
				r := (&Engine{}).Deploy(ctx, deployment(f, kind))
				cancel(nil)
				switch r.Outcome {
				case deploy.Promoted:
					wholeAndFree(t, f, newOne)
				case deploy.Reverted, deploy.Failed:
					if f.state.Record.Version == 0 { // before anything was begun
						return
					}
					wholeAndFree(t, f, oldOne)
					if !strings.Contains(r.Reason, "interrupted") || !strings.Contains(r.Reason, "SIGTERM") {
						t.Errorf("%s at %d: reason %q", kind, at, r.Reason)
					}
				default:
					t.Errorf("%s at %d: %s %s", kind, at, r.Outcome, r.Reason)
				}
			})
		}
	}
}

// killed panics through the engine at the nth write of the journal, as a
// process does that is killed there: nothing after it runs.
type killed struct {
	*fake
	after int
}

type kill struct{}

func (k *killed) Write(ctx context.Context, r deploy.Record) error {
	if k.after--; k.after < 0 {
		panic(kill{})
	}
	return k.fake.Write(ctx, r)
}

// Whatever a killed run leaves, the next run of settle ends with users on one
// whole version.
// untouchable cannot be taken, and remembers whether somebody tried.
type untouchable struct {
	*fake
	tried bool
}

func (u *untouchable) Lock(context.Context, deploy.Owner, time.Duration) error {
	u.tried = true
	return errors.New("it is taken")
}

// A hold makes the place of an environment that is not there yet, and needs the
// right to write.
func TestSettleTakesNothingWhereNothingIsUnfinished(t *testing.T) {
	u := &untouchable{fake: serving()}
	if r := (&Engine{}).Settle(t.Context(), u, somebody); r.Outcome != deploy.Unchanged || u.tried {
		t.Errorf("%s: %s; tried to take it: %v", r.Outcome, r.Reason, u.tried)
	}
	u.state.Record.Phase, u.state.Record.Candidate = deploy.PhaseStarting, newOne
	if r := (&Engine{}).Settle(t.Context(), u, somebody); r.Outcome != deploy.Failed || !u.tried {
		t.Errorf("unfinished: %s: %s; tried to take it: %v", r.Outcome, r.Reason, u.tried)
	}
}

func TestSettleAfterKillAtEveryWrite(t *testing.T) {
	for kind := range strategies {
		for n := range 14 {
			t.Run(fmt.Sprintf("%s/%d", kind, n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := serving()
					died := dies(t, &killed{fake: f, after: n}, kind)
					r := (&Engine{}).Settle(t.Context(), f, somebody)
					switch {
					case r.Outcome == deploy.Unknown || r.Outcome == deploy.Failed && r.Live.IsZero():
						t.Fatalf("%s: %s", r.Outcome, r.Reason)
					case !died || f.state.Live.ID == newOne.ID:
						wholeAndFree(t, f, newOne)
					case f.state.Record.Version > 0:
						wholeAndFree(t, f, oldOne)
					}
					again := (&Engine{}).Settle(t.Context(), f, somebody)
					if again.Outcome != deploy.Unchanged {
						t.Errorf("settled twice: %s, %s", again.Outcome, again.Reason)
					}
				})
			})
		}
	}
}

func dies(t *testing.T, k *killed, kind deploy.Kind) (died bool) {
	d := deployment(k.fake, kind)
	d.Target = k
	return dying(func() { (&Engine{}).Deploy(t.Context(), d) })
}

// dying does something of which a process may die.
func dying(do func()) (died bool) {
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(kill); !ok {
				panic(p)
			}
			died = true
			time.Sleep(time.Minute) // the dead run's hold runs out
		}
	}()
	do()
	return false
}

func TestHeldBySomebodyElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serving()
		if err := f.Lock(t.Context(), somebody, time.Hour); err != nil {
			t.Fatal(err)
		}
		r := (&Engine{}).Deploy(t.Context(), deployment(f, deploy.Canary))
		if r.Outcome != deploy.Failed || !strings.Contains(r.Reason, "held by grace (release 9.9.9) since 2000-01-01T00:00:00Z") {
			t.Errorf("%s: %s", r.Outcome, r.Reason)
		}
		if r.Hint == "" || len(f.moving()) != 0 {
			t.Errorf("hint %q, acts %v", r.Hint, f.moving())
		}
	})
}

func TestHoldIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serving()
		d := deployment(f, deploy.BlueGreen)
		d.Strategy.Keep = 10 * time.Minute
		time.AfterFunc(9*time.Minute, func() {
			if err := f.Lock(t.Context(), somebody, time.Minute); err == nil {
				t.Error("the hold of a run at work has run out")
			}
		})
		if r := (&Engine{}).Deploy(t.Context(), d); r.Outcome != deploy.Promoted {
			t.Errorf("%s: %s", r.Outcome, r.Reason)
		}
	})
}

// A run that was taken over must not touch anything: not even to go back.
func TestOvertakenRunStopsTouching(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serving()
		f.trouble["split 1.1.0 50%"] = func(context.Context) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			f.stolen = true
			return nil
		}
		r := (&Engine{}).Deploy(t.Context(), deployment(f, deploy.Canary))
		if r.Outcome != deploy.Unknown || !errors.Is(r.Err, deploy.ErrConflict) {
			t.Fatalf("%s: %s", r.Outcome, r.Reason)
		}
		if acts := f.moving(); acts[len(acts)-1] != "split 1.1.0 50%" {
			t.Errorf("it went on: %v", acts)
		}
	})
}

func TestWayBackIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serving()
		f.errors[newOne.ID] = 1
		failures := 3
		f.trouble["split 1.1.0 0%"] = func(context.Context) error {
			if failures--; failures >= 0 {
				return errBroken
			}
			return nil
		}
		r := (&Engine{}).Deploy(t.Context(), deployment(f, deploy.Canary))
		if r.Outcome != deploy.Reverted {
			t.Fatalf("%s: %s", r.Outcome, r.Reason)
		}
		wholeAndFree(t, f, oldOne)
	})
}

func TestWayBackThatFailsIsUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serving()
		f.errors[newOne.ID] = 1
		f.trouble["split 1.1.0 0%"] = broken
		r := (&Engine{}).Deploy(t.Context(), deployment(f, deploy.Canary))
		if r.Outcome != deploy.Unknown || !strings.Contains(r.Hint, "slipway settle") {
			t.Fatalf("%s: %s (%s)", r.Outcome, r.Reason, r.Hint)
		}
		if f.state.Record.Phase != deploy.PhaseReverting {
			t.Errorf("journal says %q", f.state.Record.Phase)
		}
		delete(f.trouble, "split 1.1.0 0%")
		if r := (&Engine{}).Settle(t.Context(), f, me); r.Outcome != deploy.Reverted {
			t.Errorf("settle: %s: %s", r.Outcome, r.Reason)
		}
		wholeAndFree(t, f, oldOne)
	})
}

// A call to a target that never answers must not hold a run for ever.
func TestNoWaitWithoutLimit(t *testing.T) {
	for _, act := range []string{"start 1.1.0", "split 1.1.0 10%", "switch 1.1.0"} {
		synctest.Test(t, func(t *testing.T) {
			f := serving()
			f.trouble[act] = hangs
			r := (&Engine{}).Deploy(t.Context(), deployment(f, deploy.Canary))
			if !strings.Contains(r.Reason, "timed out after") || r.Took > 2*time.Minute {
				t.Errorf("%s: %s after %s", r.Outcome, r.Reason, r.Took)
			}
			wholeAndFree(t, f, oldOne)
		})
	}
}

// A first deployment that fails after the switch leaves nothing that a second
// one could mistake for a live version.
func TestFailedFirstDeploymentCanBeRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.digest = "sha256:other"
		if r := (&Engine{}).Deploy(t.Context(), deployment(f, deploy.Canary)); r.Outcome == deploy.Promoted {
			t.Fatalf("%s: %s", r.Outcome, r.Reason)
		}
		f.digest = ""
		if r := (&Engine{}).Deploy(t.Context(), deployment(f, deploy.Canary)); r.Outcome != deploy.Promoted {
			t.Errorf("%s: %s", r.Outcome, r.Reason)
		}
		wholeAndFree(t, f, newOne)
	})
}
