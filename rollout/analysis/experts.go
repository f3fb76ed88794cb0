package analysis

import "math"

// expert is one way in which a candidate can be worse. It says for each
// outcome, from good to bad, how many times likelier the outcome is if it is
// right. These ratios never fall from good to bad.
type expert struct {
	// early and late are its parts of the stakes that are placed at once and of
	// those that are placed later; each adds up to 1 over all experts.
	early, late float64
	ratios      func(l *live, out []float64)
}

// live is what is expected of the live version in the next batch, from what was
// seen before it.
type live struct {
	// mass is the chance of each outcome, from good to bad, above 0 and below 1.
	mass []float64
	// below is the chance of all outcomes that are better than the k-th; one
	// entry more than mass, the last is 1.
	below []float64
}

func newLive(outcomes int) live {
	return live{mass: make([]float64, outcomes), below: make([]float64, outcomes+1)}
}

// tiny keeps chances away from what is certain.
const tiny = 1e-12

// expect sets the chances from counts and as many more of each outcome as
// prior, which stand for what is known before anything was seen.
func (l *live) expect(counts, prior []float64) {
	total := 0.0
	for k, n := range counts {
		total += n + prior[k]
	}
	sum := 0.0
	for k, n := range counts {
		l.mass[k] = min(max((n+prior[k])/total, tiny), 1-tiny)
		l.below[k] = min(sum, 1)
		sum += l.mass[k]
	}
	l.below[len(counts)] = 1
}

// mostFailing is the largest share of bad requests that an expert on ratios
// expects.
const mostFailing = 0.98

// errorExperts bet on outcomes "answered" and "failed": that the candidate
// fails so many times more often, or so often whatever the live version does.
// Small defects get most of the early stakes, because they take longest and
// every second counts twice there; who turns bad late is mostly bad in earnest.
func errorExperts() []expert {
	var all []expert
	for _, e := range []struct{ ratio, early, late float64 }{
		{1.12, .02, .01},
		{1.3, .06, .02},
		{1.6, .20, .05},
		{2, .30, .08},
		{2.7, .21, .11},
		{4, .08, .15},
		{7, .05, .23},
		{14, .03, .21},
		{35, .015, .06},
		{100, .005, .04},
	} {
		all = append(all, expert{e.early, e.late, func(l *live, out []float64) {
			failing(l, min(e.ratio*l.mass[1], mostFailing), out)
		}})
	}
	for _, e := range []struct{ share, early, late float64 }{{.5, .01, .02}, {mostFailing, .02, .02}} {
		all = append(all, expert{e.early, e.late, func(l *live, out []float64) { failing(l, e.share, out) }})
	}
	return all
}

// failing are the ratios when the candidate fails with the given share. Below
// what is expected of the live version there is nothing to bet.
func failing(l *live, share float64, out []float64) {
	share = max(share, l.mass[1])
	out[0], out[1] = (1-share)/(1-l.mass[1]), share/l.mass[1]
}

// eventExperts bet that events happen so many times more often. There is one
// outcome only.
func eventExperts() []expert {
	var all []expert
	for _, ratio := range []float64{1.12, 1.3, 1.6, 2, 2.7, 4, 7, 14, 35, 100} {
		all = append(all, expert{.1, .1, func(_ *live, out []float64) { out[0] = ratio }})
	}
	return all
}

// latencyExperts bet on buckets of durations. The first six move the whole
// distribution, by proportional odds; the others multiply what is above a
// quantile.
func latencyExperts() []expert {
	var all []expert
	for _, odds := range []float64{1.15, 1.35, 1.8, 3, 10, 100} {
		all = append(all, expert{1. / 12, 1. / 12, func(l *live, out []float64) { slower(l, odds, out) }})
	}
	for _, e := range []struct{ quantile, times float64 }{{.9, 1.4}, {.9, 3}, {.95, 1.6}, {.95, 4}, {.99, 2}, {.99, 8}} {
		all = append(all, expert{1. / 12, 1. / 12, func(l *live, out []float64) { heavier(l, e.quantile, e.times, out) }})
	}
	return all
}

// slower are the ratios when the odds of being slower than any duration are
// multiplied. With u the live version's distribution function the candidate's
// is u / (u + odds(1-u)); the rise over a bucket, divided by the rise of u, is
// the quotient below.
func slower(l *live, odds float64, out []float64) {
	from := odds
	for k := range out {
		u := l.below[k+1]
		to := u + odds*(1-u)
		out[k] = odds / (from * to)
		from = to
	}
}

// heavier are the ratios when what is above a quantile happens so many times
// more often, at the cost of all below.
func heavier(l *live, quantile, times float64, out []float64) {
	under := (1 - times*(1-quantile)) / quantile
	for k := range out {
		from, to := l.below[k], l.below[k+1]
		switch {
		case to <= quantile:
			out[k] = under
		case from >= quantile:
			out[k] = times
		default:
			above := (to - quantile) / (to - from)
			out[k] = under + above*(times-under)
		}
	}
}

// gain is what a batch adds to the logarithm of a bet with these ratios. rho is
// the candidate's share of the batch. Per request it is the logarithm of
// ratio/(1+rho(ratio-1)) on the candidate and of 1/(1+rho(ratio-1)) on the live
// version, whose mean is at most 0 while the candidate is not worse.
func gain(ratios, candidate, liveCounts []float64, rho float64) float64 {
	sum, last, ln, mix := 0.0, math.NaN(), 0.0, 0.0
	for k, ratio := range ratios {
		both := candidate[k] + liveCounts[k]
		if both == 0 {
			continue
		}
		if ratio != last { // logarithms are what all of this costs
			last, ln, mix = ratio, math.Log(ratio), math.Log(1+rho*(ratio-1))
		}
		sum += candidate[k]*ln - both*mix
	}
	return sum
}
