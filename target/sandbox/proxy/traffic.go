package proxy

import (
	"sync/atomic"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// bounds are the inclusive upper bounds of the latency buckets.
var bounds = [...]time.Duration{
	time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 5 * time.Second, 10 * time.Second,
}

// result is how a request ended.
type result int

const (
	// fine is any answer below 500, and whatever the client itself gave up.
	fine result = iota
	// failed is an answer of 5xx.
	failed
	// lost is a request that no replica answered, or not to the end.
	lost
)

// traffic counts one revision without locks. Each request is counted in once,
// from the largest set to the smallest; snapshot reads the other way round, so
// that Lost <= Errors <= Requests in every reading.
type traffic struct {
	requests atomic.Uint64
	buckets  [len(bounds) + 1]atomic.Uint64
	errors   atomic.Uint64
	lost     atomic.Uint64
	// spread counts from when users were last divided; nil before. The router's
	// lock guards it.
	spread *spread
}

// count adds one request.
func (t *traffic) count(r result, took time.Duration) {
	t.requests.Add(1)
	t.buckets[bucket(took)].Add(1)
	if r != fine {
		t.errors.Add(1)
	}
	if r == lost {
		t.lost.Add(1)
	}
}

// bucket is the index of the first bound that is not exceeded.
func bucket(took time.Duration) int {
	for i, b := range bounds {
		if took <= b {
			return i
		}
	}
	return len(bounds)
}

// snapshot reads all counts; a nil traffic has none.
func (t *traffic) snapshot() deploy.Traffic {
	s := deploy.Traffic{Latency: deploy.Histogram{
		Le:     make([]float64, len(bounds)),
		Counts: make([]uint64, len(bounds)+1),
	}}
	for i, b := range bounds {
		s.Latency.Le[i] = b.Seconds()
	}
	if t == nil {
		return s
	}
	s.Lost = t.lost.Load()
	s.Errors = t.errors.Load()
	for i := range t.buckets {
		s.Latency.Counts[i] = t.buckets[i].Load()
	}
	s.Requests = t.requests.Load()
	return s
}
