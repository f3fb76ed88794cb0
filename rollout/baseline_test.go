package rollout

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/deploy"
)

// theBaseline is what a canary of newOne is compared with.
var theBaseline = oldOne.AsBaseline(newOne.Config.Replicas)

// The baseline is what is live, under another name and in as many replicas as the
// candidate has: image, configuration and secrets are the same.
func TestBaselineIsTheOldVersion(t *testing.T) {
	five := revision("1.1.0", 5)
	b := NewPlan(strategies[baselined], oldOne, five).Baseline
	want := oldOne
	want.ID, want.Config.Replicas = oldOne.ID+"-baseline", 5
	if diff := cmp.Diff(want, b, cmp.AllowUnexported(deploy.Secret{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if !b.IsBaseline() || !b.IsBaselineOf(oldOne) || b.IsBaselineOf(five) || oldOne.IsBaseline() {
		t.Errorf("%s is not told from others", b)
	}
}

// The journal says that a baseline is about to run before it does, and how.
func TestBaselineIsWrittenDownFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, started := serving(), false
		f.trouble["start the baseline of 1.0.0"] = func(context.Context) error {
			f.mu.Lock()
			defer f.mu.Unlock()
			started = true
			rec := f.state.Record
			plan := NewPlan(rec.Strategy, rec.Previous, rec.Candidate)
			if rec.Phase != deploy.PhaseStarting || plan.Stages[rec.Stage-1].Act != deploy.ActBaseline || plan.Baseline.ID != theBaseline.ID {
				t.Errorf("the journal is in phase %q, stage %d: %+v", rec.Phase, rec.Stage, rec.Strategy)
			}
			return nil
		}
		if r := (&Engine{}).Deploy(t.Context(), deployment(f, baselined)); r.Outcome != deploy.Promoted || !started {
			t.Errorf("%s (%s), started: %v", r.Outcome, r.Reason, started)
		}
	})
}

// What counts is the baseline: a candidate that is as bad as fresh replicas of
// the old version passes, and one that is worse than they are does not, whatever
// the replicas do that have been up for long.
func TestTheJudgeLooksAtTheBaseline(t *testing.T) {
	for name, c := range map[string]struct {
		live, baseline, candidate float64
		want                      deploy.Outcome
		reason                    string
	}{
		"as bad as fresh ones":       {0, 0.05, 0.05, deploy.Promoted, "is live"},
		"worse than fresh ones":      {0.05, 0, 0.05, deploy.Reverted, "% against 0% on the baseline, after "},
		"worse than all of them are": {0, 0, 0.05, deploy.Reverted, "% against 0% on the baseline, after "},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := serving()
				f.rate = 1000
				f.errors = map[string]float64{oldOne.ID: c.live, theBaseline.ID: c.baseline, newOne.ID: c.candidate}
				r := (&Engine{}).Deploy(t.Context(), deployment(f, baselined))
				if r.Outcome != c.want || !strings.Contains(r.Reason, c.reason) {
					t.Errorf("%s: %s; want %s: …%s…", r.Outcome, r.Reason, c.want, c.reason)
				}
			})
		})
	}
}

// Whoever follows the rollout is told what the baseline's users get, and that it
// is they.
func TestObservationsAreOfTheBaseline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, told := serving(), &story{}
		f.rate = 10_000
		(&Engine{Reporter: told}).Deploy(t.Context(), deployment(f, baselined))
		shares := map[deploy.Percent]deploy.Percent{}
		for _, e := range told.events {
			o := e.Observation
			if o == nil || o.Share == 100 {
				continue
			}
			shares[o.Share] = o.Baseline
			// Of 10,000 requests a second in 5 s, less what is cut off by rounding.
			if most := uint64(50_000 * o.Baseline.Fraction()); o.Elapsed == 5*time.Second && (o.Live.Requests > most || o.Live.Requests < most*8/10) {
				t.Errorf("at %s and %s, the baseline has %d of %d requests", o.Share, o.Baseline, o.Live.Requests, most)
			}
		}
		if diff := cmp.Diff(map[deploy.Percent]deploy.Percent{10: 10, 75: 25}, shares); diff != "" {
			t.Errorf("shares of the baseline (-want +got):\n%s", diff)
		}
	})
}

// A baseline that nothing can be compared with takes the rollout back, for that
// reason: its users are worse off than others, and next to it anything looks good.
func TestBaselineThatFails(t *testing.T) {
	for name, c := range map[string]struct {
		spoil  func(*fake)
		want   deploy.Outcome
		reason string
	}{
		"it never gets ready": {func(f *fake) {
			f.trouble["start the baseline of 1.0.0"] = func(context.Context) error {
				return &deploy.Doomed{Revision: theBaseline, Evidence: deploy.Evidence{Replica: "a", Reason: "exited with code 3"}}
			}
		}, deploy.Failed, "the baseline could not be started: 1.0.0 (" + theBaseline.ID + "): replica a exited with code 3"},
		"it dies": {func(f *fake) {
			time.AfterFunc(time.Second, func() { f.mu.Lock(); defer f.mu.Unlock(); f.restarts[theBaseline.ID] = 1 })
		}, deploy.Reverted, "cannot be compared any more: in the baseline, a replica of 1.0.0 (" + theBaseline.ID + ") died"},
		"it gets unready": {func(f *fake) {
			time.AfterFunc(time.Second, func() { f.mu.Lock(); defer f.mu.Unlock(); f.down[theBaseline.ID] = 2 })
		}, deploy.Reverted, "2 of 2 replicas of 1.0.0 (" + theBaseline.ID + ") have not been ready for 2s"},
		"it gets no users": {func(f *fake) { f.trouble["split 1.1.0 10% beside 10%"] = broken }, deploy.Reverted, "broken"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := serving()
				c.spoil(f)
				r := (&Engine{}).Deploy(t.Context(), deployment(f, baselined))
				if r.Outcome != c.want || !strings.Contains(r.Reason, c.reason) {
					t.Errorf("%s: %s; want %s: …%s…", r.Outcome, r.Reason, c.want, c.reason)
				}
				if name != "it gets no users" && !strings.Contains(r.Hint, "baseline: live") {
					t.Errorf("hint %q", r.Hint)
				}
				if name == "it dies" && (r.Evidence == nil || r.Evidence.Replica != theBaseline.ID+"-0") {
					t.Errorf("evidence %+v is not about the baseline", r.Evidence)
				}
				wholeAndFree(t, f, oldOne)
			})
		})
	}
}

// What is left to scheduled runs has all users, and nothing to compare it with.
// Their metrics speak of what was live, which stands by.
func TestBakeHasNoBaseline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serving()
		d := deployment(f, baselined)
		d.Strategy.Bake, d.Strategy.BakeBy = time.Hour, deploy.BakeBySchedule
		if r := (&Engine{}).Deploy(t.Context(), d); r.Outcome != deploy.Promoted || r.Until.IsZero() {
			t.Fatalf("%s: %s", r.Outcome, r.Reason)
		}
		bothUp(t, f)
		if f.state.Baseline != nil {
			t.Errorf("%s runs still", f.state.Baseline)
		}
		measured := ""
		e := &Engine{Measure: func(p deploy.Plan) (*Measuring, error) {
			measured = p.Reference().ID
			return nil, nil
		}}
		time.Sleep(2 * time.Hour)
		if r := e.Bake(t.Context(), asked(f)); r.Outcome != deploy.Promoted || measured != oldOne.ID {
			t.Errorf("%s: %s; metrics are of %q", r.Outcome, r.Reason, measured)
		}
		wholeAndFree(t, f, newOne)
	})
}

// Removing it is tried again at the end where it has failed before, and said.
func TestBaselineThatCannotBeRemovedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, told, failures := serving(), &story{}, 2
		f.trouble["stop the baseline"] = func(context.Context) error {
			if failures--; failures >= 0 {
				return errBroken
			}
			return nil
		}
		d := deployment(f, baselined)
		d.Strategy.Bake, d.Strategy.BakeBy = time.Hour, deploy.BakeBySchedule
		if r := (&Engine{Reporter: told}).Deploy(t.Context(), d); r.Outcome != deploy.Promoted {
			t.Fatalf("%s: %s", r.Outcome, r.Reason)
		}
		if got := told.messages(deploy.Warning); !strings.Contains(got, "the baseline could not be removed") || f.state.Baseline == nil {
			t.Errorf("warnings %q, baseline %s", got, show(f.state.Baseline))
		}
		if r := (&Engine{}).Resume(t.Context(), asked(f)); r.Outcome != deploy.Promoted {
			t.Fatalf("%s: %s", r.Outcome, r.Reason)
		}
		wholeAndFree(t, f, newOne)
	})
}

// restingBeside is a fake with a canary beside its baseline that was paused at
// 10%.
func restingBeside(t *testing.T) *fake {
	t.Helper()
	f, engine, done := serving(), &Engine{}, make(chan Result)
	go func() { done <- engine.Deploy(t.Context(), deployment(f, baselined)) }()
	time.Sleep(2 * time.Second)
	engine.Pause(t.Context(), asked(f))
	if r := <-done; r.Outcome != deploy.Held || f.state.Share != 10 || f.state.BaselineShare != 10 {
		t.Fatalf("release: %s (%s); %s and %s", r.Outcome, r.Reason, f.state.Share, f.state.BaselineShare)
	}
	leavesAlone(t, f)
	f.acts = nil
	return f
}

func TestResumeBesideABaseline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := restingBeside(t)
		if r := (&Engine{}).Resume(t.Context(), asked(f)); r.Outcome != deploy.Promoted {
			t.Fatalf("%s: %s", r.Outcome, r.Reason)
		}
		if acts := f.moving(); !slices.Equal(acts[:2], []string{"split 1.1.0 10% beside 10%", "split 1.1.0 75% beside 25%"}) {
			t.Errorf("acts %q", acts)
		}
		wholeAndFree(t, f, newOne)
	})
}

func TestResumeIsJudgedByTheBaseline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := restingBeside(t)
		f.rate, f.errors[newOne.ID] = 1000, 0.1
		if r := (&Engine{}).Resume(t.Context(), asked(f)); r.Outcome != deploy.Reverted || !strings.Contains(r.Reason, "on the baseline") {
			t.Fatalf("%s: %s", r.Outcome, r.Reason)
		}
		wholeAndFree(t, f, oldOne)
	})
}

func TestAbortBesideABaseline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := restingBeside(t)
		if r := (&Engine{}).Abort(t.Context(), asked(f)); r.Outcome != deploy.Reverted {
			t.Fatalf("%s: %s", r.Outcome, r.Reason)
		}
		if acts := f.moving(); !slices.Equal(acts, []string{"split 1.1.0 0%", "stop 1.1.0", "stop the baseline"}) {
			t.Errorf("acts %q", acts)
		}
		wholeAndFree(t, f, oldOne)
	})
}

// A baseline that somebody has left, by whatever way, is removed by the next
// deployment.
func TestStrayBaselineIsRemoved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, b := serving(), theBaseline
		f.scale(b, 2)
		f.state.Baseline = &b
		if r := (&Engine{}).Deploy(t.Context(), deployment(f, deploy.BlueGreen)); r.Outcome != deploy.Promoted {
			t.Fatalf("%s: %s", r.Outcome, r.Reason)
		}
		wholeAndFree(t, f, newOne)
	})
}
