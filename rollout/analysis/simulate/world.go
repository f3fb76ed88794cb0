package main

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// world is what happens: traffic, and what the two versions do with it.
type world struct {
	// rps are requests a second of both versions together, Poisson.
	rps float64
	// base is the share of errors of the live version.
	base float64
	// effect is what is wrong with the candidate, from onset seconds on.
	effect effect
	onset  float64
	shape  shape
	stress stress
	// slowFor is how many seconds a candidate takes to warm up; zero means
	// slowStart.
	slowFor float64
}

// effect is what is wrong with a candidate.
type effect struct {
	name string
	// errors is the candidate's share of errors, from the live version's.
	errors func(base float64) float64
	// slower multiplies all durations.
	slower float64
}

var (
	none     = effect{"equal", same, 1}
	double   = effect{"errors × 2", func(b float64) float64 { return 2 * b }, 1}
	point    = effect{"errors + 1 point", func(b float64) float64 { return b + .01 }, 1}
	broken   = effect{"all requests fail", func(float64) float64 { return 1 }, 1}
	slower   = effect{"latency × 1.1", same, 1.1}
	sluggish = effect{"latency × 1.5", same, 1.5}
)

func same(base float64) float64 { return base }

// shape is a distribution of durations.
type shape struct {
	name string
	// slow is the chance that a request takes longer than so many seconds.
	slow func(seconds float64) float64
}

// lognormal has this median in seconds and this spread in logarithms.
func lognormal(median, spread float64) func(float64) float64 {
	return func(s float64) float64 { return 0.5 * math.Erfc(math.Log(s/median)/(spread*math.Sqrt2)) }
}

var (
	narrow = shape{"lognormal", lognormal(.08, .6)}
	heavy  = shape{"heavy tail", func(s float64) float64 { return .97*lognormal(.05, .4)(s) + .03*lognormal(.8, 1)(s) }}
	twin   = shape{"cached and not", func(s float64) float64 { return .7*lognormal(.008, .5)(s) + .3*lognormal(.2, .5)(s) }}
)

// bounds are the default buckets of Prometheus client libraries
// (prometheus/client_golang, DefBuckets).
var bounds = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// chances of the buckets when all durations are multiplied.
func (s shape) chances(times float64) []float64 {
	chances := make([]float64, len(bounds)+1)
	above := 1.0
	for i, le := range bounds {
		slow := s.slow(le / times)
		chances[i], above = above-slow, slow
	}
	chances[len(bounds)] = above
	return chances
}

// stress is what goes on besides.
type stress string

const (
	calm      stress = "none"
	incident  stress = "shared incident"
	clustered stress = "clustered errors"
	warmingUp stress = "canary warm-up"
	misrouted stress = "routing off"
)

// What the stresses are.
const (
	incidentLasts  = 60.0
	incidentErrors = 0.2
	incidentSlower = 3.0
	burstMean      = 20.0
	slowStart      = 30.0
	warmUpSlower   = 3.0
	routedPart     = 0.5
	// groups of clients that the sandbox tells apart.
	groups = 256
)

func (w world) String() string {
	what := w.effect.name
	if w.onset > 0 {
		what += fmt.Sprintf(" from %g s on", w.onset)
	}
	s := fmt.Sprintf("%g rps, %s errors, %s, %s", w.rps, deploy.Percent(100*w.base), what, w.shape.name)
	if w.stress != calm {
		s += ", " + string(w.stress)
	}
	if w.slowFor > 0 {
		s += fmt.Sprintf(" of %g s", w.slowFor)
	}
	return s
}

// run is one rollout in a world, with its own luck.
type run struct {
	world
	seed uint64
	// incidentAt is when the shared incident begins.
	incidentAt float64
	// usual and altered are the chances of the buckets, for both versions.
	usual, altered, cold, inIncident, alteredInIncident []float64
	// warm is from when on a candidate is that had to warm up.
	warm float64
	// liveClients and candidateClients are who got the errors.
	liveClients, candidateClients clients
	tick                          uint64
}

func (w world) run(seed uint64) *run {
	luck := lucky(seed, math.MaxUint64)
	r := &run{
		world: w, seed: seed, incidentAt: 30 + 240*luck.Float64(),
		usual: w.shape.chances(1), altered: w.shape.chances(w.effect.slower), cold: w.shape.chances(warmUpSlower),
		inIncident: w.shape.chances(incidentSlower), alteredInIncident: w.shape.chances(incidentSlower * w.effect.slower),
	}
	if r.warm = w.slowFor; r.warm == 0 {
		r.warm = slowStart
	}
	return r
}

// lucky draws the same for the same seed and turn.
func lucky(seed, turn uint64) *rand.Rand {
	return rand.New(rand.NewPCG(seed, turn)) //nolint:gosec // traffic that nobody must be able to repeat would be useless
}

// next is the traffic of the next so many seconds, at a share from 0 to 1. It
// depends on the seed, the time and the share, and on no judge. single draws
// one request only, as it comes.
func (r *run) next(from, lasts, share float64, single bool) analysis.Sample {
	r.tick++
	luck := lucky(r.seed, r.tick)
	n := uint64(1)
	if !single {
		n = poisson(luck, r.rps*lasts)
	}
	real := share
	if r.stress == misrouted {
		real *= routedPart
	}
	candidate := binomial(luck, n, real)
	s := analysis.Sample{Share: deploy.Percent(100 * share), At: time.Duration((from + lasts) * 1e9)}
	base, now := r.shares(from, lasts)
	s.Live = r.version(luck, n-candidate, base, r.durations(from, lasts, false))
	s.Candidate = r.version(luck, candidate, now, r.durations(from, lasts, true))
	switch r.stress {
	case clustered:
		now := r.base
		if r.bad(from) {
			now = r.effect.errors(r.base)
		}
		r.bursts(luck, &s, real, now)
	case calm:
		r.single(&s)
	default:
		return s
	}
	s.Dispersion = analysis.Dispersed(r.liveClients.spread(), r.candidateClients.spread())
	return s
}

// single errors are of clients who have nothing to do with one another. They have
// luck of their own, so that the traffic is the same for who looks at clients and
// who does not.
func (r *run) single(s *analysis.Sample) {
	luck := lucky(r.seed, math.MaxUint64-r.tick)
	for _, side := range []struct {
		of  *clients
		got deploy.Traffic
	}{{&r.liveClients, s.Live}, {&r.candidateClients, s.Candidate}} {
		side.of.requests += side.got.Requests
		for range side.got.Errors {
			side.of.fail(luck.IntN(groups), 1)
		}
	}
}

// clients are groups of them, all of them as busy as the others.
type clients struct {
	requests, errors uint64
	failed           [groups]float64
	squared          float64
}

// fail lets a group have so many errors more.
func (c *clients) fail(group int, errors uint64) {
	before := c.failed[group]
	c.failed[group] += float64(errors)
	c.errors += errors
	c.squared += c.failed[group]*c.failed[group] - before*before
}

func (c *clients) spread() deploy.Spread {
	n, e := float64(c.requests), float64(c.errors)
	return deploy.Spread{Requests: c.requests, Errors: c.errors, RequestsSquared: n * n / groups, ErrorsSquared: c.squared, Product: n * e / groups}
}

func (r *run) bad(from float64) bool { return from >= r.onset-1e-9 }

// during is the part of a batch that an incident covers.
func (r *run) during(from, lasts float64) float64 {
	if r.stress != incident {
		return 0
	}
	over := min(from+lasts, r.incidentAt+incidentLasts) - max(from, r.incidentAt)
	return max(over, 0) / lasts
}

// shares of errors of both versions in a batch.
func (r *run) shares(from, lasts float64) (live, candidate float64) {
	live, candidate = r.base, r.base
	if r.bad(from) {
		candidate = r.effect.errors(r.base)
	}
	part := r.during(from, lasts)
	return live + (1-live)*part*incidentErrors, candidate + (1-candidate)*part*incidentErrors
}

// durations are the chances of the buckets of one version in a batch.
func (r *run) durations(from, lasts float64, candidate bool) []float64 {
	altered := candidate && r.bad(from)
	switch {
	case candidate && r.stress == warmingUp && from < r.warm:
		return r.cold
	case r.during(from, lasts) > 0.5 && altered:
		return r.alteredInIncident
	case r.during(from, lasts) > 0.5:
		return r.inIncident
	case altered:
		return r.altered
	}
	return r.usual
}

// version draws what becomes of n requests.
func (r *run) version(luck *rand.Rand, n uint64, failing float64, durations []float64) deploy.Traffic {
	t := deploy.Traffic{Requests: n, Latency: deploy.Histogram{Le: bounds, Counts: make([]uint64, len(bounds)+1)}}
	if r.stress != clustered {
		t.Errors = binomial(luck, n, failing)
	}
	spread(luck, n, durations, t.Latency.Counts)
	return t
}

// bursts are errors of clients whose requests all fail, all on the version that
// they stick to. The share of errors is the same as without: now on the candidate.
// No burst goes on in the next batch.
func (r *run) bursts(luck *rand.Rand, s *analysis.Sample, share, now float64) {
	all := float64(s.Live.Requests + s.Candidate.Requests)
	for _, side := range []struct {
		of   *clients
		got  *deploy.Traffic
		mean float64
	}{{&r.liveClients, &s.Live, all * (1 - share) * r.base}, {&r.candidateClients, &s.Candidate, all * share * now}} {
		side.of.requests += side.got.Requests
		for range poisson(luck, side.mean/burstMean) {
			size := min(geometric(luck, burstMean), side.got.Requests-side.got.Errors)
			side.got.Errors += size
			side.of.fail(luck.IntN(groups), size)
		}
	}
}
