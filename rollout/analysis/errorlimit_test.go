package analysis

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

func sample(requests, errors uint64) Sample {
	return Sample{Candidate: deploy.Traffic{Requests: requests, Errors: errors}}
}

func TestErrorLimit(t *testing.T) {
	tests := []struct {
		name             string
		limit            deploy.Percent
		requests, errors uint64
		want             Decision
	}{
		{"no traffic", 1, 0, 0, Advance},
		{"no errors", 1, 1000, 0, Advance},
		{"at the limit", 1, 1000, 10, Advance},
		{"one of few is chance", 1, 10, 1, Advance},
		{"one of two is suspicious", 1, 2, 1, Hold},
		{"broken is certain after three", 1, 3, 3, Revert},
		{"a tenth of sixty is certain", 1, 60, 6, Revert},
		{"a limit of zero allows none", 0, 1000, 1, Revert},
		{"a limit of all allows all", 100, 5, 5, Advance},
		{"many requests, a little above", 1, 1_000_000, 10_500, Revert},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := NewErrorLimit(tt.limit).Observe(sample(tt.requests, tt.errors))
			if got.Decision != tt.want {
				t.Errorf("got %s (%s), want %s", got.Decision, got.Why, tt.want)
			}
		})
	}
}

func TestErrorLimitAddsUp(t *testing.T) {
	j := NewErrorLimit(1)
	for range 2 {
		if v := j.Observe(sample(1, 1)); v.Decision == Revert && j.seen.Requests < 2 {
			t.Fatalf("reverted after one request: %s", v.Why)
		}
	}
	v := j.Observe(sample(1, 1))
	if v.Decision != Revert {
		t.Errorf("three failures in three samples: got %s, want revert", v.Decision)
	}
	if want := "100.0% of 3 requests failed on the new version (3), the limit is 1%"; v.Why != want {
		t.Errorf("got %q, want %q", v.Why, want)
	}
}

// A version that fails half as often as allowed is looked at after each
// request, as harshly as can be. It must survive.
func TestErrorLimitRarelyCriesWolf(t *testing.T) {
	const runs, requests = 300, 2000
	reverted := 0
	for seed := range uint64(runs) {
		r := rand.New(rand.NewPCG(seed, 1))
		j := NewErrorLimit(1)
		for range requests {
			var failed uint64
			if r.Float64() < 0.005 {
				failed = 1
			}
			if j.Observe(sample(1, failed)).Decision == Revert {
				reverted++
				break
			}
		}
	}
	if reverted > runs/100 {
		t.Errorf("%d of %d healthy versions were reverted, want at most 1 in 100", reverted, runs)
	}
}

// The tail against exact rational arithmetic.
func TestTailIsExact(t *testing.T) {
	p := big.NewRat(1, 100)
	q := new(big.Rat).Sub(big.NewRat(1, 1), p)
	pow := func(x *big.Rat, n int64) *big.Rat {
		num := new(big.Int).Exp(x.Num(), big.NewInt(n), nil)
		den := new(big.Int).Exp(x.Denom(), big.NewInt(n), nil)
		return new(big.Rat).SetFrac(num, den)
	}
	for _, n := range []int64{1, 2, 10, 60, 200} {
		for k := n/100 + 1; k <= min(n, n/100+12); k++ {
			exact := new(big.Rat)
			for i := k; i <= n; i++ {
				term := new(big.Rat).SetInt(new(big.Int).Binomial(n, i))
				exact.Add(exact, term.Mul(term, pow(p, i)).Mul(term, pow(q, n-i)))
			}
			want, _ := exact.Float64()
			got := tail(uint64(k), uint64(n), 0.01)
			if math.Abs(got-want) > 1e-9*want {
				t.Errorf("tail(%d, %d) = %g, want %g", k, n, got, want)
			}
		}
	}
}
