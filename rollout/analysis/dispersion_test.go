package analysis

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

// clients are the groups of a version's clients.
type clients [256]struct{ requests, errors uint64 }

func (c *clients) spread() deploy.Spread {
	var s deploy.Spread
	for _, g := range c {
		s.Add(g.requests, g.errors)
	}
	return s
}

func TestDispersionTellsBurstsFromSingleErrors(t *testing.T) {
	for _, tt := range []struct {
		burst    int
		share    float64
		from, to float64
	}{{1, .01, 1, 1}, {1, .3, 1, 1}, {10, .01, 8, 15}, {50, .01, 35, 80}} {
		r := rand.New(rand.NewPCG(1, uint64(tt.burst)))
		var c clients
		for range 200_000 {
			g := &c[r.IntN(len(c))]
			g.requests++
			if tt.burst == 1 && r.Float64() < tt.share {
				g.errors++
			}
		}
		for range int(200_000 * tt.share / float64(tt.burst)) {
			if tt.burst > 1 {
				g := &c[r.IntN(len(c))]
				g.requests, g.errors = g.requests+uint64(tt.burst), g.errors+uint64(tt.burst)
			}
		}
		if got := Dispersed(c.spread(), deploy.Spread{}); got < tt.from || got > tt.to {
			t.Errorf("bursts of %d: %.2f, want %g to %g", tt.burst, got, tt.from, tt.to)
		}
	}
}

// Where requests are independent, hardly any look at them finds a dispersion, at
// any number of errors, and for groups that are unequally busy.
func TestDispersionOfIndependentRequestsIsOne(t *testing.T) {
	const runs = 2000
	for _, few := range []int{2, 3, 5, 10, 30, 100, 1000} {
		for _, uneven := range []bool{false, true} {
			r, found := rand.New(rand.NewPCG(2, uint64(few))), 0
			for range runs {
				var c clients
				for i := range c {
					c[i].requests = 4000
					if uneven {
						c[i].requests = uint64(100 + 16000*i*i/len(c)/len(c))
					}
				}
				for range few {
					i := r.IntN(len(c))
					for uneven && r.IntN(16100) > int(c[i].requests) {
						i = r.IntN(len(c))
					}
					c[i].errors++
				}
				if Dispersed(c.spread()) > 1 {
					found++
				}
			}
			if found > runs/100 {
				t.Errorf("%d errors, uneven %v: %d of %d", few, uneven, found, runs)
			}
		}
	}
}

func TestDispersionOfNothingIsNotKnown(t *testing.T) {
	one := func(requests, errors uint64) deploy.Spread {
		var s deploy.Spread
		s.Add(requests, errors)
		return s
	}
	if got := Dispersed(); got != 0 {
		t.Errorf("of nobody: %g", got)
	}
	for _, s := range []deploy.Spread{{}, one(10, 1), one(10, 10), one(1000, 20), {Requests: 3, Errors: 2}, {Requests: 10, Errors: 4, ErrorsSquared: math.NaN(), RequestsSquared: 5}} {
		if got := Dispersed(s); got > 1 {
			t.Errorf("%+v: %g", s, got)
		}
	}
	// A version of which all fail says nothing; the other one does.
	var calm clients
	for i := range calm {
		calm[i].requests, calm[i].errors = 100, uint64(i%2)
	}
	if got := Dispersed(one(500, 500), calm.spread()); got != 1 {
		t.Errorf("beside a broken version: %g", got)
	}
}

func TestDispersionSlowsTheJudge(t *testing.T) {
	j := func(phi float64) (after int) {
		samples := traffic{seed: 1, requests: 300, share: 20, live: .01, candidate: .03}.samples(400)
		for i := range samples {
			samples[i].Dispersion = phi
		}
		v, after := observeAll(&Sequential{}, samples)
		if v.Decision != Revert {
			t.Fatalf("with %g: %s: %s", phi, v.Decision, v.Why)
		}
		return after
	}
	if one, four := j(1), j(4); four < 2*one {
		t.Errorf("%d samples without dispersion, %d with 4", one, four)
	}
}
