package analysis

import (
	"fmt"
	"math"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// claim is what has to be shown before a gate opens: that the candidate is not
// worse by more than a margin. It is a bet that both versions are alike, against
// all pairs of versions of which the candidate is worse by the margin or more.
type claim struct {
	// next is the share that the gate opens to; zero holds at every gate.
	next deploy.Percent
	// margin is in shares of requests, between 0 and 1.
	margin float64
	// quantile and ratio are of a claim on durations.
	quantile, ratio float64
	// log of the bet's worth now.
	log float64
	// settled once the gate has opened on it.
	settled bool
	// gain a request of the next batch brings in the mean, as a logarithm, if
	// both versions are alike; 0 while nobody can tell.
	gain float64
	// within are the bounds that the last bet on durations stood on.
	within bounds
}

// widest is the largest margin that is worth a claim.
const widest = 0.5

// errorClaims are one for each share that a gate may open to. A candidate with
// a small share may be worse by more, for the same harm to all users together.
func errorClaims(margin deploy.Percent, steps []deploy.Percent) []claim {
	var all []claim
	for _, next := range steps {
		all = append(all, claim{next: next, margin: min(margin.Fraction()/next.Fraction(), widest)})
	}
	return all
}

// latencyClaims are one for each quantile that people ask for.
func latencyClaims(ratio float64) []claim {
	var all []claim
	for _, quantile := range []float64{.5, .95, .99} {
		all = append(all, claim{quantile: quantile, ratio: ratio})
	}
	return all
}

// bet on the batch that the metric carries.
func (c *claim) bet(m *metric, rho, dispersion float64) {
	if c.quantile == 0 {
		c.betErrors(m, rho, dispersion)
	} else {
		c.betLatency(m, rho, dispersion)
	}
}

// The bet is on the live version's expected share alone, not on that of both
// versions together: then fewer errors of the candidate never make it worse.
func (c *claim) betErrors(m *metric, rho, dispersion float64) {
	q := m.forecast.expected().mass[1]
	g := betOn(q, q, c.margin, rho)
	c.log += g.of(m.carriedCandidate[1], m.carriedCandidate[0], m.carriedLive[1], m.carriedLive[0]) / dispersion
	c.gain = g.mean(q, q, rho) / dispersion
}

func (c *claim) betLatency(m *metric, rho, dispersion float64) {
	c.within = c.choose(m, rho)
	b := c.within
	c.gain = max(b.gain, 0) / dispersion
	if b.gain <= 0 {
		return
	}
	slow, fast := above(m.carriedCandidate, b.candidate)
	liveSlow, liveFast := above(m.carriedLive, b.live)
	c.log += b.bet.of(slow, fast, liveSlow, liveFast) / dispersion
}

// bounds are two of a histogram: what is claimed is that fewer requests of the
// candidate are above the one than of the live version above the other.
type bounds struct {
	live, candidate int
	bet             gains
	// alone is a claim on the candidate only: that its quantile is within the
	// bound that the live version's is within, for the lowest bucket, of which
	// no lower bound is known.
	alone bool
	// gain is what a request brings in the mean.
	gain float64
}

// leastGain is what a request has to bring for a claim to be worth waiting for:
// with less it takes hundreds of millions of them, and what is expected comes
// from the prior.
const leastGain = 1e-8

// choose takes the pair of bounds next to the live version's quantile that says
// most: the one just below it or the one just above it, each with the first
// bound that is larger by the ratio. Without such a pair, lower bounds do.
func (c *claim) choose(m *metric, rho float64) bounds {
	bucket, expected := 0, m.forecast.expected()
	for bucket < len(m.le) && expected.below[bucket+1] < c.quantile {
		bucket++
	}
	best := bounds{}
	for lower := bucket; lower >= 0; lower-- {
		if lower < len(m.le) {
			best = better(best, c.pair(m, rho, lower))
		}
		if lower < bucket && best.gain > 0 {
			break
		}
	}
	if bucket == 0 {
		best = better(best, c.alone(m, rho))
	}
	if best.gain < leastGain {
		return bounds{}
	}
	return best
}

func better(a, b bounds) bounds {
	if b.gain > a.gain {
		return b
	}
	return a
}

// pair is the claim with a bound for the live version.
func (c *claim) pair(m *metric, rho float64, lower int) bounds {
	upper := lower
	for upper < len(m.le) && (m.le[upper] < m.le[lower]*c.ratio || upper == lower) {
		upper++
	}
	if upper == len(m.le) {
		return bounds{}
	}
	slow, liveSlow := share(m.forecast.expected(), upper), share(m.forecast.expected(), lower)
	if slow >= liveSlow {
		return bounds{}
	}
	bet := betOn(slow, liveSlow, 0, rho)
	return bounds{live: lower, candidate: upper, bet: bet, gain: bet.mean(slow, liveSlow, rho)}
}

// alone is the claim for the lowest bucket.
func (c *claim) alone(m *metric, rho float64) bounds {
	if len(m.le) == 0 {
		return bounds{}
	}
	slow, limit := share(m.forecast.expected(), 0), 1-c.quantile
	if slow >= limit {
		return bounds{}
	}
	bet := gains{candidateBad: math.Log(slow / limit), candidateGood: math.Log((1 - slow) / (1 - limit))}
	return bounds{alone: true, bet: bet, gain: bet.mean(slow, slow, rho)}
}

// share is the expected share of the live version above a bound.
func share(l *live, bound int) float64 {
	return min(max(1-l.below[bound+1], tiny), 1-tiny)
}

// above counts what is above a bound, and what is not.
func above(counts []float64, bound int) (slow, fast float64) {
	return total(counts[bound+1:]), total(counts[:bound+1])
}

// shown says whether the claim is shown at a level such as 0.05. What a gate
// has opened on stays so.
func (c *claim) shown(level float64) bool { return c.settled || c.log >= math.Log(1/level) }

// left is how much longer it takes at the present pace.
func (c *claim) left(level float64, p pace) time.Duration {
	if c.shown(level) {
		return 0
	}
	rate := c.gain * p.perSecond()
	seconds := (math.Log(1/level) - c.log) / rate
	if rate <= 0 || !(seconds < math.MaxInt64/1e9) {
		return Unknown
	}
	return time.Duration(seconds * float64(time.Second))
}

// of says what is claimed of a metric: "errors are at most 0.4 points worse".
func (c *claim) of(m *metric) string {
	if c.quantile == 0 {
		return fmt.Sprintf("%s are at most %s worse", m.name, points(100*c.margin))
	}
	p := fmt.Sprintf("p%.0f of %s", 100*c.quantile, m.name)
	switch b := c.within; {
	case b.alone:
		return fmt.Sprintf("%s is within %ss as on %s", p, number(m.le[0]), m.against)
	case b.gain > 0 && m.le[b.live] > 0:
		return fmt.Sprintf("%s is at most %s times as long", p, ratio(m.le[b.candidate]/m.le[b.live]))
	}
	return fmt.Sprintf("%s is at most %s times as long", p, ratio(c.ratio))
}
