package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// Measuring is what a rollout is judged by besides the requests that the target
// counts.
type Measuring struct {
	// Names are of what Begin measures: each has to be seen before a stage with
	// users passes.
	Names []string
	// Begin asks for the first time, which counts nothing, and goes on in the
	// background. Nil measures nothing.
	Begin func(ctx context.Context) (Meter, error)
	// Recall is what would have been measured of a version that has all users, at
	// each moment since a time, in the order of time; began is when its rollout
	// did. The error is why something is not known; what is known is told beside
	// it. Nil knows nothing of the past.
	Recall func(ctx context.Context, began, since time.Time) ([]Moment, error)
	// Judges have rules of their own; Rules are for metrics that both versions
	// are compared by.
	Judges []analysis.Judge
	Rules  []analysis.Rule
}

// Moment is what was measured at a time.
type Moment struct {
	At     time.Time
	Others []analysis.Measure
	Gauges []analysis.Gauge
}

// Meter measures in the background.
type Meter interface {
	// Take adds to a sample, at once, what has come in since it was called
	// before. The error is why something is not known at present.
	Take(into *analysis.Sample) error
	// Stop ends it, and waits for that.
	Stop()
}

// measurement is what a rollout knows of what is measured.
type measurement struct {
	meter Meter
	// unseen are the names of what has not been measured yet.
	unseen []string
	// trouble is why something is not known at present.
	trouble error
}

// measure begins before anything is changed, and goes on until the rollout
// ends: what cannot be asked for now could not be judged by later.
func (r *rollout) measure(ctx context.Context) (stop func(), err error) {
	stop = func() {}
	if r.Measure == nil || !r.court.decides() && r.court.observer == nil {
		return stop, nil
	}
	m, err := r.Measure(r.plan)
	if err != nil || m == nil {
		return stop, err
	}
	r.court.heed(m)
	if m.Begin == nil {
		return stop, nil
	}
	meter, err := m.Begin(ctx)
	if err != nil {
		return stop, fmt.Errorf("measure what the rollout is judged by: %w", err)
	}
	r.court.measurement = &measurement{meter: meter, unseen: slices.Clone(m.Names)}
	return meter.Stop, nil
}

// heed lets those judge who have rules of their own.
func (c *court) heed(m *Measuring) {
	for _, j := range []analysis.Judge{c.judge, c.observer} {
		if compares, ok := j.(*analysis.Rollout); ok {
			compares.Others, compares.Beside.Rules = m.Judges, m.Rules
		}
	}
}

// recallLimit bounds how long sources are asked about the past.
const recallLimit = 5 * time.Minute

// recall asks the sources about all of the time that a version has been watched
// in, so that what happened between two looks is judged as if somebody had looked
// on. What cannot be asked is not known; that is told, and nothing passes by it.
func (r *rollout) recall(ctx context.Context, since time.Time) []Moment {
	if r.Measure == nil || !r.court.decides() && r.court.observer == nil {
		return nil
	}
	alone := r.plan
	alone.Baseline = deploy.Revision{} // which has ended; what was live stands by still
	m, err := r.Measure(alone)
	var moments []Moment
	switch {
	case err != nil:
		m = &Measuring{}
	case m == nil:
		return nil
	case m.Recall != nil:
		err = within(ctx, recallLimit, "ask about the time since "+since.UTC().Format(time.RFC3339), func(ctx context.Context) (err error) {
			moments, err = m.Recall(ctx, r.ledger.record.Started, since)
			return err
		})
	case m.Begin == nil:
		r.court.heed(m)
		return nil
	}
	r.court.heed(m)
	r.court.part = analysis.PartCounts
	r.court.measurement = &measurement{meter: answered{err}, unseen: slices.Clone(m.Names)}
	if err != nil && ctx.Err() == nil {
		r.tell(ctx, deploy.Event{
			Kind: deploy.Warning, Environment: r.plan.Environment,
			Message: fmt.Sprintf("what %s is judged by is not all known: %v", r.plan.Candidate, err), Hint: deploy.HintOf(err),
		})
	}
	return moments
}

// answered is the Meter of what has been asked once.
type answered struct{ trouble error }

// Take says what is not known.
func (a answered) Take(*analysis.Sample) error { return a.trouble }

// Stop has nothing to end.
func (answered) Stop() {}

// take moves what has come in to a sample.
func (m *measurement) take(into *analysis.Sample) {
	if m == nil {
		return
	}
	m.trouble = m.meter.Take(into)
	m.seen(into.Others, into.Gauges)
}

// seen notes what has been measured.
func (m *measurement) seen(others []analysis.Measure, gauges []analysis.Gauge) {
	for _, o := range others {
		m.see(o.Name)
	}
	for _, g := range gauges {
		m.see(g.Name)
	}
}

func (m *measurement) see(name string) {
	m.unseen = slices.DeleteFunc(m.unseen, func(other string) bool { return other == name })
}

// unknown is why it is not known what there is to measure; nil where it is.
func (m *measurement) unknown() error {
	switch {
	case m == nil:
		return nil
	case m.trouble != nil:
		return m.trouble
	case len(m.unseen) > 0:
		return fmt.Errorf("nothing has been measured yet of %s", strings.Join(m.unseen, ", "))
	}
	return nil
}
