package rollout

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// judged is a canary that is judged, with what the test says otherwise.
func judged(f *fake, change func(*deploy.Strategy)) Deployment {
	d := deployment(f, deploy.Canary)
	d.Strategy.Errors = deploy.NoLimit
	change(&d.Strategy)
	d.Strategy = d.Strategy.WithDefaults()
	return d
}

// messages are those of one kind.
func (s *story) messages(k deploy.EventKind) string {
	var all []string
	for _, e := range s.events {
		if e.Kind == k {
			all = append(all, e.Message)
		}
	}
	return strings.Join(all, "\n")
}

func TestNobodyComes(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*deploy.Strategy)
		want   deploy.Outcome
		reason string
		warned string
		took   time.Duration
	}{
		"a canary waits for a person": {
			func(*deploy.Strategy) {}, deploy.Held,
			"it is not known whether 1.1.0 (" + newOne.ID + ") is worse, after 5s with 10% of the users: no user request has reached it", "", 6 * time.Second,
		},
		"it is watched for longer": {
			func(s *deploy.Strategy) { s.Judging.MaxHold = time.Minute }, deploy.Held, "after 1m0s with 10%", "", 62 * time.Second,
		},
		"it waits for evidence": {
			func(s *deploy.Strategy) { s.Pace = deploy.PaceEvidence }, deploy.Held, "after 30m0s with 10%", "", 31 * time.Minute,
		},
		"it goes back": {
			func(s *deploy.Strategy) { s.Judging.OnUnknown = deploy.OnUnknownRevert }, deploy.Reverted, "on-unknown is revert", "", 6 * time.Second,
		},
		"it goes on, and says so": {
			func(s *deploy.Strategy) { s.Judging.OnUnknown = deploy.OnUnknownPromote }, deploy.Promoted, "is live", "it goes on because on-unknown is promote", 17 * time.Second,
		},
		"a blue-green passes": {
			func(s *deploy.Strategy) { s.Kind = deploy.BlueGreen }, deploy.Promoted, "is live", "", 4 * time.Second,
		},
		"a blue-green that is told to wait": {
			func(s *deploy.Strategy) { s.Kind, s.Judging.OnUnknown = deploy.BlueGreen, deploy.OnUnknownHold }, deploy.Held, "with 100% of the users", "", 31 * time.Second,
		},
		"an observer holds nothing up": {
			func(s *deploy.Strategy) { s.Judging.Observe = true }, deploy.Promoted, "is live", "", 17 * time.Second,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, told := serving(), &story{}
				f.rate = 0
				d := judged(f, c.change)
				if d.Strategy.Kind == deploy.BlueGreen {
					d.Strategy.Keep = 3 * time.Second
				}
				r := (&Engine{Reporter: told}).Deploy(t.Context(), d)
				if r.Outcome != c.want || !strings.Contains(r.Reason, c.reason) {
					t.Errorf("%s: %s; want %s: …%s…", r.Outcome, r.Reason, c.want, c.reason)
				}
				if r.Took > c.took {
					t.Errorf("it took %s, want %s at most", r.Took, c.took)
				}
				if got := told.messages(deploy.Warning); (got == "") != (c.warned == "") || !strings.Contains(got, c.warned) {
					t.Errorf("warnings %q, want …%s…", got, c.warned)
				}
			})
		})
	}
}

// What a person lets go on goes on behind the stage that was not known.
func TestResumeOfWhatWasNotKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serving()
		f.rate = 0
		d := judged(f, func(*deploy.Strategy) {})
		if r := (&Engine{}).Deploy(t.Context(), d); r.Outcome != deploy.Held || f.state.Record.Passed != 2 {
			t.Fatalf("%s (%s), %d passed", r.Outcome, r.Reason, f.state.Record.Passed)
		}
		f.rate = 100
		if r := (&Engine{}).Resume(t.Context(), asked(f)); r.Outcome != deploy.Promoted {
			t.Fatalf("%s (%s)", r.Outcome, r.Reason)
		}
		if got := strings.Join(f.moving(), ", "); got != "start 1.1.0, split 1.1.0 10%, split 1.1.0 50%, switch 1.1.0, stop 1.0.0" {
			t.Error(got)
		}
		wholeAndFree(t, f, newOne)
	})
}

// With evidence as its pace, a step ends once it is proved that the candidate is
// not worse: soon where many users come.
func TestPaceOfEvidence(t *testing.T) {
	for name, c := range map[string]struct {
		rate   float64
		errors float64
		want   deploy.Outcome
		least  time.Duration
		most   time.Duration
	}{
		"many users":              {5000, 0.001, deploy.Promoted, 45 * time.Second, 2 * time.Minute},
		"fewer users need longer": {500, 0.001, deploy.Promoted, time.Minute, 40 * time.Minute},
		"a bad one goes back":     {5000, 0.1, deploy.Reverted, 0, 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := serving()
				f.rate, f.errors[oldOne.ID], f.errors[newOne.ID] = c.rate, 0.001, c.errors
				d := judged(f, func(s *deploy.Strategy) { s.Pace, s.Hold = deploy.PaceEvidence, 0 })
				if d.Strategy.Hold != deploy.DefaultDwell {
					t.Errorf("the least time of a step is %s", d.Strategy.Hold)
				}
				r := (&Engine{}).Deploy(t.Context(), d)
				if r.Outcome != c.want {
					t.Fatalf("%s: %s", r.Outcome, r.Reason)
				}
				if r.Took < c.least || r.Took > c.most {
					t.Errorf("it took %s, want %s to %s", r.Took, c.least, c.most)
				}
			})
		})
	}
}

// Both versions fail as often: a limit would revert, who compares does not. A
// limit that is written out holds all the same.
func TestBothFailAlike(t *testing.T) {
	for name, c := range map[string]struct {
		kind  deploy.Kind
		limit deploy.Percent
		want  deploy.Outcome
	}{
		"canary":                  {deploy.Canary, 0, deploy.Promoted},
		"blue-green":              {deploy.BlueGreen, 0, deploy.Promoted},
		"canary with a limit":     {deploy.Canary, 1, deploy.Reverted},
		"blue-green with a limit": {deploy.BlueGreen, 1, deploy.Reverted},
		"rolling, by its limit":   {deploy.Rolling, 0, deploy.Reverted},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := serving()
				f.rate, f.errors[oldOne.ID], f.errors[newOne.ID] = 1000, 0.05, 0.05
				time.Sleep(30 * time.Second) // the old version has a past
				d := deployment(f, c.kind)
				d.Strategy.Errors = c.limit
				d.Strategy = d.Strategy.WithDefaults()
				if r := (&Engine{}).Deploy(t.Context(), d); r.Outcome != c.want {
					t.Errorf("%s: %s", r.Outcome, r.Reason)
				}
			})
		})
	}
}

// After the switch of a blue-green nothing runs beside the candidate: it is held
// against what the old version did before.
func TestBlueGreenIsHeldAgainstThePast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serving()
		f.rate, f.errors[newOne.ID] = 1000, 0.05
		time.Sleep(30 * time.Second)
		d := deployment(f, deploy.BlueGreen)
		d.Strategy.Errors = deploy.NoLimit
		r := (&Engine{}).Deploy(t.Context(), d)
		if r.Outcome != deploy.Reverted || !strings.Contains(r.Reason, "against 0% on the version before") {
			t.Errorf("%s: %s", r.Outcome, r.Reason)
		}
		wholeAndFree(t, f, oldOne)
	})
}

func TestObserverDecidesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, told := serving(), &story{}
		f.rate, f.errors[newOne.ID] = 1000, 0.006 // worse, and below the limit of 1%
		r := (&Engine{Reporter: told}).Deploy(t.Context(), judged(f, func(s *deploy.Strategy) { s.Judging.Observe = true }))
		if r.Outcome != deploy.Promoted {
			t.Fatalf("%s: %s", r.Outcome, r.Reason)
		}
		if got := told.messages(deploy.Warning); strings.Count(got, "the judge would have gone back: errors") != 1 {
			t.Errorf("warnings: %q", got)
		}
		last := deploy.Verdict{}
		for _, e := range told.events {
			if e.Kind == deploy.Observed {
				last = *e.Observation.Verdict
			}
		}
		if !last.Observed || last.Decision != "revert" || last.Metric != "errors" || last.Evidence < 100 {
			t.Errorf("the last verdict is %+v", last)
		}
	})
}

// clocked remembers when it was asked about users for the first and last time.
type clocked struct{ first, last time.Duration }

func (c *clocked) Observe(s analysis.Sample) analysis.Verdict {
	if s.Share > 0 {
		if c.last == 0 {
			c.first = s.At
		}
		c.last = s.At
	}
	return analysis.Verdict{Decision: analysis.Advance}
}

// The judge's time begins with the first user, so that a version which takes
// long to start has its warm-up before it, and goes on from stage to stage.
func TestTheJudgesTimeBeginsWithTheFirstUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, c := serving(), &clocked{}
		f.trouble["start 1.1.0"] = func(context.Context) error { time.Sleep(20 * time.Second); return nil }
		e := &Engine{Judge: func(deploy.Strategy) analysis.Judge { return c }}
		if r := e.Deploy(t.Context(), deployment(f, deploy.Canary)); r.Outcome != deploy.Promoted {
			t.Fatalf("%s: %s", r.Outcome, r.Reason)
		}
		if c.first > time.Second || c.last < 14*time.Second || c.last > 19*time.Second {
			t.Errorf("asked from %s to %s after the first user, in three steps of 5s", c.first, c.last)
		}
	})
}

func TestAGateIsEagerOnceUsersWereMoved(t *testing.T) {
	for _, c := range []struct {
		share deploy.Percent
		since time.Duration
		want  time.Duration
	}{{10, 0, 25 * time.Millisecond}, {10, time.Minute, 100 * time.Millisecond}, {0, 0, 100 * time.Millisecond}} {
		w := &watch{rollout: &rollout{Engine: &Engine{}}, stage: deploy.Stage{Share: c.share}, began: time.Now().Add(-c.since)}
		if got := w.pace(); got != c.want {
			t.Errorf("at %s, %s after it began, it looks each %s, not %s", c.share, c.since, got, c.want)
		}
	}
}

// Errors of one client that sticks to the candidate are no evidence against it,
// where the target tells how errors are spread; the same errors of many are.
func TestBurstsOfOneClientAreNoEvidence(t *testing.T) {
	for name, c := range map[string]struct {
		groups int
		want   deploy.Outcome
	}{"of one client": {1, deploy.Promoted}, "of many": {200, deploy.Reverted}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := serving()
				f.errors[newOne.ID] = 0.01
				f.spread = c.groups
				d := judged(f, func(s *deploy.Strategy) { s.Steps, s.Hold = []deploy.Percent{50, 100}, time.Minute })
				if r := (&Engine{}).Deploy(t.Context(), d); r.Outcome != c.want {
					t.Errorf("%s: %s", r.Outcome, r.Reason)
				}
			})
		})
	}
}
