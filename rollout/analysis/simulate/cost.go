package main

import (
	"fmt"
	"math"
	"runtime"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// cost is what one observation takes, and whether it takes more later. Of many
// rounds the quickest counts: the others tell what else the machine did. Where
// time is not judged, a machine with much else to do does not fail it.
func cost(timed bool) goal {
	limit, rounds := 50.0, 200
	if !timed {
		limit, rounds = math.Inf(1), 20
	}
	return goal{
		of: ofCost, what: "5 measures, each with errors and 20 buckets, after 1 s and after a day", want: "below 50 µs, as much later",
		measure: func() (string, bool) {
			j, s := ours().make(), wide(5, 20)
			young, allocated := observing(rounds, j, &s)
			s.At += 24 * time.Hour
			old, later := observing(rounds, j, &s)
			got := fmt.Sprintf("%.1f µs and %.1f allocations; after a day %.1f µs and %.1f", young, allocated, old, later)
			return got, max(young, old) < limit && later <= allocated+0.5
		},
	}
}

// observing is how many microseconds, and how many allocations, one observation
// takes.
func observing(rounds int, j analysis.Judge, s *analysis.Sample) (microseconds, allocated float64) {
	const observations = 100
	var before, after runtime.MemStats
	best, allocations := math.Inf(1), math.Inf(1)
	for range rounds {
		runtime.ReadMemStats(&before)
		began := time.Now()
		for range observations {
			s.At += time.Second
			j.Observe(*s)
		}
		took := float64(time.Since(began).Nanoseconds()) / 1e3 / observations
		runtime.ReadMemStats(&after)
		best = min(best, took)
		allocations = min(allocations, float64(after.Mallocs-before.Mallocs)/observations)
	}
	return best, allocations
}

// wide has so many measures with so many buckets, all with something in.
func wide(measures, buckets int) analysis.Sample {
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
	s := analysis.Sample{Share: 5, Live: live, Candidate: candidate}
	for i := range measures - 1 {
		s.Others = append(s.Others, analysis.Measure{Name: fmt.Sprintf("route %d", i), Live: live, Candidate: candidate})
	}
	return s
}
