package rollout

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/rollout/analysis"
)

// Measuring is what a rollout is judged by besides the requests that the target
// counts.
type Measuring struct {
	// Read adds to a sample what has been measured since it was asked before. At
	// the first call it counts nothing. Missing is what is not there, or not yet,
	// although nothing failed. It is not asked by two goroutines at once.
	Read func(ctx context.Context, into *analysis.Sample) (missing, err error)
	// Every is how often it is asked.
	Every time.Duration
	// Judges have rules of their own; Rules are for metrics that both versions
	// are compared by.
	Judges []analysis.Judge
	Rules  []analysis.Rule
}

// measureLimit bounds one reading.
const measureLimit = 30 * time.Second

// measurement asks beside the gate, which must not wait for an answer.
type measurement struct {
	*Measuring
	// cancel ends the goroutine, ended says that it has.
	cancel context.CancelFunc
	ended  chan struct{}

	mu sync.Mutex
	// pending has come in and is not judged yet.
	pending analysis.Sample
	// trouble is why it is not known what there is, nil while it is.
	trouble error
}

// measure asks once, before anything is changed, and then goes on until the
// rollout ends. A metric that cannot be read now could not be judged by later.
func (r *rollout) measure(ctx context.Context) (stop func(), err error) {
	if r.Engine.Measure == nil || !r.court.decides() && r.court.observer == nil {
		return func() {}, nil
	}
	m, err := r.Engine.Measure(r.plan)
	if err != nil {
		return nil, err
	}
	if m == nil {
		return func() {}, nil
	}
	r.court.heed(m)
	if m.Read == nil {
		return func() {}, nil
	}
	first, cancelFirst := context.WithTimeout(ctx, measureLimit)
	defer cancelFirst()
	if _, err := m.Read(first, &analysis.Sample{}); err != nil {
		return nil, fmt.Errorf("measure what the rollout is judged by: %w", err)
	}
	own, cancel := context.WithCancel(ctx)
	r.court.measurement = &measurement{Measuring: m, cancel: cancel, ended: make(chan struct{}), trouble: errNotYet}
	go r.court.measurement.run(own)
	return r.court.measurement.stop, nil
}

// errNotYet is why nothing is known before the first reading with users.
var errNotYet = errors.New("not measured yet")

func (m *measurement) run(ctx context.Context) {
	defer close(m.ended)
	tick := time.NewTicker(m.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			m.once(ctx)
		}
	}
}

func (m *measurement) once(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, measureLimit)
	defer cancel()
	var came analysis.Sample
	missing, err := m.Read(bounded, &came)
	if ctx.Err() != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pending.Live, m.pending.Candidate = m.pending.Live.Plus(came.Live), m.pending.Candidate.Plus(came.Candidate)
	m.pending.Others = append(m.pending.Others, came.Others...)
	m.pending.Gauges = append(m.pending.Gauges, came.Gauges...)
	if m.trouble = err; err == nil {
		m.trouble = missing
	}
}

func (m *measurement) stop() {
	m.cancel()
	<-m.ended
}

// take moves what has come in to a sample.
func (m *measurement) take(into *analysis.Sample) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	into.Live, into.Candidate = into.Live.Plus(m.pending.Live), into.Candidate.Plus(m.pending.Candidate)
	into.Others = append(into.Others, m.pending.Others...)
	into.Gauges = append(into.Gauges, m.pending.Gauges...)
	m.pending = analysis.Sample{}
}

// unknown is why it is not known what has been measured; nil where it is.
func (m *measurement) unknown() error {
	if m == nil {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.trouble
}

// heed lets the judges of a measuring have a say.
func (c *court) heed(m *Measuring) {
	for _, j := range []analysis.Judge{c.judge, c.observer} {
		if r, ok := j.(*analysis.Rollout); ok {
			r.Others, r.Beside.Rules = m.Judges, m.Rules
		}
	}
}
