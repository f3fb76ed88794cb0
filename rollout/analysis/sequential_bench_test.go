package analysis

import (
	"fmt"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// BenchmarkSequential is one observation of five metrics with 20 buckets each,
// besides their errors; it has to stay below 50 µs however long the rollout is.
func BenchmarkSequential(b *testing.B) {
	for _, age := range []time.Duration{0, 24 * time.Hour} {
		b.Run(fmt.Sprintf("after %s", age), func(b *testing.B) {
			j, s := &Sequential{}, sampleOf(5, 20)
			j.Observe(s)
			s.At = age + time.Second
			for b.Loop() {
				s.At += time.Second
				if v := j.Observe(s); v.Decision == Revert {
					b.Fatal(v.Why)
				}
			}
		})
	}
}

// sampleOf has a number of metrics with so many buckets, all with something in.
func sampleOf(metrics, buckets int) Sample {
	h := func(n uint64) deploy.Histogram {
		h := deploy.Histogram{}
		for k := range buckets {
			h.Counts = append(h.Counts, n*uint64(1+min(k, buckets-k)))
			if k > 0 {
				h.Le = append(h.Le, 0.005*float64(k))
			}
		}
		return h
	}
	live := deploy.Traffic{Requests: 1900, Errors: 19, Latency: h(19)}
	candidate := deploy.Traffic{Requests: 100, Errors: 1, Latency: h(1)}
	s := Sample{At: time.Second, Share: 5, Live: live, Candidate: candidate}
	for i := range metrics - 1 {
		s.Others = append(s.Others, Measure{Name: fmt.Sprintf("route %d", i), Live: live, Candidate: candidate})
	}
	return s
}
