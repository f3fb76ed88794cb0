package analysis

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// baked plays a new version against a history of the old one, both drawn.
func baked(seed uint64, recorded, requests, samples int, before, now, later float64, from int) (Verdict, int) {
	var history deploy.Traffic
	for _, s := range (traffic{seed: seed + 1e6, requests: recorded, share: 0, live: before}).samples(1) {
		history = s.Live
	}
	b := &Bake{History: history}
	return observeAll(b, traffic{seed: seed, requests: requests, share: 100, candidate: now, worse: later, from: from, every: 10 * time.Second}.samples(samples))
}

func TestBakeDecides(t *testing.T) {
	for _, tt := range []struct {
		name       string
		now, later float64
		from       int
		want       Decision
	}{
		{"as good as before", .002, 0, 0, Advance},
		{"broken", 1, 0, 0, Revert},
		{"much worse", .02, 0, 0, Revert},
		{"breaks after ten minutes", .002, .05, 60, Revert},
		{"almost worse by the margin is neither", .0028, 0, 0, Continue},
	} {
		t.Run(tt.name, func(t *testing.T) {
			v, after := baked(3, 200000, 1000, 180, .002, tt.now, tt.later, tt.from)
			if v.Decision != tt.want {
				t.Errorf("%s after %d samples: %s", v.Decision, after, v.Why)
			}
		})
	}
}

// A version that fails late is told by what it fails since then: of all that it
// ever got it may be next to nothing.
func TestBakeTellsWhenItBegan(t *testing.T) {
	for _, tt := range []struct {
		name       string
		now, later float64
		from       int
		says       string
	}{
		{"late", 0, .1, 100, "errors 0.095% against 0% on the version before, after 101000 requests in 17 min, and 9.6% of the last 1000; chance"},
		{"from the beginning", .1, 0, 0, "errors 11% against 0% on the version before, after 1000 requests in 10 s; chance"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if v, _ := baked(5, 100000, 1000, 180, 0, tt.now, tt.later, tt.from); v.Decision != Revert || !strings.HasPrefix(v.Why, tt.says) {
				t.Errorf("%s: %s", v.Decision, v.Why)
			}
		})
	}
}

func TestBakeWithoutRecordsKnowsNothing(t *testing.T) {
	b := &Bake{}
	v := b.Observe(Sample{Candidate: deploy.Traffic{Requests: 1000}})
	if v.Decision != Continue || !strings.Contains(v.Why, "nothing is recorded") {
		t.Errorf("%s: %s", v.Decision, v.Why)
	}
	b = &Bake{History: deploy.Traffic{Requests: 1000}}
	if v = b.Observe(Sample{}); v.Decision != Continue || !strings.Contains(v.Why, "no user request") {
		t.Errorf("%s: %s", v.Decision, v.Why)
	}
}

func TestBakeBearsAnyHistory(t *testing.T) {
	for _, n := range []uint64{1, 1e6, 1e12, math.MaxUint64} {
		b := &Bake{History: deploy.Traffic{Requests: n, Errors: n / 100}}
		for range 20 {
			v := b.Observe(Sample{Candidate: deploy.Traffic{Requests: 1000, Errors: 10}})
			if v.Decision == Revert || math.IsNaN(v.Evidence) {
				t.Fatalf("after a history of %d requests: %+v", n, v)
			}
		}
	}
}

// The mean of both kinds of evidence is at most one when it is for what is not
// so, although the history is short and chance has been in it, too.
func TestMeanEvidenceOfABake(t *testing.T) {
	const runs, margin = 3000, .01
	for _, tt := range []struct {
		name        string
		before, now float64
		evidence    func(*past) float64
	}{
		{"equal, against", .02, .02, (*past).worse},
		{"worse by the margin, against", .02, .03, (*past).worse},
		{"worse by the margin, for", .02, .03, (*past).better},
	} {
		sum := 0.0
		for seed := range uint64(runs) {
			h := traffic{seed: seed, requests: 300, live: tt.before}.samples(1)[0].Live
			p := newPast(float64(h.Errors), float64(h.Requests-h.Errors), margin)
			e := 1.0
			for _, s := range (traffic{seed: seed + runs, requests: 60, share: 100, candidate: tt.now}).samples(30) {
				c := s.Candidate
				p.add(float64(c.Errors), float64(c.Requests-c.Errors), 0, 1)
				if e = math.Exp(tt.evidence(p)); e >= 20 {
					break
				}
			}
			sum += e
		}
		if mean := sum / runs; mean > 1 {
			t.Errorf("%s: mean evidence %.2f, want at most 1", tt.name, mean)
		}
	}
}

func TestBakeRarelyCriesWolf(t *testing.T) {
	const runs = 300
	reverted := 0
	for seed := range uint64(runs) {
		if v, _ := baked(seed, 5000, 200, 60, .01, .01, 0, 0); v.Decision == Revert {
			reverted++
		}
	}
	if reverted > 3 {
		t.Errorf("%d of %d equal versions were reverted", reverted, runs)
	}
}
