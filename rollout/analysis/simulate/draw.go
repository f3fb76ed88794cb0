package main

import (
	"math"
	"math/rand/v2"
)

// binomial draws the number of successes among n. Small means are drawn by the
// gaps between successes, large ones by Hörmann's transformed rejection (The
// generation of binomial random variates, J. Stat. Comput. Simul. 46, 1993).
func binomial(r *rand.Rand, n uint64, p float64) uint64 {
	switch {
	case n == 0 || p <= 0:
		return 0
	case p >= 1:
		return n
	case p > 0.5:
		return n - binomial(r, n, 1-p)
	case float64(n)*p < 12:
		return byGaps(r, n, p)
	}
	return byRejection(r, float64(n), p)
}

func byGaps(r *rand.Rand, n uint64, p float64) uint64 {
	var k uint64
	scale := 1 / math.Log1p(-p)
	for at := 0.0; ; k++ {
		at += math.Floor(math.Log(1-r.Float64())*scale) + 1
		if at > float64(n) {
			return k
		}
	}
}

func byRejection(r *rand.Rand, n, p float64) uint64 {
	deviation := math.Sqrt(n * p * (1 - p))
	b := 1.15 + 2.53*deviation
	a := -0.0873 + 0.0248*b + 0.01*p
	alpha := (2.83 + 5.1/b) * deviation
	odds, mode := math.Log(p/(1-p)), math.Floor((n+1)*p)
	top := logFactorial(mode) + logFactorial(n-mode)
	for {
		u, v := r.Float64()-0.5, r.Float64()
		edge := 0.5 - math.Abs(u)
		k := math.Floor((2*a/edge+b)*u + n*p + 0.5)
		if edge >= 0.07 && v <= 0.92-4.2/b {
			return uint64(k)
		}
		if k < 0 || k > n {
			continue
		}
		v *= alpha / (a/(edge*edge) + b)
		if math.Log(v) <= top-logFactorial(k)-logFactorial(n-k)+(k-mode)*odds {
			return uint64(k)
		}
	}
}

func logFactorial(n float64) float64 {
	v, _ := math.Lgamma(n + 1)
	return v
}

// poisson draws a count with this mean: by multiplication, or for large means
// by Hörmann's PTRS (The transformed rejection method for generating Poisson
// random variables, Insurance: Mathematics and Economics 12, 1993).
func poisson(r *rand.Rand, mean float64) uint64 {
	if mean < 12 {
		var k uint64
		limit := math.Exp(-mean)
		for p := r.Float64(); p > limit; p *= r.Float64() {
			k++
		}
		return k
	}
	root := math.Sqrt(mean)
	b := 0.931 + 2.53*root
	a := -0.059 + 0.02483*b
	inverse := 1.1239 + 1.1328/(b-3.4)
	for {
		u, v := r.Float64()-0.5, r.Float64()
		edge := 0.5 - math.Abs(u)
		k := math.Floor((2*a/edge+b)*u + mean + 0.43)
		if edge >= 0.07 && v <= 0.9277-3.6224/(b-2) {
			return uint64(k)
		}
		if k < 0 || edge < 0.013 && v > edge {
			continue
		}
		if math.Log(v*inverse/(a/(edge*edge)+b)) <= k*math.Log(mean)-mean-logFactorial(k) {
			return uint64(k)
		}
	}
}

// geometric draws the length of a burst with this mean, at least 1.
func geometric(r *rand.Rand, mean float64) uint64 {
	if mean <= 1 {
		return 1
	}
	return 1 + uint64(math.Log(1-r.Float64())/math.Log1p(-1/mean))
}

// spread draws into which of the classes n things fall.
func spread(r *rand.Rand, n uint64, chances []float64, into []uint64) {
	left := 1.0
	for i, p := range chances {
		k := n
		if i < len(chances)-1 {
			k = binomial(r, n, min(p/left, 1))
		}
		into[i] += k
		n -= k
		left -= p
	}
}
