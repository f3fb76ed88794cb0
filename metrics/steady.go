package metrics

import (
	"math"
)

// Where both versions are scraped at different times, as replicas are that tell
// of themselves, a window of one is not quite the window of the other: up to a
// scrape interval is in one and not in the other. That does no harm as long as
// the live version does the same all the time. But at the edge of an incident
// that both go through, one has seconds of it that the other has not, and a
// judge would take that for the version's fault. So a window is dropped if the
// live version did something else in it than in the windows before, which cover
// what the candidate's window may reach into. The candidate's own numbers have
// no say in it: it cannot hide behind its errors.

// steadyWindows are looked at, besides the present one: replicas of one version
// are scraped at different times, too.
const steadyWindows = 2

// What counts as something else: a change that chance does not explain, and
// that is large enough to be taken for a worse version. Small steady drift is
// what the judge's tolerance for dispersion is for.
const (
	leastRequests  = 20
	leastFailures  = 5
	leastDurations = 100
	largestZ       = 4.0
	largestRatio   = 1.1
	// largestShift is of the share of durations that lie elsewhere.
	largestShift = 0.1
)

// steady drops from counts what cannot be compared.
func (c *counter) steady(counts map[side]counted) outcome {
	now := counts[live]
	for _, before := range c.before {
		if otherErrors(before, now) {
			return unsteady
		}
	}
	for _, before := range c.before {
		if otherDurations(before.latency, now.latency) {
			for s, n := range counts {
				n.latency = histogram{}
				counts[s] = n
			}
			if now.requests == 0 && now.failures == 0 {
				return unsteady
			}
		}
	}
	return compared
}

// remember keeps what the live version got.
func (c *counter) remember(now counted) {
	copy(c.before[1:], c.before[:])
	c.before[0] = now
}

// otherErrors says whether requests failed more or less often than before.
func otherErrors(a, b counted) bool {
	if min(a.requests, b.requests) < leastRequests || max(a.failures, b.failures) < leastFailures {
		return false
	}
	all := (a.failures + b.failures + 1) / (a.requests + b.requests + 2)
	deviation := math.Sqrt(all * max(1-all, 0) * (1/a.requests + 1/b.requests))
	low, high := a.failures/a.requests, b.failures/b.requests
	if low > high {
		low, high = high, low
	}
	return high-low > largestZ*deviation && high > largestRatio*low
}

// otherDurations says whether durations have moved.
func otherDurations(a, b histogram) bool {
	a, b = alike(a, b)
	n, m := a.total(), b.total()
	if n < leastDurations || m < leastDurations {
		return false
	}
	moved := 0.0
	for i := range a.counts {
		moved += math.Abs(a.counts[i]/n-b.counts[i]/m) / 2
	}
	chance := math.Sqrt(float64(len(a.counts))*(1/n+1/m)) / 2
	return moved > largestShift+chance
}

func (h histogram) total() float64 {
	sum := 0.0
	for _, n := range h.counts {
		sum += n
	}
	return sum
}
