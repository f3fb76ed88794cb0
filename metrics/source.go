package metrics

import (
	"context"
	"errors"
	"sync"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// Source measures both versions. It is for one rollout, and must not be asked
// by two goroutines at once.
type Source interface {
	// Measure returns what came in since the call before; no counts at the
	// first call, which remembers where counting begins. It is worth a call
	// before the rollout begins: it tells a query that is wrong, a server that
	// does not answer, and a live version that nobody counts.
	//
	// An error is a *QueryError or a *FetchError, with a hint. What was not
	// measured for it is not lost: it is told by the next call that succeeds.
	Measure(ctx context.Context) (Reading, error)
}

// Reading is what came in since the reading before.
type Reading struct {
	// Measures are counts of both versions over the same time. One without a
	// name is all traffic.
	Measures []analysis.Measure
	// Gauges are values at this moment.
	Gauges []analysis.Gauge
	// Missing is what was asked for and is not there, or not yet, each with a
	// hint. It is no failure: before users come to a version nobody counts
	// them. But as long as it is missing, nothing is known.
	Missing []error
}

// AddTo puts the reading into a sample. A measure without a name is added to
// the traffic of the versions.
func (r Reading) AddTo(s *analysis.Sample) {
	for _, m := range r.Measures {
		if m.Name == "" {
			s.Live, s.Candidate = plus(s.Live, m.Live), plus(s.Candidate, m.Candidate)
			continue
		}
		s.Others = append(s.Others, m)
	}
	s.Gauges = append(s.Gauges, r.Gauges...)
}

// plus is the traffic of both.
func plus(a, b deploy.Traffic) deploy.Traffic {
	return deploy.Traffic{
		Requests: a.Requests + b.Requests, Errors: a.Errors + b.Errors, Lost: a.Lost + b.Lost,
		Latency: histogramOf(a.Latency).plus(histogramOf(b.Latency)).counted(),
	}
}

// Sources asks all of them at once.
type Sources []Source

var _ Source = Sources(nil)

// alone tells those that heed it that all users are on the candidate.
func (s Sources) alone() {
	for _, source := range s {
		if p, heeds := source.(*Prometheus); heeds {
			p.Alone()
		}
	}
}

// Measure joins what they say. Where some fail, the reading has what the others
// measured, beside the errors.
func (s Sources) Measure(ctx context.Context) (Reading, error) {
	readings, failed := make([]Reading, len(s)), make([]error, len(s))
	var all sync.WaitGroup
	for i := range s {
		all.Go(func() { readings[i], failed[i] = s[i].Measure(ctx) })
	}
	all.Wait()
	var joined Reading
	for _, r := range readings {
		joined.Measures = append(joined.Measures, r.Measures...)
		joined.Gauges = append(joined.Gauges, r.Gauges...)
		joined.Missing = append(joined.Missing, r.Missing...)
	}
	return joined, errors.Join(failed...)
}
