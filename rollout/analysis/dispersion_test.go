package analysis

import (
	"math/rand/v2"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

func TestDispersionTellsBurstsFromSingleErrors(t *testing.T) {
	const replicas, requests = 8, 500
	for _, tt := range []struct {
		burst    uint64
		from, to float64
	}{{1, 1, 1.2}, {10, 7, 13}, {50, 35, 65}} {
		r := rand.New(rand.NewPCG(1, tt.burst))
		var d Dispersion
		for range 2000 {
			seen := make([]deploy.Traffic, replicas)
			for i := range seen {
				seen[i].Requests = requests
			}
			for range requests * replicas {
				if r.Float64() < .01/float64(tt.burst) {
					seen[r.IntN(replicas)].Errors += tt.burst
				}
			}
			d.Observe(seen)
		}
		if got := d.Value(); got < tt.from || got > tt.to {
			t.Errorf("bursts of %d: %.2f, want %g to %g", tt.burst, got, tt.from, tt.to)
		}
	}
}

func TestDispersionOfNothingIsOne(t *testing.T) {
	var d Dispersion
	for _, replicas := range [][]deploy.Traffic{nil, {{Requests: 10, Errors: 10}}, {{}, {}}, {{Requests: 9, Errors: 9}, {Requests: 9, Errors: 9}}, {{Errors: 100}, {}}} {
		d.Observe(replicas)
	}
	if got := d.Value(); got != 1 {
		t.Errorf("%g", got)
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
