package rollout

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// history is what a source keeps: a moment for each ten seconds.
type history struct {
	// at is what was measured so long after the watch began.
	at func(after time.Duration) Moment
	// trouble is why it cannot be asked.
	trouble error
	// asked is how often it was, and since when at last.
	asked int
	since time.Time
}

func (h *history) recall(_ context.Context, _, since time.Time) ([]Moment, error) {
	h.asked++
	h.since = since
	if h.trouble != nil {
		return nil, h.trouble
	}
	var all []Moment
	for at := since; !at.After(time.Now()); at = at.Add(10 * time.Second) {
		m := h.at(at.Sub(since))
		m.At = at
		all = append(all, m)
	}
	return all, nil
}

// web is a measurement of both versions, of which the old one has no users.
func web(requests, failed uint64) Moment {
	return Moment{Others: []analysis.Measure{{Name: "web", Candidate: deploy.Traffic{Requests: requests, Errors: failed}}}}
}

// remembered looks each five minutes at a version that was left to be watched,
// and is judged by what a source remembers. Beside the version before it, the
// source has seen that one fail 0.1%.
func remembered(t *testing.T, h *history, change func(*deploy.Strategy), judges ...func() analysis.Judge) (Result, *story) {
	t.Helper()
	f, told := serving(), &story{}
	time.Sleep(5 * time.Minute)
	beside := &meter{began: time.Now()}
	e := &Engine{Reporter: told, Measure: func(deploy.Plan) (*Measuring, error) {
		m := &Measuring{
			Names: []string{"web"}, Recall: h.recall,
			Begin: func(context.Context) (Meter, error) { return named{beside, "web"}, nil },
		}
		for _, j := range judges {
			m.Judges = append(m.Judges, j())
		}
		return m, nil
	}}
	d := baked(f, deploy.Canary, deploy.BakeBySchedule)
	change(&d.Strategy)
	if r := e.Deploy(t.Context(), d); r.Outcome != deploy.Promoted {
		t.Fatalf("%s: %s", r.Outcome, r.Reason)
	}
	if got := f.state.Record.Bake.Past; len(got) != 1 || got[0].Metric != "web" || got[0].Traffic.Requests == 0 {
		t.Fatalf("the journal has %+v of the version before", got)
	}
	began := f.state.Record.Bake.Since
	for range 12 {
		time.Sleep(5 * time.Minute)
		r := e.Bake(t.Context(), reaper(f))
		if !h.since.Equal(began) {
			t.Fatalf("it is asked about the time since %s, want %s", h.since, began)
		}
		if r.Outcome != deploy.Unchanged {
			return r, told
		}
	}
	t.Fatal("it is watched for ever")
	return Result{}, nil
}

// named is a meter whose measure has another name.
type named struct {
	*meter
	name string
}

func (n named) Take(into *analysis.Sample) error {
	before := len(into.Others)
	err := n.meter.Take(into)
	for i := range into.Others[before:] {
		into.Others[before+i].Name = n.name
	}
	return err
}

func TestScheduledRunsAskWhatWasMeasuredMeanwhile(t *testing.T) {
	// A few minutes of it lie between two looks, and are over at the second.
	spoilt := func(after time.Duration) bool { return after > 6*time.Minute && after < 9*time.Minute }
	failing := func(after time.Duration) Moment {
		if spoilt(after) {
			return web(100, 30)
		}
		return web(100, 0)
	}
	// Within the margin of one point, and above what the condition allows.
	slightly := func(after time.Duration) Moment {
		if spoilt(after) {
			return web(1000, 2)
		}
		return web(1000, 0)
	}
	greedy := func(after time.Duration) Moment {
		m := web(100, 0)
		m.Gauges = []analysis.Gauge{{Name: "cpu", Live: 0.2, Candidate: 0.2}}
		if spoilt(after) {
			m.Gauges[0].Candidate = 0.9
		}
		return m
	}
	cpu := func() analysis.Judge { return &analysis.ResourceLimit{Gauge: "cpu", Ratio: 1.5} }
	few := func() analysis.Judge {
		return &analysis.Thresholds{
			Metric: "few", Measure: "web", Interval: 30 * time.Second,
			Success: func(s analysis.Sample) (bool, error) {
				if len(s.Others) == 0 || s.Others[0].Candidate.Requests == 0 {
					return false, errors.New("no requests")
				}
				return s.Others[0].Candidate.Errors*1000 < s.Others[0].Candidate.Requests, nil
			},
		}
	}
	// Counted by the target, so that each look is one measurement, and none of
	// the moments between is.
	some := func() analysis.Judge {
		return &analysis.Thresholds{Metric: "some", Interval: time.Second, Success: func(s analysis.Sample) (bool, error) {
			if s.Candidate.Requests == 0 {
				return false, errors.New("no requests")
			}
			return true, nil
		}}
	}
	unmeasured := func(time.Duration) Moment {
		return Moment{Gauges: []analysis.Gauge{{Name: "cpu", Live: math.NaN(), Candidate: 1}}}
	}
	gone := deploy.Hinted(errors.New("nobody answers at http://prometheus:9090"), "start it")
	on := func(u deploy.OnUnknown) func(*deploy.Strategy) {
		return func(s *deploy.Strategy) { s.Judging.OnUnknown = u }
	}
	for name, c := range map[string]struct {
		history history
		change  func(*deploy.Strategy)
		judges  []func() analysis.Judge
		want    deploy.Outcome
		reason  string
		// asked is after how many looks it ended.
		asked int
		warns string
	}{
		"all is well":                {history{at: func(time.Duration) Moment { return web(100, 0) }}, on(""), []func() analysis.Judge{cpu, few, some}, deploy.Promoted, "is live", 6, ""},
		"more fails than before":     {history{at: failing}, on(""), nil, deploy.Reverted, "web errors", 2, ""},
		"a condition failed":         {history{at: slightly}, on(""), []func() analysis.Judge{few}, deploy.Reverted, "1 of 14 measurements of few failed", 2, ""},
		"too much of a resource":     {history{at: greedy}, on(""), []func() analysis.Judge{cpu}, deploy.Reverted, "cpu 0.9 against 0.2 on the live version", 2, ""},
		"nobody answers, hold":       {history{trouble: gone}, on(""), []func() analysis.Judge{few}, deploy.Held, "nobody answers at http://prometheus:9090", 6, "nobody answers"},
		"nobody answers, revert":     {history{trouble: gone}, on(deploy.OnUnknownRevert), []func() analysis.Judge{few}, deploy.Reverted, "nobody answers at http://prometheus:9090", 6, "nobody answers"},
		"nobody answers, promote":    {history{trouble: gone}, on(deploy.OnUnknownPromote), []func() analysis.Judge{few}, deploy.Promoted, "is live", 6, "on-unknown is promote"},
		"it has never been measured": {history{at: unmeasured}, on(""), nil, deploy.Held, "nothing has been measured yet of web", 6, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, told := remembered(t, &c.history, c.change, c.judges...)
				if r.Outcome != c.want || !strings.Contains(r.Reason, c.reason) {
					t.Errorf("%s: %s; want %s: …%s…", r.Outcome, r.Reason, c.want, c.reason)
				}
				if c.history.asked != c.asked {
					t.Errorf("it ended at look %d, want %d", c.history.asked, c.asked)
				}
				if got := told.messages(deploy.Warning); !strings.Contains(got, c.warns) || c.warns == "" && got != "" {
					t.Errorf("warnings: %q", got)
				}
			})
		})
	}
}

// A source that cannot be made, for want of a secret, is one that cannot be asked.
func TestScheduledRunsWithoutASecret(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, told := left(t, deploy.Canary), &story{}
		e := &Engine{Reporter: told, Measure: func(deploy.Plan) (*Measuring, error) { return nil, errors.New("no value for the secret TOKEN") }}
		time.Sleep(5 * time.Minute)
		r := e.Bake(t.Context(), reaper(f))
		if r.Outcome != deploy.Unchanged || !strings.Contains(told.messages(deploy.Warning), "no value for the secret TOKEN") {
			t.Errorf("%s: %s; warnings %q", r.Outcome, r.Reason, told.messages(deploy.Warning))
		}
		time.Sleep(30 * time.Minute)
		if r := e.Bake(t.Context(), reaper(f)); r.Outcome != deploy.Held || !strings.Contains(r.Reason, "no value for the secret TOKEN") {
			t.Errorf("%s: %s", r.Outcome, r.Reason)
		}
	})
}
