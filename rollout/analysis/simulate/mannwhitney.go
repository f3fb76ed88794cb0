package main

import (
	"math"
	"math/bits"
	"slices"
)

// midranks gives each value its rank among all, ties their mean.
func midranks(values []float64) []float64 {
	order := make([]int, len(values))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		switch {
		case values[a] < values[b]:
			return -1
		case values[a] > values[b]:
			return 1
		}
		return 0
	})
	ranks := make([]float64, len(values))
	for i := 0; i < len(order); {
		k := i
		for k < len(order) && values[order[k]] == values[order[i]] {
			k++
		}
		for _, o := range order[i:k] {
			ranks[o] = float64(i+k+1) / 2
		}
		i = k
	}
	return ranks
}

// greater is the exact chance that as large a rank sum of x, or a larger one,
// comes about if x and y are alike: over all ways of choosing who is x. Both
// have a few values only.
func greater(x, y []float64) float64 {
	ranks := midranks(append(slices.Clone(x), y...))
	sum := func(set uint) (s float64) {
		for i, r := range ranks {
			if set>>i&1 == 1 {
				s += r
			}
		}
		return s
	}
	seen := sum(1<<len(x) - 1)
	larger, all := 0, 0
	for set := range uint(1) << len(ranks) {
		if bits.OnesCount(set) != len(x) {
			continue
		}
		all++
		if sum(set) >= seen-1e-9 {
			larger++
		}
	}
	return float64(larger) / float64(all)
}

// shift is the normal deviate of x, moved down by mu, against y: with a
// correction for continuity and for ties, as R's wilcox.test has it. ok is false
// when all are tied.
func shift(x, y []float64, mu, quantile float64) (z float64, ok bool) {
	all := make([]float64, 0, len(x)+len(y))
	for _, v := range x {
		all = append(all, v-mu)
	}
	ranks := midranks(append(all, y...))
	n, m := float64(len(x)), float64(len(y))
	d := -n*(n+1)/2 - n*m/2
	for _, r := range ranks[:len(x)] {
		d += r
	}
	ties := map[float64]float64{}
	for _, r := range ranks {
		ties[r]++
	}
	tied := 0.0
	for _, t := range ties {
		tied += t*t*t - t
	}
	deviation := math.Sqrt(n * m / 12 * (n + m + 1 - tied/((n+m)*(n+m-1))))
	if deviation == 0 {
		return 0, false
	}
	correction := 0.0
	if d != 0 {
		correction = math.Copysign(0.5, d)
	}
	return (d-correction)/deviation - quantile, true
}

// quantile98 of the normal distribution, for both sides of 98%.
const quantile98 = 2.3263478740408408

// interval is the lower end of the 98% interval of how much x is above y, and
// the Hodges-Lehmann estimate.
func interval(x, y []float64) (lower, estimate float64, ok bool) {
	low, high := slices.Min(x)-slices.Max(y), slices.Max(x)-slices.Min(y)
	lower, ok = root(x, y, low, high, quantile98)
	if !ok {
		return 0, 0, false
	}
	estimate, ok = root(x, y, low, high, 0)
	return lower, estimate, ok
}

// root is the shift at which the deviate is the quantile.
func root(x, y []float64, low, high, quantile float64) (float64, bool) {
	atLow, ok := shift(x, y, low, quantile)
	atHigh, okHigh := shift(x, y, high, quantile)
	switch {
	case !ok || !okHigh:
		return 0, false
	case atLow <= 0:
		return low, true
	case atHigh >= 0:
		return high, true
	}
	for range 40 {
		middle := (low + high) / 2
		if z, ok := shift(x, y, middle, quantile); ok && z > 0 {
			low = middle
		} else {
			high = middle
		}
	}
	return (low + high) / 2, true
}
