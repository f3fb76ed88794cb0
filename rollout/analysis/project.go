package analysis

import "math"

// gains are what one request adds to the logarithm of a bet on two kinds of
// outcome: by version, and by whether the request was bad.
type gains struct{ candidateBad, candidateGood, liveBad, liveGood float64 }

// of a batch.
func (g gains) of(candidateBad, candidateGood, liveBad, liveGood float64) float64 {
	return times(candidateBad, g.candidateBad) + times(candidateGood, g.candidateGood) +
		times(liveBad, g.liveBad) + times(liveGood, g.liveGood)
}

// mean of one request, if the shares of bad ones are c and l.
func (g gains) mean(c, l, rho float64) float64 {
	return rho*(c*g.candidateBad+(1-c)*g.candidateGood) + (1-rho)*(l*g.liveBad+(1-l)*g.liveGood)
}

// tempered is what the logarithm of a bet on a worse candidate is divided by
// when errors come in bursts that stick to one version. With bursts of a mean
// length of dispersion/2 and an exponential tail, one burst multiplies the bet
// by exp(bad × length / d) with the mean 1/(1 - bad × dispersion/2d), and the
// means of both versions balance from the d on that is given here. The
// dispersion alone balances small bets only: on an expert of large ratios a long
// burst of the candidate is worth more than all others cost.
func (g gains) tempered(rho, dispersion float64) float64 {
	if dispersion <= 1 {
		return 1
	}
	drift := rho*g.candidateBad + (1-rho)*g.liveBad
	if drift >= 0 {
		return dispersion
	}
	return dispersion * max(g.candidateBad*g.liveBad/(2*drift), 1)
}

// times is the product, and nothing where nothing was counted.
func times(count, gain float64) float64 {
	if count == 0 {
		return 0
	}
	return count * gain
}

// betOn is the bet that the candidate's share of bad requests is c and the live
// version's is l, held against all pairs on the line candidate = live + margin
// and on its other side from (c, l). rho is the candidate's share of the
// requests. It is the likelihood ratio against the nearest pair of that set,
// which no pair of the set makes grow in the mean (Grünwald, de Heide, Koolen:
// Safe testing; Turner, Ly, Grünwald: Generic e-variables).
func betOn(c, l, margin, rho float64) gains {
	p := nearest(c, l, margin, rho)
	return gains{
		candidateBad: math.Log(c / (p + margin)), candidateGood: math.Log((1 - c) / (1 - p - margin)),
		liveBad: math.Log(l / p), liveGood: math.Log((1 - l) / (1 - p)),
	}
}

// nearest is the live version's part p of the pair (p + margin, p) that has the
// least Kullback-Leibler distance from (c, l) at the split rho. c and l are
// above 0 and below 1.
func nearest(c, l, margin, rho float64) float64 {
	if margin == 0 {
		return rho*c + (1-rho)*l
	}
	slope := func(p float64) float64 { // of the distance, times what is positive
		return rho*(p+margin-c)*p*(1-p) + (1-rho)*(p-l)*(p+margin)*(1-p-margin)
	}
	low := max(min(c-margin, l), 0)
	high := min(max(c-margin, l), 1-margin)
	p := zero(slope, low, high)
	// An end of the range is no pair of shares that both can happen.
	return min(max(p, tiny*tiny), (1-margin)*(1-tiny))
}

// zero finds where a function that is at most 0 at low and at least 0 at high
// is 0: by the Illinois form of false position, and by halving where that is
// slow.
func zero(f func(float64) float64, low, high float64) float64 {
	atLow, atHigh := f(low), f(high)
	side := 0
	for i := range 100 {
		if high-low <= 1e-14*high || atHigh-atLow <= 0 {
			break
		}
		x := low - atLow*(high-low)/(atHigh-atLow)
		if i%4 == 3 || !(x > low && x < high) {
			x = (low + high) / 2
		}
		switch at := f(x); {
		case at == 0:
			return x
		case at < 0:
			low, atLow = x, at
			if side < 0 {
				atHigh /= 2
			}
			side = -1
		default:
			high, atHigh = x, at
			if side > 0 {
				atLow /= 2
			}
			side = 1
		}
	}
	return (low + high) / 2
}
