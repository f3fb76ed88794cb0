package rollout

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// meter measures what the test says, from a time on.
type meter struct {
	began   time.Time
	after   time.Duration
	errors  uint64
	trouble func(time.Duration) error
	stopped bool
}

func (m *meter) Take(into *analysis.Sample) error {
	elapsed := time.Since(m.began)
	if m.trouble != nil {
		if err := m.trouble(elapsed); err != nil {
			return err
		}
	}
	if elapsed >= m.after {
		into.Others = append(into.Others, analysis.Measure{
			Name: "checkout", Live: deploy.Traffic{Requests: 50}, Candidate: deploy.Traffic{Requests: 50, Errors: m.errors},
		})
	}
	return nil
}

func (m *meter) Stop() { m.stopped = true }

func TestRolloutIsJudgedByWhatIsMeasured(t *testing.T) {
	gone := errors.New("nobody answers")
	for name, c := range map[string]struct {
		meter  meter
		refuse error
		want   deploy.Outcome
		reason string
		least  time.Duration
		begun  bool
	}{
		"all is well":                {meter{}, nil, deploy.Promoted, "is live", 15 * time.Second, true},
		"what is measured is worse":  {meter{errors: 25}, nil, deploy.Reverted, "checkout errors 50% against 0%", 0, true},
		"it is waited for":           {meter{after: 20 * time.Second}, nil, deploy.Promoted, "is live", 30 * time.Second, true},
		"it never comes":             {meter{after: 24 * time.Hour}, nil, deploy.Held, "nothing has been measured yet of checkout", 30 * time.Minute, true},
		"nobody answers for a while": {meter{trouble: func(d time.Duration) error { return between(d, 4*time.Second, 40*time.Second, gone) }}, nil, deploy.Promoted, "is live", 45 * time.Second, true},
		"nobody answers any more":    {meter{trouble: func(d time.Duration) error { return between(d, 4*time.Second, 24*time.Hour, gone) }}, nil, deploy.Held, "nobody answers", 30 * time.Minute, true},
		"a question that is wrong":   {meter{}, errors.New("parse error"), deploy.Failed, "measure what the rollout is judged by: parse error", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, m := serving(), &c.meter
				m.began = time.Now()
				e := &Engine{Measure: func(deploy.Plan) (*Measuring, error) {
					return &Measuring{
						Names: []string{"checkout"}, Rules: []analysis.Rule{{Metric: "checkout errors", Required: true}},
						Begin: func(context.Context) (Meter, error) { return m, c.refuse },
					}, nil
				}}
				r := e.Deploy(t.Context(), judged(f, func(*deploy.Strategy) {}))
				if r.Outcome != c.want || !strings.Contains(r.Reason, c.reason) {
					t.Fatalf("%s: %s; want %s: …%s…", r.Outcome, r.Reason, c.want, c.reason)
				}
				if r.Took < c.least {
					t.Errorf("it took %s, want %s at least", r.Took, c.least)
				}
				if m.stopped != c.begun {
					t.Errorf("stopped: %v", m.stopped)
				}
				if acts := f.moving(); !c.begun && len(acts) > 0 {
					t.Errorf("it was changed: %v", acts)
				}
			})
		})
	}
}

// Where nobody counts, it is not said that nobody came.
func TestUsersWhomNobodyCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, told := serving(), &story{}
		f.deaf = true
		r := (&Engine{Reporter: told}).Deploy(t.Context(), judged(f, func(*deploy.Strategy) {}))
		if want := "with 10% of the users: nobody counts the requests of its users here"; r.Outcome != deploy.Held || !strings.Contains(r.Reason, want) {
			t.Errorf("%s: %s; want …%s…", r.Outcome, r.Reason, want)
		}
		seen := told.messages(deploy.Observed)
		if !strings.Contains(seen, "no user request to the new version has been counted") || strings.Contains(seen, "has reached") {
			t.Errorf("it was seen that\n%s", seen)
		}
		for _, e := range told.events {
			if e.Observation != nil && !e.Observation.Uncounted {
				t.Errorf("counted: %+v", e.Observation)
			}
		}
	})
}

// Where the target counts nothing, users are those that a metric counts, and a
// stage passes by them.
func TestUsersAreThoseThatAreMeasured(t *testing.T) {
	for name, c := range map[string]struct {
		meter meter
		want  deploy.Outcome
		told  string
	}{
		"as many as there are": {meter{}, deploy.Promoted, "is live"},
		"worse":                {meter{errors: 25}, deploy.Reverted, "checkout errors 50% against 0%"},
		"none that is told":    {meter{after: 24 * time.Hour}, deploy.Held, "no user request to it has been counted: nothing has been measured yet of checkout"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, m := serving(), &c.meter
				f.deaf, m.began = true, time.Now()
				e := &Engine{Measure: func(deploy.Plan) (*Measuring, error) {
					return &Measuring{Names: []string{"checkout"}, Begin: func(context.Context) (Meter, error) { return m, nil }}, nil
				}}
				r := e.Deploy(t.Context(), judged(f, func(*deploy.Strategy) {}))
				if r.Outcome != c.want || !strings.Contains(r.Reason, c.told) {
					t.Errorf("%s: %s; want %s: …%s…", r.Outcome, r.Reason, c.want, c.told)
				}
			})
		})
	}
}

// between is an error from one time to another.
func between(now, from, to time.Duration, err error) error {
	if now >= from && now < to {
		return err
	}
	return nil
}

// Strategies whose users are not compared measure nothing.
func TestNothingIsMeasuredForALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &Engine{Measure: func(deploy.Plan) (*Measuring, error) { return nil, errors.New("it was asked") }}
		if r := e.Deploy(t.Context(), deployment(serving(), deploy.Rolling)); r.Outcome != deploy.Promoted {
			t.Errorf("%s: %s", r.Outcome, r.Reason)
		}
	})
}
