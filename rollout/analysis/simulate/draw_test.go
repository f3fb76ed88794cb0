package main

import (
	"math"
	"math/rand/v2"
	"testing"
)

// expected holds a histogram of draws against chances, by Pearson's test with
// classes of at least ten expected draws. Seeds are fixed, so that it cannot
// fail by chance on another day.
func expected(t *testing.T, name string, seen map[uint64]int, draws int, chance func(uint64) float64) {
	t.Helper()
	statistic, classes := 0.0, 0
	restSeen, restExpected := draws, float64(draws)
	for k := range uint64(20000) {
		e := chance(k) * float64(draws)
		if e < 10 {
			continue
		}
		d := float64(seen[k]) - e
		statistic += d * d / e
		classes++
		restSeen, restExpected = restSeen-seen[k], restExpected-e
	}
	if restExpected > 5 {
		d := float64(restSeen) - restExpected
		statistic += d * d / restExpected
	}
	freedom := float64(max(classes-1, 1))
	if limit := freedom + 4*math.Sqrt(2*freedom) + 4; statistic > limit {
		t.Errorf("%s: Pearson's statistic is %.1f, want below %.1f", name, statistic, limit)
	}
}

func TestBinomialIsBinomial(t *testing.T) {
	const draws = 50000
	for _, tt := range []struct {
		n uint64
		p float64
	}{{1, .3}, {20, .05}, {100, .5}, {1000, .013}, {1000, .7}, {5000, .4}, {1e6, 2e-5}} {
		r := rand.New(rand.NewPCG(tt.n, 1))
		seen := map[uint64]int{}
		for range draws {
			seen[binomial(r, tt.n, tt.p)]++
		}
		n := float64(tt.n)
		expected(t, "binomial", seen, draws, func(k uint64) float64 {
			x := float64(k)
			if x > n {
				return 0
			}
			return math.Exp(logFactorial(n) - logFactorial(x) - logFactorial(n-x) + x*math.Log(tt.p) + (n-x)*math.Log1p(-tt.p))
		})
	}
}

func TestPoissonIsPoisson(t *testing.T) {
	const draws = 50000
	for _, mean := range []float64{.1, 3, 11, 13, 50, 1000} {
		r := rand.New(rand.NewPCG(7, uint64(mean)))
		seen := map[uint64]int{}
		for range draws {
			seen[poisson(r, mean)]++
		}
		expected(t, "poisson", seen, draws, func(k uint64) float64 {
			return math.Exp(float64(k)*math.Log(mean) - mean - logFactorial(float64(k)))
		})
	}
}

func TestGeometricIsGeometric(t *testing.T) {
	const draws = 50000
	r := rand.New(rand.NewPCG(7, 7))
	seen := map[uint64]int{}
	for range draws {
		seen[geometric(r, 20)]++
	}
	expected(t, "geometric", seen, draws, func(k uint64) float64 {
		if k == 0 {
			return 0
		}
		return math.Pow(.95, float64(k-1)) / 20
	})
}

func TestSpreadLosesNothing(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 9))
	sums := make([]uint64, 4)
	for range 1000 {
		into := make([]uint64, 4)
		spread(r, 100, []float64{.1, .2, .3, .4}, into)
		all := uint64(0)
		for i, n := range into {
			sums[i], all = sums[i]+n, all+n
		}
		if all != 100 {
			t.Fatalf("%d of 100 are left: %v", all, into)
		}
	}
	for i, n := range sums {
		if want := 10000 * float64(i+1); math.Abs(float64(n)-want) > 5*math.Sqrt(want) {
			t.Errorf("class %d got %d, want about %.0f", i, n, want)
		}
	}
}
