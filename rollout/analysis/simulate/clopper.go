package main

import "math"

// clopperPearson is the exact interval of a share of which k of n were seen,
// with a chance of 2.5% to be too low and as much to be too high (Clopper and
// Pearson, Biometrika 26, 1934).
func clopperPearson(k, n int) (low, high float64) {
	const side = 0.025
	low, high = 0, 1
	if k > 0 {
		low = solve(func(p float64) float64 { return 1 - atMost(k-1, n, p) }, side)
	}
	if k < n {
		high = solve(func(p float64) float64 { return -atMost(k, n, p) }, -side)
	}
	return low, high
}

// solve finds where a rising function of a share has a value.
func solve(f func(float64) float64, value float64) float64 {
	low, high := 0.0, 1.0
	for range 60 {
		if middle := (low + high) / 2; f(middle) < value {
			low = middle
		} else {
			high = middle
		}
	}
	return (low + high) / 2
}

// atMost is the chance of k or fewer of n.
func atMost(k, n int, p float64) float64 {
	if p <= 0 {
		return 1
	}
	if p >= 1 {
		return 0
	}
	sum := 0.0
	for i := range k + 1 {
		x, m := float64(i), float64(n)
		sum += math.Exp(logFactorial(m) - logFactorial(x) - logFactorial(m-x) + x*math.Log(p) + (m-x)*math.Log1p(-p))
	}
	return min(sum, 1)
}
