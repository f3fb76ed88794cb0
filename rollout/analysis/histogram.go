package analysis

import (
	"math"
	"slices"

	"github.com/slipway-ci/slipway/deploy"
)

// usable says whether a histogram has what it takes: bounds that ascend, and
// one count more than bounds.
func usable(h deploy.Histogram) bool {
	if len(h.Counts) == 0 || len(h.Counts) != len(h.Le)+1 {
		return false
	}
	for i, le := range h.Le {
		if math.IsNaN(le) || i > 0 && le <= h.Le[i-1] {
			return false
		}
	}
	return true
}

// finite are a copy of the bounds that can be exceeded.
func finite(bounds []float64) []float64 {
	var some []float64
	for _, le := range bounds {
		if !math.IsInf(le, 0) {
			some = append(some, le)
		}
	}
	return some
}

// common are the bounds that both have, ascending as they are.
func common(a, b []float64) []float64 {
	if slices.Equal(a, b) {
		return a
	}
	both := make([]float64, 0, min(len(a), len(b)))
	for _, le := range a {
		if _, found := slices.BinarySearch(b, le); found {
			both = append(both, le)
		}
	}
	return both
}

// pour adds counts with their bounds to counts with fewer bounds of the same.
func pour(into, bounds []float64, counts, from []float64) {
	k := 0
	for i, n := range counts {
		for k < len(bounds) && (i == len(from) || bounds[k] < from[i]) {
			k++
		}
		into[k] += n
	}
}

// pourHistogram is pour for what was read.
func pourHistogram(into, bounds []float64, h deploy.Histogram) {
	k := 0
	for i, n := range h.Counts {
		for k < len(bounds) && (i == len(h.Le) || bounds[k] < h.Le[i]) {
			k++
		}
		into[k] += float64(n)
	}
}

// total of counts.
func total(counts []float64) float64 {
	sum := 0.0
	for _, n := range counts {
		sum += n
	}
	return sum
}
