package analysis

import (
	"slices"

	"github.com/slipway-ci/slipway/deploy"
)

// joined are two samples as one, at the time and share of the later.
func joined(a, b Sample) Sample {
	both := b
	both.Live, both.Candidate = plus(a.Live, b.Live), plus(a.Candidate, b.Candidate)
	both.Gauges = joinedGauges(a.Gauges, b.Gauges)
	both.Others = slices.Clone(a.Others)
	for _, m := range b.Others {
		at := slices.IndexFunc(both.Others, func(o Measure) bool { return o.Name == m.Name })
		if at < 0 {
			both.Others = append(both.Others, m)
			continue
		}
		both.Others[at].Live = plus(both.Others[at].Live, m.Live)
		both.Others[at].Candidate = plus(both.Others[at].Candidate, m.Candidate)
	}
	return both
}

// joinedGauges are the latest readings of all.
func joinedGauges(a, b []Gauge) []Gauge {
	all := slices.Clone(b)
	for _, g := range a {
		if !slices.ContainsFunc(all, func(o Gauge) bool { return o.Name == g.Name }) {
			all = append(all, g)
		}
	}
	return all
}

// plus is the traffic of both.
func plus(a, b deploy.Traffic) deploy.Traffic {
	return deploy.Traffic{
		Requests: a.Requests + b.Requests, Errors: a.Errors + b.Errors, Lost: a.Lost + b.Lost,
		Latency: plusHistogram(a.Latency, b.Latency),
	}
}

// plusHistogram is in buckets that both have.
func plusHistogram(a, b deploy.Histogram) deploy.Histogram {
	switch {
	case !usable(a):
		return b
	case !usable(b):
		return a
	}
	le := common(a.Le, b.Le)
	sum := deploy.Histogram{Le: le, Counts: make([]uint64, len(le)+1)}
	for _, h := range []deploy.Histogram{a, b} {
		k := 0
		for i, n := range h.Counts {
			for k < len(le) && (i == len(h.Le) || le[k] < h.Le[i]) {
				k++
			}
			sum.Counts[k] += n
		}
	}
	return sum
}

// measureOf is the traffic of one measure of a sample, by its name; all
// traffic has none.
func measureOf(s Sample, name string) Measure {
	if name == "" {
		return Measure{Live: s.Live, Candidate: s.Candidate}
	}
	for _, m := range s.Others {
		if m.Name == name {
			return m
		}
	}
	return Measure{Name: name}
}
