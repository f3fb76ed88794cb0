package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"

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
	// Judges have rules of their own; Rules are for metrics that both versions
	// are compared by.
	Judges []analysis.Judge
	Rules  []analysis.Rule
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
	for _, j := range []analysis.Judge{r.court.judge, r.court.observer} {
		if compares, ok := j.(*analysis.Rollout); ok {
			compares.Others, compares.Beside.Rules = m.Judges, m.Rules
		}
	}
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

// take moves what has come in to a sample.
func (m *measurement) take(into *analysis.Sample) {
	if m == nil {
		return
	}
	m.trouble = m.meter.Take(into)
	for _, o := range into.Others {
		m.see(o.Name)
	}
	for _, g := range into.Gauges {
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
