package metrics

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/rollout/analysis"
)

// DefaultInterval is how often a Watcher asks: a few times for each scrape of a
// Prometheus that scrapes every 15 seconds.
const DefaultInterval = 5 * time.Second

// Watcher asks a source in the background, so that who looks at a rollout ten
// times a second neither waits for an answer nor asks ten times a second.
type Watcher struct {
	cancel context.CancelFunc
	done   chan struct{}

	lock sync.Mutex
	// gathered is what came in since it was last taken.
	gathered Reading
	// failed is what the last attempt failed with.
	failed error
}

// Watch asks a source for the first time, which counts nothing, and from then
// on every interval until the context ends or Stop is called. An interval of
// zero means DefaultInterval. It fails if the first call fails in a way that
// stays, such as a query that is wrong.
func Watch(ctx context.Context, s Source, every time.Duration) (*Watcher, error) {
	if every <= 0 {
		every = DefaultInterval
	}
	ctx, cancel := context.WithCancel(ctx)
	w := &Watcher{cancel: cancel, done: make(chan struct{})}
	w.gather(s.Measure(ctx))
	if w.failed != nil && !Temporary(w.failed) {
		cancel()
		return nil, w.failed
	}
	go func() {
		defer close(w.done)
		w.run(ctx, s, every)
	}()
	return w, nil
}

func (w *Watcher) run(ctx context.Context, s Source, every time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		r, err := s.Measure(ctx)
		if ctx.Err() != nil {
			return // what it failed with is that nobody wants to know any more
		}
		w.gather(r, err)
	}
}

// gather adds a reading to what has not been taken yet.
func (w *Watcher) gather(r Reading, err error) {
	w.lock.Lock()
	defer w.lock.Unlock()
	w.failed = err
	for _, m := range r.Measures {
		at := slices.IndexFunc(w.gathered.Measures, func(o analysis.Measure) bool { return o.Name == m.Name })
		if at < 0 {
			w.gathered.Measures = append(w.gathered.Measures, m)
			continue
		}
		before := &w.gathered.Measures[at]
		before.Live, before.Candidate = plus(before.Live, m.Live), plus(before.Candidate, m.Candidate)
	}
	for _, g := range r.Gauges {
		w.gathered.Gauges = slices.DeleteFunc(w.gathered.Gauges, func(o analysis.Gauge) bool { return o.Name == g.Name })
		w.gathered.Gauges = append(w.gathered.Gauges, g)
	}
	w.gathered.Missing = r.Missing
}

// Take is what came in since it was last called, at once. The error is that of
// the last attempt; beside it the reading has what came in before. What is
// missing is told again and again for as long as it is.
func (w *Watcher) Take() (Reading, error) {
	w.lock.Lock()
	defer w.lock.Unlock()
	r := w.gathered
	w.gathered = Reading{Missing: r.Missing}
	return r, w.failed
}

// Stop ends the asking, and waits for that.
func (w *Watcher) Stop() {
	w.cancel()
	<-w.done
}
