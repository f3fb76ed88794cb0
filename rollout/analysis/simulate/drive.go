package main

import (
	"math"
	"slices"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// observation is how often a judge sees what came.
type observation struct {
	name string
	// every so many seconds; zero is each request.
	every float64
}

var (
	eachRequest = observation{"each request", 0}
	eachSecond  = observation{"1 s", 1}
	scraped     = observation{"15 s", 15}
)

// plan is how a rollout is led.
type plan struct {
	observation
	// pinned is a share that stays; zero goes through the steps.
	pinned float64
	// until so many seconds.
	until float64
}

// outcome is how one rollout ended.
type outcome struct {
	decision analysis.Decision
	// seconds since the rollout began, and since the candidate was bad.
	seconds, late float64
	// requests of the candidate since it was bad, and how many of them failed.
	requests, failed float64
}

var steps = map[float64]float64{.05: .25, .25: .5}

// drive leads one rollout to its end.
func drive(w world, c contender, p plan, seed uint64) outcome {
	r, judge := w.run(seed), c.make()
	share := p.pinned
	if share == 0 {
		share = .05
	}
	every, single := p.every, false
	if every == 0 {
		every, single = 1/w.rps, true
	}
	var o outcome
	for at := 0.0; at < p.until-1e-9; at += every {
		s := r.next(at, every, share, single)
		if r.bad(at) {
			o.requests += float64(s.Candidate.Requests)
			o.failed += float64(s.Candidate.Errors)
		}
		v := judge.Observe(s)
		o.decision, o.seconds, o.late = v.Decision, at+every, at+every-w.onset
		switch {
		case v.Decision == analysis.Revert, v.Decision == analysis.Promote && p.pinned == 0:
			return o
		case v.Decision == analysis.Advance && p.pinned == 0:
			share = steps[share]
		}
	}
	return o
}

// result is what many rollouts came to.
type result struct {
	world
	contender string
	plan      plan
	runs      int
	reverted  int
	// early are reverts before anything was wrong.
	early    int
	promoted int
	// of those that were reverted
	late, requests, failed []float64
	// overWald are the requests of those over Wald's bound, where it says
	// anything.
	overWald []float64
	// of those that were promoted
	took []float64
}

// add takes what came out in another world.
func (r *result) add(o result) {
	r.runs, r.reverted, r.early, r.promoted = r.runs+o.runs, r.reverted+o.reverted, r.early+o.early, r.promoted+o.promoted
	r.late, r.requests, r.failed = append(r.late, o.late...), append(r.requests, o.requests...), append(r.failed, o.failed...)
	r.overWald, r.took = append(r.overWald, o.overWald...), append(r.took, o.took...)
}

// repeat drives with the seeds from 1 on.
func repeat(w world, c contender, p plan, runs int) result { return repeatFrom(0, w, c, p, runs) }

// repeatFrom drives with the seeds after another.
func repeatFrom(before uint64, w world, c contender, p plan, runs int) result {
	bound := wald(w)
	res := result{world: w, contender: c.name, plan: p, runs: runs}
	for seed := range uint64(runs) {
		o := drive(w, c, p, before+seed+1)
		switch o.decision {
		case analysis.Revert:
			if o.late <= 0 {
				res.early++
				continue
			}
			res.reverted++
			res.late = append(res.late, o.late)
			res.requests = append(res.requests, o.requests)
			res.failed = append(res.failed, o.failed)
			if w.tellable(bound) {
				res.overWald = append(res.overWald, o.requests/bound)
			}
		case analysis.Promote:
			res.promoted++
			res.took = append(res.took, o.seconds)
		}
	}
	return res
}

// median of values; NaN of none.
func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

// wald is the least number of candidate's requests in the mean that any test
// needs which knows both shares, and is wrong with a chance of alpha: Wald's
// bound ln(1/alpha) over the Kullback-Leibler distance.
func wald(w world) float64 {
	p, q := w.base, min(w.effect.errors(w.base), 1-1e-12)
	return math.Log(1/alpha) / (q*math.Log(q/p) + (1-q)*math.Log((1-q)/(1-p)))
}

// tellable says whether the bound says anything: not of durations, nor of a
// version that everybody sees fail.
func (w world) tellable(bound float64) bool { return w.effect.slower == 1 && bound >= 10 }

// percent of a count.
func percent(k, n int) deploy.Percent { return deploy.Percent(100 * float64(k) / float64(n)) }
