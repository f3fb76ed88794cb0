package kubernetes

import (
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

func TestNearestParts(t *testing.T) {
	for _, c := range []struct {
		share             deploy.Percent
		candidates, lives int
		want              parts
	}{
		{10, 1, 1, parts{1, 1}},
		{99, 1, 1, parts{1, 1}},
		{10, 3, 3, parts{1, 3}}, // never fewer than the live ones in total
		{33, 3, 3, parts{1, 2}},
		{50, 3, 3, parts{3, 3}}, // of two that are as near, the one with more
		{75, 3, 3, parts{3, 1}},
		{90, 3, 3, parts{3, 1}},
		{10, 9, 9, parts{1, 9}},
		{50, 2, 10, parts{2, 8}},
		{1, 4, 1, parts{1, 1}},
		{80, 4, 1, parts{4, 1}},
	} {
		got := nearest(c.share, c.candidates, c.lives)
		if got != c.want {
			t.Errorf("%s of %d and %d: got %+v, want %+v", c.share, c.candidates, c.lives, got, c.want)
		}
	}
}

// Whatever is asked for, both sides serve, none more than it has, and never fewer
// in total than live replicas are there.
func TestNearestPartsKeepToWhatThereIs(t *testing.T) {
	for candidates := 1; candidates <= 12; candidates++ {
		for lives := 1; lives <= 12; lives++ {
			last := deploy.Percent(0)
			for share := deploy.Percent(0.5); share < 100; share += 0.5 {
				p := nearest(share, candidates, lives)
				if p.candidate < 1 || p.candidate > candidates || p.live < 1 || p.live > lives || p.candidate+p.live < lives {
					t.Fatalf("%s of %d and %d is %+v", share, candidates, lives, p)
				}
				if p.share() < last {
					t.Fatalf("%s of %d and %d is %s, and less gave %s", share, candidates, lives, p.share(), last)
				}
				last = p.share()
			}
		}
	}
}

func TestAdviceSaysWhichSharesThereAre(t *testing.T) {
	canary := deploy.Strategy{Kind: deploy.Canary, Steps: []deploy.Percent{10, 50, 100}}
	for _, c := range []struct {
		replicas int
		steps    []deploy.Percent
		want     string
	}{
		{3, []deploy.Percent{10, 50, 100}, Replicated + "|10% is 25% here: 1 of 4 replicas that serve; replicas: 9 or a gateway make it 10%"},
		{9, []deploy.Percent{10, 50, 100}, Replicated},
		{1, []deploy.Percent{50, 100}, Replicated},
		{2, []deploy.Percent{0.1, 100}, Replicated + "|0.1% is 33% here: 1 of 3 replicas that serve; a gateway makes it 0.1%"},
	} {
		s := canary
		s.Steps = c.steps
		notes, err := (&Target{replicas: c.replicas, bundles: &bundles{}}).Advise(s)
		if got := strings.Join(notes, "|"); err != nil || got != c.want {
			t.Errorf("%d replicas, %v: got %q, %v", c.replicas, c.steps, got, err)
		}
	}
	for _, k := range []deploy.Kind{deploy.Recreate, deploy.Rolling, deploy.BlueGreen} {
		if notes, err := (&Target{replicas: 1, bundles: &bundles{}}).Advise(deploy.Strategy{Kind: k}); err != nil || len(notes) > 0 {
			t.Errorf("%s: %v, %v", k, notes, err)
		}
	}
	canary.Baseline = deploy.BaselineFresh
	if _, err := (&Target{replicas: 3, bundles: &bundles{}}).Advise(canary); !deploy.IsUsage(err) || deploy.HintOf(err) == "" {
		t.Errorf("a baseline without a gateway: %v", err)
	}
}
