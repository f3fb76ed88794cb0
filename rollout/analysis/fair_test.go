package analysis

import (
	"math"
	"math/rand/v2"
	"testing"
)

// binomial is the chance of each number of successes among n.
func binomial(n int, p float64) []float64 {
	chances := make([]float64, n+1)
	for k := range chances {
		chances[k] = math.Exp(logChoose(uint64(n), uint64(k)) + float64(k)*math.Log(p) + float64(n-k)*math.Log1p(-p))
	}
	return chances
}

// meanOf what a batch with so many requests multiplies a bet by, over all of
// its outcomes, when the versions fail with these chances.
func meanOf(candidate, live int, pc, pl float64, bet func(candidateBad, candidateGood, liveBad, liveGood float64) float64) float64 {
	sum := 0.0
	chances := binomial(live, pl)
	for x, chance := range binomial(candidate, pc) {
		for y, other := range chances {
			sum += chance * other * math.Exp(bet(float64(x), float64(candidate-x), float64(y), float64(live-y)))
		}
	}
	return sum
}

// The heart of it: whatever was expected, and whatever the two versions really
// do, no batch makes any expert richer in the mean as long as the candidate is
// not worse. This is exact, by going through all outcomes of small batches.
func TestNoExpertGainsOnAVersionThatIsNotWorse(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 300 {
		candidate, live := 1+r.IntN(8), 1+r.IntN(8)
		pl := r.Float64()*0.98 + 0.01
		pc := pl * r.Float64()
		if r.IntN(2) == 0 {
			pc = pl
		}
		m := newMetric("errors", kindErrors, 0)
		m.bind(Rule{}, nil, nil)
		m.forecast.seen[0], m.forecast.seen[1] = float64(r.IntN(1000)), float64(r.IntN(100))
		m.forecast.look()
		rho := float64(candidate) / float64(candidate+live)
		for j, e := range m.experts {
			e.ratios(m.forecast.expected(), m.ratios)
			mean := meanOf(candidate, live, pc, pl, func(cb, cg, lb, lg float64) float64 {
				return gain(m.ratios, []float64{cg, cb}, []float64{lg, lb}, rho)
			})
			if mean > 1+1e-9 {
				t.Fatalf("expert %d grows to %g of itself with %d+%d requests failing at %g and %g", j, mean, candidate, live, pc, pl)
			}
		}
	}
}

func TestNoToleratedDefectMakesAnExpertGain(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 1))
	for range 500 {
		candidate, live := 1+r.IntN(8), 1+r.IntN(8)
		tolerance := r.Float64() * 0.2
		pl := r.Float64()*0.7 + 0.01
		pc := min(pl+tolerance*float64(r.IntN(2)), 0.99)
		l := r.Float64()*0.5 + 0.01
		c := min(l+tolerance+r.Float64()*0.3, 0.98)
		g := betOn(c, l, tolerance, float64(candidate)/float64(candidate+live))
		if mean := meanOf(candidate, live, pc, pl, g.of); mean > 1+1e-9 {
			t.Fatalf("grows to %g with %d+%d requests failing at %g and %g, %g is tolerated, the bet is on %g and %g",
				mean, candidate, live, pc, pl, tolerance, c, l)
		}
	}
}

func TestNoClaimGainsOnAVersionThatIsWorseByTheMargin(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	for range 500 {
		candidate, live := 1+r.IntN(8), 1+r.IntN(8)
		margin := r.Float64()*0.3 + 1e-3
		pl := r.Float64() * (0.99 - margin)
		pc := pl + margin + (0.99-pl-margin)*r.Float64()*float64(r.IntN(2))
		q := r.Float64()*0.5 + 1e-4
		g := betOn(q, q, margin, float64(candidate)/float64(candidate+live))
		if mean := meanOf(candidate, live, pc, max(pl, 1e-9), g.of); mean > 1+1e-9 {
			t.Fatalf("grows to %g with %d+%d requests failing at %g and %g, the margin is %g, the bet is on %g", mean, candidate, live, pc, pl, margin, q)
		}
	}
}

// A burst of errors with an exponential length makes no expert gain either.
func TestNoBurstMakesAnExpertGain(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 1))
	for range 1000 {
		rho := r.Float64()*0.98 + 0.01
		l := math.Exp(-9 * r.Float64())
		c := min(l*(1+99*r.Float64()*r.Float64()), mostFailing)
		if c <= l {
			continue
		}
		g := betOn(c, l, 0, rho)
		length := 2 + 100*r.Float64()
		d := g.tempered(rho, 2*length)
		// Bursts start in proportion to the share; what does not fail adds the
		// same as without bursts. In the limit of rare errors the mean grows by
		// this for each burst:
		mean := func(bad float64) float64 {
			if x := bad * length / d; x < 1 {
				return x / (1 - x)
			}
			return math.Inf(1)
		}
		if growth := rho*mean(g.candidateBad) + (1-rho)*mean(g.liveBad); c < .05 && growth > 1e-9 {
			t.Fatalf("grows by %g a burst of %.0f with shares of %g and %g at a split of %g", growth, length, c, l, rho)
		}
	}
}

// The live version's durations are drawn from anything, the candidate's from
// the same or from something faster; every expert must lose in the mean.
func TestNoLatencyExpertGainsOnAVersionThatIsNotSlower(t *testing.T) {
	const buckets = 4
	r := rand.New(rand.NewPCG(4, 1))
	for range 300 {
		live, candidate := anyChances(r, buckets), make([]float64, buckets)
		copy(candidate, live)
		if r.IntN(2) == 0 {
			faster(r, candidate)
		}
		l := known(r, buckets)
		rho := r.Float64()*0.98 + 0.01
		ratios := make([]float64, buckets)
		for j, e := range latencyExperts() {
			e.ratios(&l, ratios)
			mean := 0.0
			for k, ratio := range ratios {
				if k > 0 && ratio < ratios[k-1] {
					t.Fatalf("expert %d: ratios fall: %v", j, ratios)
				}
				mean += (rho*candidate[k]*ratio + (1-rho)*live[k]) / (1 + rho*(ratio-1))
			}
			if mean > 1+1e-12 {
				t.Fatalf("expert %d grows to %g a request at a split of %g: live %v, candidate %v", j, mean, rho, live, candidate)
			}
		}
	}
}

func anyChances(r *rand.Rand, n int) []float64 {
	p := make([]float64, n)
	for k := range p {
		p[k] = -math.Log(r.Float64())
	}
	sum := total(p)
	for k := range p {
		p[k] /= sum
	}
	return p
}

// faster moves chance from slow buckets to fast ones.
func faster(r *rand.Rand, p []float64) {
	for k := 1; k < len(p); k++ {
		moved := p[k] * r.Float64()
		p[k] -= moved
		p[r.IntN(k)] += moved
	}
}

// known is what somebody may expect of the live version.
func known(r *rand.Rand, n int) live {
	counts := make([]float64, n)
	for k := range counts {
		counts[k] = float64(r.IntN(1000) * r.IntN(2))
	}
	l := newLive(n)
	l.expect(counts, level(n))
	return l
}

// What is placed and what is idle always add up to one while nobody bets.
func TestStakesAddUpToOne(t *testing.T) {
	for _, experts := range [][]expert{errorExperts(), latencyExperts(), eventExperts()} {
		w := newWealth(experts, 10)
		for _, at := range []float64{0, 39, 40, 41, 1000, 1e6, 1e9} {
			w.until(at)
			w.change()
			if got := w.log(); math.Abs(got) > 1e-9 {
				t.Errorf("after %g s there is exp(%g), not 1", at, got)
			}
			if w.idle <= 0 {
				t.Errorf("after %g s nothing is left", at)
			}
		}
	}
}

// However long it took until the next stakes were placed, and whatever the first
// batch brought: the mean of all wealth after another batch is at most what there
// was at the start. This is exact, over all outcomes of both batches.
func TestPlacingStakesGainsNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 1))
	for range 40 {
		const candidate, beside = 3, 4
		p := 0.02 + 0.9*r.Float64()
		pause, share := math.Exp(9*r.Float64()), r.IntN(2) == 0
		later := 0.02 + 0.9*r.Float64() // both get worse together, or better
		mean := meanOf(candidate, beside, p, p, func(cb, cg, lb, lg float64) float64 {
			grown := func(w wealth, l *live, cb, cg, lb, lg float64) wealth {
				w.placed = append([]float64(nil), w.placed...)
				ratios := make([]float64, 2)
				for j, e := range errorExperts() {
					e.ratios(l, ratios)
					w.grow(j, gain(ratios, []float64{cg, cb}, []float64{lg, lb}, candidate/(candidate+beside+0.)))
				}
				return w
			}
			l := newLive(2)
			l.expect([]float64{0, 0}, []float64{priorRequests - priorFailed, priorFailed})
			first := grown(newWealth(errorExperts(), 0), &l, cb, cg, lb, lg)
			first.until(pause)
			if share {
				first.change()
			}
			l.expect([]float64{lg, lb}, []float64{priorRequests - priorFailed, priorFailed})
			return math.Log(meanOf(candidate, beside, later, later, func(cb, cg, lb, lg float64) float64 {
				second := grown(first, &l, cb, cg, lb, lg)
				return second.log()
			}))
		})
		if mean > 1+1e-9 {
			t.Fatalf("the mean grows to %g with shares of %g and %g, %g s apart", mean, p, later, pause)
		}
	}
}

// The nearest pair of the set really is nearest.
func TestNearestIsNearest(t *testing.T) {
	distance := func(q, p float64) float64 { return q*math.Log(q/p) + (1-q)*math.Log((1-q)/(1-p)) }
	r := rand.New(rand.NewPCG(5, 1))
	for range 1000 {
		margin, rho := r.Float64()*0.5, r.Float64()*0.98+0.01
		l := r.Float64()*0.4 + 1e-5
		c := r.Float64()*0.9 + 1e-5
		at := func(p float64) float64 { return rho*distance(c, p+margin) + (1-rho)*distance(l, p) }
		p := nearest(c, l, margin, rho)
		if p <= 0 || p+margin >= 1 {
			t.Fatalf("nearest(%g, %g, %g, %g) = %g is not between 0 and 1-margin", c, l, margin, rho, p)
		}
		for _, other := range []float64{p * 0.999, min(p*1.001, (1-margin)*(1-1e-9))} {
			if at(other) < at(p)-1e-12 {
				t.Fatalf("nearest(%g, %g, %g, %g) = %g, and %g is nearer", c, l, margin, rho, p, other)
			}
		}
	}
}
