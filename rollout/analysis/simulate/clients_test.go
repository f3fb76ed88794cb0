package main

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// visitors are clients who come by chance, stay on the version that their cookie
// says, and ask a few times in a few seconds. Of some of them every request fails.
type visitors struct {
	luck  *rand.Rand
	share float64
	// perLook is how many come between two looks; they ask asks times in the mean,
	// and failing is the share of those who fail.
	perLook, asks, failing float64
	here                   []visitor
	groups                 [2][groups]struct{ requests, errors uint64 }
}

type visitor struct {
	candidate, fails bool
	group            int
	left             uint64
}

// look is what came in within a tenth of a second, and what the sandbox says then
// of the spread of all that has come.
func (v *visitors) look() analysis.Sample {
	for range poisson(v.luck, v.perLook) {
		v.here = append(v.here, visitor{
			candidate: v.luck.Float64() < v.share, fails: v.luck.Float64() < v.failing,
			group: v.luck.IntN(groups), left: geometric(v.luck, v.asks),
		})
	}
	s := analysis.Sample{Share: deploy.Percent(100 * v.share)}
	staying := v.here[:0]
	for _, c := range v.here {
		if v.luck.Float64() < 0.5 { // it asks five times a second
			v.ask(&s, &c)
		}
		if c.left > 0 {
			staying = append(staying, c)
		}
	}
	v.here = staying
	s.Dispersion = analysis.Dispersed(v.spread(0), v.spread(1))
	return s
}

func (v *visitors) ask(s *analysis.Sample, c *visitor) {
	c.left--
	to, side := &s.Live, 0
	if c.candidate {
		to, side = &s.Candidate, 1
	}
	g := &v.groups[side][c.group]
	to.Requests++
	g.requests++
	if c.fails {
		to.Errors++
		g.errors++
	}
}

func (v *visitors) spread(side int) deploy.Spread {
	var s deploy.Spread
	for _, g := range v.groups[side] {
		s.Add(g.requests, g.errors)
	}
	return s
}

// A burst comes request by request, over a few seconds, as a rollout sees it: its
// first requests must not be taken for a worse version before it is known for what
// it is. The seeds are fixed, so that it says the same each time.
func TestBurstsOfClientsAreNoEvidence(t *testing.T) {
	runs, lasts := 60, 3*time.Minute
	if racing {
		runs, lasts = 2, 10*time.Second
	}
	for _, share := range []float64{0.1, 0.5} {
		ours, raw := 0, 0
		for seed := range uint64(runs) {
			v := &visitors{luck: lucky(seed, 7), share: share, perLook: 1, asks: 10, failing: 0.01}
			told, blind := &analysis.Sequential{}, &analysis.Sequential{}
			var byOurs, byRaw analysis.Verdict
			for at := time.Duration(0); at < lasts; at += 100 * time.Millisecond {
				s := v.look()
				s.At = at + 100*time.Millisecond
				byOurs = told.Observe(s)
				s.Dispersion = 0
				byRaw = blind.Observe(s)
			}
			ours += reverts(byOurs)
			raw += reverts(byRaw)
		}
		t.Logf("at %g: %d of %d equal versions are reverted, %d without the spread of clients", share, ours, runs, raw)
		if !racing && (ours > 1 || raw < runs/10) {
			t.Errorf("at %g: %d of %d equal versions are reverted, want at most 1; without the spread of clients %d, want a tenth at least, or nothing is shown", share, ours, runs, raw)
		}
	}
}

func reverts(v analysis.Verdict) int {
	if v.Decision == analysis.Revert {
		return 1
	}
	return 0
}

// Where requests are independent, looking at clients costs next to nothing.
func TestIndependentRequestsAreDetectedAsFast(t *testing.T) {
	runs := 100
	if racing {
		runs = 2
	}
	for _, w := range []world{
		quick.with(func(w *world) { w.base, w.effect = .01, double }),
		quick.with(func(w *world) { w.effect = point }),
		quick.with(func(w *world) { w.effect = broken }),
	} {
		p := plan{eachSecond, .05, 300}
		ours, blind := repeat(w, ours(), p, runs), repeat(w, raw(), p, runs)
		ratio := mean(ours.requests) / mean(blind.requests)
		t.Logf("%s: %.3f times as many requests", w, ratio)
		if ours.reverted != runs || !racing && ratio > 1.03 {
			t.Errorf("%s: %d of %d are reverted, after %.3f times as many requests", w, ours.reverted, runs, ratio)
		}
	}
}
