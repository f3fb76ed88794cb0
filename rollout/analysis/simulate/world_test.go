package main

import (
	"bytes"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/deploy"
)

// Everybody sees the same traffic: it depends on the seed alone.
func TestTrafficIsTheSameForAll(t *testing.T) {
	for _, st := range []stress{calm, incident, clustered, warmingUp, misrouted} {
		w := quick.with(func(w *world) { w.stress, w.effect = st, point })
		one, other := w.run(3), w.run(3)
		for i := range 20 {
			a, b := one.next(float64(15*i), 15, .05, false), other.next(float64(15*i), 15, .05, false)
			if diff := cmp.Diff(a, b); diff != "" {
				t.Fatalf("%s, tick %d: %s", st, i, diff)
			}
		}
	}
}

// What comes out has the shares that were asked for.
func TestTrafficHasItsShares(t *testing.T) {
	for _, tt := range []struct {
		world                   world
		share, live, candidate  float64
		liveBursts, canaryBurst float64
	}{
		{quick.with(func(w *world) { w.base, w.effect = .01, point }), .05, .01, .02, 1, 1},
		{quick.with(func(w *world) { w.base, w.effect, w.stress = .01, point, misrouted }), .025, .01, .02, 1, 1},
		{quick.with(func(w *world) { w.base, w.effect, w.stress = .01, point, clustered }), .05, .01, .02, 40, 40},
	} {
		r := tt.world.run(1)
		var live, candidate deploy.Traffic
		for i := range 2000 {
			s := r.next(float64(i), 1, .05, false)
			live, candidate = plus(live, s.Live), plus(candidate, s.Candidate)
		}
		near := func(what string, got, want, deviation float64) {
			if math.Abs(got-want) > 5*deviation {
				t.Errorf("%s: %s is %g, want %g ± %g", tt.world, what, got, want, deviation)
			}
		}
		n, c := float64(live.Requests), float64(candidate.Requests)
		near("share", c/(n+c), tt.share, math.Sqrt(tt.share/(n+c)))
		near("live", share(live), tt.live, math.Sqrt(tt.liveBursts*tt.live/n))
		near("candidate", share(candidate), tt.candidate, math.Sqrt(tt.canaryBurst*tt.candidate/c))
	}
}

func TestClopperPearson(t *testing.T) {
	// Values of R's binom.test.
	for _, tt := range []struct {
		k, n      int
		low, high float64
	}{{0, 10, 0, .3084971}, {5, 10, .187086, .812914}, {81, 10000, .006438, .010057}, {10, 10, .6915029, 1}} {
		if low, high := clopperPearson(tt.k, tt.n); math.Abs(low-tt.low) > 2e-5 || math.Abs(high-tt.high) > 2e-5 {
			t.Errorf("%d of %d: %.6f to %.6f, want %.6f to %.6f", tt.k, tt.n, low, high, tt.low, tt.high)
		}
	}
}

func TestWaldsBound(t *testing.T) {
	for want, w := range map[float64]world{
		11906: quick.with(func(w *world) { w.effect = double }),
		1177:  quick.with(func(w *world) { w.base, w.effect = .01, double }),
		280:   quick.with(func(w *world) { w.effect = point }),
	} {
		if got := wald(w); math.Abs(got-want) > 1 {
			t.Errorf("%s: %g, want %g", w, got, want)
		}
	}
}

func TestTablesAreMarkdown(t *testing.T) {
	var out bytes.Buffer
	worlds := []world{quick.with(func(w *world) { w.effect = broken })}
	detectionTable(worlds, entrants()[3:5], 3, 1).write(&out)
	for _, want := range []string{
		"| traffic | PipeCD | Slipway, 15 s |\n| --- | --- | --- |\n| 1000 rps, 0.1% errors, all requests fail, lognormal",
		"| 0% / 300 / ", "| 0% / 15 / ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%s\nhas no %q", out.String(), want)
		}
	}
}
