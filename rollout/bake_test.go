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

// baked is a deployment whose version is watched for half an hour after its
// last stage, by whom the test says.
func baked(f *fake, k deploy.Kind, by deploy.Baker) Deployment {
	d := deployment(f, k)
	d.Strategy.Errors = deploy.NoLimit
	d.Strategy.Bake, d.Strategy.BakeBy = 30*time.Minute, by
	return d
}

// later makes something happen to the fake after a while.
func (f *fake) later(after time.Duration, do func()) {
	time.AfterFunc(after, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.count()
		do()
	})
}

// worsens makes the candidate fail from now on, besides what it has failed
// before. The fake counts errors as a share of all requests so far.
func (f *fake) worsens(share float64) { f.errors[newOne.ID] = share }

// bothUp demands a version that is watched: it has all users, and the one
// before is up without any.
func bothUp(t *testing.T, f *fake) {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state.Live == nil || f.state.Live.ID != newOne.ID || f.state.Share != 0 {
		t.Errorf("live is %s, share %s", show(f.state.Live), f.state.Share)
	}
	if len(f.state.Running) != 2 || replicas(f.state, oldOne) != 2 || replicas(f.state, newOne) != 2 {
		t.Errorf("running: %+v", f.state.Running)
	}
	if !f.state.Record.Baking() || f.state.Lock != nil {
		t.Errorf("the journal is in phase %q, lock %+v", f.state.Record.Phase, f.state.Lock)
	}
}

func TestBakeByTheRun(t *testing.T) {
	for name, c := range map[string]struct {
		kind   deploy.Kind
		spoil  func(f *fake)
		want   deploy.Outcome
		reason string
		least  time.Duration
		most   time.Duration
	}{
		"a good canary":        {deploy.Canary, func(*fake) {}, deploy.Promoted, "is live", 30 * time.Minute, 31 * time.Minute},
		"a good blue-green":    {deploy.BlueGreen, func(*fake) {}, deploy.Promoted, "is live", 30 * time.Minute, 31 * time.Minute},
		"nobody comes at last": {deploy.Canary, func(f *fake) { f.later(time.Minute, func() { f.rate = 0 }) }, deploy.Promoted, "is live", 30 * time.Minute, 31 * time.Minute},
		"it gets bad": {
			deploy.Canary, func(f *fake) { f.later(10*time.Minute, func() { f.worsens(0.05) }) },
			deploy.Reverted, "against 0% on the version before, after", 10 * time.Minute, 10*time.Minute + 5*time.Second,
		},
		"a blue-green gets bad": {
			deploy.BlueGreen, func(f *fake) { f.later(20*time.Minute, func() { f.worsens(0.05) }) },
			deploy.Reverted, "against 0% on the version before, after", 20 * time.Minute, 20*time.Minute + 5*time.Second,
		},
		"a replica dies": {
			deploy.Canary, func(f *fake) { f.later(10*time.Minute, func() { f.restarts[newOne.ID] = 1 }) },
			deploy.Reverted, "died while it was watched", 10 * time.Minute, 10*time.Minute + time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := serving()
				time.Sleep(5 * time.Minute) // the old version has a past
				c.spoil(f)
				f.later(9*time.Minute, func() {
					if len(f.state.Running) != 2 || f.state.Live.ID != newOne.ID {
						t.Errorf("while it bakes, live is %s of %+v", show(f.state.Live), f.state.Running)
					}
				})
				r := (&Engine{}).Deploy(t.Context(), baked(f, c.kind, ""))
				if r.Outcome != c.want || !strings.Contains(r.Reason, c.reason) || !r.Until.IsZero() {
					t.Errorf("%s: %s (until %s); want %s: …%s…", r.Outcome, r.Reason, r.Until, c.want, c.reason)
				}
				if r.Took < c.least || r.Took > c.most {
					t.Errorf("it took %s, want %s to %s", r.Took, c.least, c.most)
				}
				if live := newOne; c.want == deploy.Promoted {
					wholeAndFree(t, f, live)
				} else {
					wholeAndFree(t, f, oldOne)
				}
			})
		})
	}
}

func TestFirstDeploymentIsNotBaked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		if r := (&Engine{}).Deploy(t.Context(), baked(f, deploy.Canary, deploy.BakeBySchedule)); r.Outcome != deploy.Promoted || r.Took > time.Second {
			t.Errorf("%s after %s: %s", r.Outcome, r.Took, r.Reason)
		}
		wholeAndFree(t, f, newOne)
	})
}

// left is a fake whose new version was left to be watched by scheduled runs,
// after the old one had a past of five minutes.
func left(t *testing.T, kind deploy.Kind) *fake {
	t.Helper()
	f := serving()
	time.Sleep(5 * time.Minute)
	r := (&Engine{}).Deploy(t.Context(), baked(f, kind, deploy.BakeBySchedule))
	if r.Outcome != deploy.Promoted || !strings.Contains(r.Reason, "watched until") || r.Took > time.Minute {
		t.Fatalf("%s after %s: %s", r.Outcome, r.Took, r.Reason)
	}
	if got := time.Until(r.Until); got < 29*time.Minute || got > 30*time.Minute {
		t.Errorf("it is watched for %s", got)
	}
	bothUp(t, f)
	f.acts = nil
	return f
}

// reaper looks as a scheduled run does.
func reaper(f *fake) Deployment {
	return Deployment{Target: f, Candidate: deploy.Revision{Environment: "production"}, Owner: somebody, Operation: "reap"}
}

// looks lets scheduled runs look every five minutes until one does more than
// that, or n have.
func looks(t *testing.T, f *fake, told *story, n int) Result {
	t.Helper()
	var r Result
	for range n {
		time.Sleep(5 * time.Minute)
		r = (&Engine{Reporter: told}).Bake(t.Context(), reaper(f))
		if r.Outcome != deploy.Unchanged {
			return r
		}
		bothUp(t, f)
		if !strings.Contains(r.Reason, "watched until") {
			t.Errorf("it says %q", r.Reason)
		}
	}
	return r
}

func TestScheduledRunsFinishAGoodOne(t *testing.T) {
	for _, kind := range []deploy.Kind{deploy.Canary, deploy.BlueGreen} {
		synctest.Test(t, func(t *testing.T) {
			f, told := left(t, kind), &story{}
			if r := looks(t, f, told, 5); r.Outcome != deploy.Unchanged || len(f.moving()) != 0 {
				t.Fatalf("after 25 minutes: %s (%s), acts %v", r.Outcome, r.Reason, f.moving())
			}
			if got := len(f.state.Record.Bake.Looks); got != 5 {
				t.Errorf("%d looks are remembered", got)
			}
			r := looks(t, f, told, 1)
			if r.Outcome != deploy.Promoted || r.Environment != "production" {
				t.Fatalf("after 30 minutes: %s (%s) in %q", r.Outcome, r.Reason, r.Environment)
			}
			if diff := cmp.Diff([]string{"stop 1.0.0"}, f.moving()); diff != "" {
				t.Errorf("acts (-want +got):\n%s", diff)
			}
			wholeAndFree(t, f, newOne)
			if e, ok := told.find(deploy.RolloutEnded); !ok || e.Outcome != deploy.Promoted || e.Plan == nil || e.Plan.Candidate.ID != newOne.ID {
				t.Errorf("told: %+v", e)
			}
			if got := told.messages(deploy.Observed); !strings.Contains(got, "errors 0% against 0% on the version before, after") {
				t.Errorf("the verdicts are %q", got)
			}
		})
	}
}

func TestScheduledRunsGoBack(t *testing.T) {
	for name, c := range map[string]struct {
		spoil  func(f *fake)
		reason string
	}{
		"it fails":          {func(f *fake) { f.worsens(0.03) }, "on the version before, after"},
		"a replica died":    {func(f *fake) { f.restarts[newOne.ID] = 1 }, "died while it was watched"},
		"replicas are gone": {func(f *fake) { f.scale(newOne, 0) }, "have not been ready for"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, told := left(t, deploy.Canary), &story{}
				f.later(12*time.Minute, func() { c.spoil(f) })
				if r := looks(t, f, told, 2); r.Outcome != deploy.Unchanged {
					t.Fatalf("before that: %s (%s)", r.Outcome, r.Reason)
				}
				r := looks(t, f, told, 1)
				if r.Outcome != deploy.Reverted || !strings.Contains(r.Reason, c.reason) {
					t.Fatalf("%s (%s), want …%s…", r.Outcome, r.Reason, c.reason)
				}
				if e, ok := told.find(deploy.TrafficBack); !ok || e.Took > time.Second {
					t.Errorf("users were back after %s", e.Took)
				}
				wholeAndFree(t, f, oldOne)
				if h := f.state.History[0]; h.Outcome != deploy.Reverted || h.Reason != r.Reason {
					t.Errorf("history: %+v", h)
				}
			})
		})
	}
}

// A machine that was started again begins its replicas and counts anew. What
// users got until they were ready is not held against the version; what they get
// from then on is.
func TestBakeOnAMachineThatWasStartedAgain(t *testing.T) {
	for name, c := range map[string]struct {
		after float64
		want  deploy.Outcome
	}{"it is good": {0, deploy.Promoted}, "it is bad": {0.1, deploy.Reverted}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := left(t, deploy.Canary)
				if r := looks(t, f, &story{}, 1); r.Outcome != deploy.Unchanged {
					t.Fatalf("%s (%s)", r.Outcome, r.Reason)
				}
				f.later(5*time.Minute-time.Second, func() {
					f.since[newOne.ID], f.down[newOne.ID] = time.Now(), 2
					*f.counts[newOne.ID] = deploy.Traffic{}
					f.worsens(1)
				})
				f.later(5*time.Minute+10*time.Second, func() {
					f.down[newOne.ID] = 0
					f.worsens(0)
					f.counts[newOne.ID].Errors = 0
				})
				if r := looks(t, f, &story{}, 1); r.Outcome != deploy.Unchanged {
					t.Fatalf("on the machine that was started again: %s (%s)", r.Outcome, r.Reason)
				}
				f.later(time.Second, func() { f.worsens(c.after) })
				r := looks(t, f, &story{}, 6)
				if r.Outcome != c.want {
					t.Errorf("%s (%s)", r.Outcome, r.Reason)
				}
			})
		})
	}
}

// What each look has seen counts in the next: too little to go back for in five
// minutes is enough in twenty.
func TestLooksAddUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serving()
		f.rate = 2
		time.Sleep(2 * time.Hour)
		if r := (&Engine{}).Deploy(t.Context(), func() Deployment {
			d := baked(f, deploy.BlueGreen, deploy.BakeBySchedule)
			d.Strategy.Bake = 12 * time.Hour
			return d
		}()); r.Outcome != deploy.Promoted {
			t.Fatalf("%s: %s", r.Outcome, r.Reason)
		}
		f.later(time.Second, func() { f.worsens(0.025) })
		told, n := &story{}, 0
		for n = 1; n < 100; n++ {
			if r := looks(t, f, told, 1); r.Outcome == deploy.Reverted {
				break
			}
		}
		if n < 3 || n == 100 {
			t.Errorf("it goes back at look %d", n)
		}
		wholeAndFree(t, f, oldOne)
	})
}

// A version that is suspicious when its time is over is watched on, and then a
// person decides.
func TestWatchedBeyondItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serving()
		f.errors[oldOne.ID], f.errors[newOne.ID] = 0.05, 0.05
		time.Sleep(5 * time.Minute)
		d := baked(f, deploy.Canary, deploy.BakeBySchedule)
		d.Strategy.Errors, d.Strategy.Judging.MaxHold = 5, time.Hour
		if r := (&Engine{}).Deploy(t.Context(), d); r.Outcome != deploy.Promoted {
			t.Fatalf("%s: %s", r.Outcome, r.Reason)
		}
		f.later(29*time.Minute, func() { f.worsens(0.0513) }) // somewhat above the limit
		if r := looks(t, f, &story{}, 11); r.Outcome != deploy.Unchanged {
			t.Fatalf("before max-hold: %s (%s)", r.Outcome, r.Reason)
		}
		if r := looks(t, f, &story{}, 1); r.Outcome != deploy.Held || !strings.Contains(r.Reason, "it is not known whether 1.1.0") {
			t.Fatalf("%s (%s)", r.Outcome, r.Reason)
		}
		if r := (&Engine{}).Resume(t.Context(), asked(f)); r.Outcome != deploy.Promoted {
			t.Fatalf("resume: %s (%s)", r.Outcome, r.Reason)
		}
		wholeAndFree(t, f, newOne)
	})
}

func TestObserverOfABakeDecidesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, told := serving(), &story{}
		time.Sleep(5 * time.Minute)
		d := baked(f, deploy.BlueGreen, deploy.BakeBySchedule)
		d.Strategy.Judging.Observe, d.Strategy.Errors = true, 50
		if r := (&Engine{}).Deploy(t.Context(), d); r.Outcome != deploy.Promoted {
			t.Fatalf("%s: %s", r.Outcome, r.Reason)
		}
		f.later(time.Second, func() { f.worsens(0.1) })
		if r := looks(t, f, told, 7); r.Outcome != deploy.Promoted {
			t.Fatalf("%s: %s", r.Outcome, r.Reason)
		}
		if got := told.messages(deploy.Warning); strings.Count(got, "the judge would have gone back: errors") != 1 {
			t.Errorf("warnings: %q", got)
		}
	})
}

func TestSettleLeavesABakeAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := left(t, deploy.Canary)
		if r := (&Engine{}).Settle(t.Context(), f, somebody); r.Outcome != deploy.Unchanged || !strings.Contains(r.Reason, "watched until") {
			t.Errorf("%s (%s)", r.Outcome, r.Reason)
		}
		bothUp(t, f)
	})
}

func TestAPersonEndsABake(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*Engine, context.Context, Deployment) Result
		bad  bool
		want deploy.Outcome
		live deploy.Revision
	}{
		"resume":               {(*Engine).Resume, false, deploy.Promoted, newOne},
		"resume of a bad one":  {(*Engine).Resume, true, deploy.Reverted, oldOne},
		"abort":                {(*Engine).Abort, false, deploy.Reverted, oldOne},
		"there is no pause":    {(*Engine).Pause, false, deploy.Failed, deploy.Revision{}},
		"a scheduled run, bad": {(*Engine).Bake, true, deploy.Reverted, oldOne},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := left(t, deploy.Canary)
				if c.bad {
					f.worsens(0.1)
				}
				time.Sleep(10 * time.Minute)
				r := c.do(&Engine{}, t.Context(), asked(f))
				if r.Outcome != c.want {
					t.Fatalf("%s (%s)", r.Outcome, r.Reason)
				}
				if c.live.IsZero() {
					bothUp(t, f)
					return
				}
				wholeAndFree(t, f, c.live)
			})
		})
	}
}

// A release to an environment whose version is watched ends that first: forward
// if nothing speaks against it.
func TestTheNextReleaseEndsABake(t *testing.T) {
	third := revision("1.2.0", 2)
	for name, c := range map[string]struct {
		candidate deploy.Revision
		bad       bool
		want      deploy.Outcome
		reason    string
		live      deploy.Revision
		acts      string
	}{
		"the next one":     {third, false, deploy.Promoted, "is live", third, "stop 1.0.0, start 1.2.0, switch 1.2.0, stop 1.1.0"},
		"after a bad one":  {third, true, deploy.Promoted, "is live", third, "switch 1.0.0, stop 1.1.0, start 1.2.0, switch 1.2.0, stop 1.0.0"},
		"the same again":   {newOne, false, deploy.Unchanged, "is live already", deploy.Revision{}, ""},
		"back to the last": {oldOne, false, deploy.Promoted, "1.0.0 (" + oldOne.ID + ") is live again: 1.1.0", oldOne, "switch 1.0.0, stop 1.1.0"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, told := left(t, deploy.Canary), &story{}
				if c.bad {
					f.worsens(0.1)
				}
				time.Sleep(10 * time.Minute)
				d := deployment(f, deploy.BlueGreen)
				d.Candidate, d.Owner = c.candidate, somebody
				r := (&Engine{Reporter: told}).Deploy(t.Context(), d)
				if r.Outcome != c.want || !strings.Contains(r.Reason, c.reason) {
					t.Fatalf("%s (%s)", r.Outcome, r.Reason)
				}
				if got := strings.Join(f.moving(), ", "); got != c.acts {
					t.Errorf("acts %s\nwant %s", got, c.acts)
				}
				if got := told.messages(deploy.Warning); c.bad != strings.Contains(got, "1.1.0 ("+newOne.ID+") was taken back before the next version came: errors 10%") {
					t.Errorf("warnings: %q", got)
				}
				if c.live.IsZero() {
					bothUp(t, f)
					return
				}
				wholeAndFree(t, f, c.live)
			})
		})
	}
}

// An interrupted look, and one that sees nothing, change nothing.
func TestALookThatFailsChangesNothing(t *testing.T) {
	for name, hinder := range map[string]func(f *fake, cancel func()){
		"interrupted": func(f *fake, cancel func()) { f.down[newOne.ID] = 1; time.AfterFunc(time.Second, cancel) },
		"blind": func(f *fake, _ func()) {
			reads := 0
			f.trouble["state"] = func(context.Context) error {
				if reads++; reads > 2 {
					return errBroken
				}
				return nil
			}
		},
		"held by another": func(f *fake, _ func()) { _ = f.Lock(context.Background(), me, time.Hour) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := left(t, deploy.Canary)
				time.Sleep(time.Hour)
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				hinder(f, func() { cancel(errors.New("SIGTERM")) })
				if r := (&Engine{}).Bake(ctx, reaper(f)); r.Outcome != deploy.Failed || r.Err == nil {
					t.Errorf("%s (%s)", r.Outcome, r.Reason)
				}
				clear(f.down)
				clear(f.trouble)
				f.state.Lock = nil
				bothUp(t, f)
			})
		})
	}
}

// coarse looks once a second, so that half an hour is soon over.
func coarse() *Engine { return &Engine{Poll: time.Second} }

// Whatever a killed run leaves, of a release that bakes or of a look at it,
// settle and the next looks end with one whole version.
func TestKillAtEveryWriteOfABake(t *testing.T) {
	for _, by := range deploy.Bakers {
		for n := range 16 {
			t.Run(fmt.Sprintf("%s/%d", by, n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := serving()
					d := baked(f, deploy.Canary, by)
					d.Target = &killed{fake: f, after: n}
					died := dying(func() { coarse().Deploy(t.Context(), d) })
					endsWhole(t, f, died && !f.state.Record.Baking())
				})
			})
		}
	}
	for _, share := range []float64{0, 0.1} {
		for n := range 5 {
			t.Run(fmt.Sprintf("a look/%g/%d", share, n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := left(t, deploy.Canary)
					f.worsens(share)
					time.Sleep(31 * time.Minute)
					d := reaper(f)
					d.Target = &killed{fake: f, after: n}
					dying(func() { coarse().Bake(t.Context(), d) })
					endsWhole(t, f, false)
					if want := map[bool]deploy.Revision{true: newOne, false: oldOne}[share == 0]; f.state.Live.ID != want.ID {
						t.Errorf("live is %s, want %s", show(f.state.Live), want)
					}
				})
			})
		}
	}
}

// endsWhole settles, looks once all time is over, and demands one whole version.
func endsWhole(t *testing.T, f *fake, back bool) {
	t.Helper()
	if r := coarse().Settle(t.Context(), f, somebody); r.Outcome == deploy.Unknown || r.Outcome == deploy.Failed && r.Live.IsZero() {
		t.Fatalf("settle: %s: %s", r.Outcome, r.Reason)
	}
	time.Sleep(time.Hour)
	if r := coarse().Bake(t.Context(), reaper(f)); r.Outcome == deploy.Unknown || r.Outcome == deploy.Failed {
		t.Fatalf("look: %s: %s", r.Outcome, r.Reason)
	}
	if f.state.Record.Version == 0 {
		return // nothing was begun
	}
	live := newOne
	if f.state.Live.ID == oldOne.ID {
		live = oldOne
	} else if back && f.state.Record.Outcome != deploy.Promoted {
		t.Errorf("live is %s, the outcome %s", live, f.state.Record.Outcome)
	}
	wholeAndFree(t, f, live)
	if again := coarse().Settle(t.Context(), f, somebody); again.Outcome != deploy.Unchanged {
		t.Errorf("settled twice: %s, %s", again.Outcome, again.Reason)
	}
}

func TestCancelWithinEveryWriteOfABake(t *testing.T) {
	for _, by := range deploy.Bakers {
		for n := range 16 {
			t.Run(fmt.Sprintf("%s/%d", by, n), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					f := serving()
					cancelDeployment(t, f, baked(f, deploy.Canary, by), n, oldOne)
				})
			})
		}
	}
}

// A cancel at any moment of a bake by the run itself takes it back; what was
// left to be watched is not touched by it.
func TestCancelAtEveryMomentOfABake(t *testing.T) {
	for _, by := range deploy.Bakers {
		for at := range 40 {
			synctest.Test(t, func(t *testing.T) {
				f := serving()
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(time.Duration(at)*time.Minute/2, func() { cancel(errors.New("SIGTERM")) })
				r := coarse().Deploy(ctx, baked(f, deploy.BlueGreen, by))
				cancel(nil)
				switch {
				case !r.Until.IsZero() && by == deploy.BakeBySchedule:
					bothUp(t, f)
				case r.Outcome == deploy.Reverted && strings.Contains(r.Reason, "SIGTERM"):
					wholeAndFree(t, f, oldOne)
				case at > 0:
					t.Errorf("%s at %d: %s %s", by, at, r.Outcome, r.Reason)
				}
			})
		}
	}
}

func TestLooksAreBounded(t *testing.T) {
	var b deploy.Bake
	before := b
	for n := range 1000 {
		before = b
		b.Add(deploy.Look{After: time.Duration(n+1) * time.Minute, Requests: 10, Errors: 1})
	}
	if len(b.Looks) != 288 || b.Looks[287] != (deploy.Look{After: 1000 * time.Minute, Requests: 7130, Errors: 713}) {
		t.Errorf("%d looks, the last is %+v", len(b.Looks), b.Looks[len(b.Looks)-1])
	}
	if before.Looks[287].Requests != 7120 {
		t.Error("an earlier record was changed")
	}
}
