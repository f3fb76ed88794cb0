package rollout

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/deploy"
)

func TestPlans(t *testing.T) {
	baked, left := strategies[deploy.Canary], strategies[deploy.BlueGreen]
	baked.Bake, left.Bake, left.BakeBy = time.Hour, 30*time.Minute, deploy.BakeBySchedule
	asking, atOnce := strategies[baselined], strategies[baselined]
	asking.Approve, atOnce.Steps = []deploy.Percent{0, 10}, []deploy.Percent{100}
	given, goingBack := strategies[deploy.Canary], strategies[deploy.BlueGreen]
	given.Given = []deploy.Given{{Share: 20, Hold: 7 * time.Second}, {Share: 60, Hold: time.Minute}}
	goingBack.Given = given.Given
	unseen := given
	unseen.Given, unseen.Approve = []deploy.Given{{}, given.Given[1]}, []deploy.Percent{0}
	tests := []struct {
		name     string
		strategy deploy.Strategy
		live     deploy.Revision
		want     []string
	}{
		{"first", strategies[deploy.Canary], deploy.Revision{}, []string{
			"start without users, run the checks", "all users, run the checks",
		}},
		{"recreate", strategies[deploy.Recreate], oldOne, []string{
			"stop the live version, start the new one (a downtime), run the checks, watch for 2s",
		}},
		{"rolling", strategies[deploy.Rolling], oldOne, []string{
			"start 1 of 2 replicas, no users, run the checks",
			"1 of 2 replicas replaced, watch for 2s",
			"2 of 2 replicas replaced, watch for 2s",
			"all users, run the checks",
		}},
		{"blue-green", strategies[deploy.BlueGreen], oldOne, []string{
			"start without users, run the checks", "all users, run the checks, watch for 3s",
		}},
		{"canary", strategies[deploy.Canary], oldOne, []string{
			"start without users, run the checks",
			"10% of the users, watch for 5s", "50% of the users, watch for 5s",
			"all users, run the checks, watch for 5s",
		}},
		{"canary beside a baseline", strategies[baselined], oldOne, []string{
			"start without users, run the checks", "start the baseline without users",
			"10% of the users, 10% on the baseline, watch for 5s", "75% of the users, 25% on the baseline, watch for 5s",
			"all users, run the checks, watch for 5s",
		}},
		{"canary beside a baseline that asks", asking, oldOne, []string{
			"start without users, run the checks", "start the baseline without users, wait for a person",
			"10% of the users, 10% on the baseline, watch for 5s, wait for a person", "75% of the users, 25% on the baseline, watch for 5s",
			"all users, run the checks, watch for 5s",
		}},
		{"stages of the target's own", given, oldOne, []string{
			"start, with 20% of the users at once, run the checks, watch for 7s",
			"60% of the users, watch for 1m0s", "all users, run the checks, watch for 5s",
		}},
		{"stages of the target's own that begin without users", unseen, oldOne, []string{
			"start without users, run the checks, wait for a person", "60% of the users, watch for 1m0s", "all users, run the checks, watch for 5s",
		}},
		{"first, at a target with stages of its own", given, deploy.Revision{}, []string{
			"start without users, run the checks", "all users, run the checks",
		}},
		{"back at once, at a target that gives users from the start", goingBack, oldOne, []string{
			"start, with 20% of the users at once, run the checks, watch for 7s", "all users, run the checks, watch for 3s",
		}},
		{"first, with a baseline", strategies[baselined], deploy.Revision{}, []string{
			"start without users, run the checks", "all users, run the checks",
		}},
		{"a baseline that nobody is left for", atOnce, oldOne, []string{
			"start without users, run the checks", "all users, run the checks, watch for 5s",
		}},
		{"canary with a bake", baked, oldOne, []string{
			"start without users, run the checks",
			"10% of the users, watch for 5s", "50% of the users, watch for 5s",
			"all users, run the checks, watch for 5s", "all users, watch for 1h0m0s against what the old version did",
		}},
		{"a bake that is left", left, oldOne, []string{
			"start without users, run the checks", "all users, run the checks, watch for 3s",
			"all users, watch for 30m0s against what the old version did, by the scheduled run",
		}},
		{"first, with a bake", baked, deploy.Revision{}, []string{
			"start without users, run the checks", "all users, run the checks",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, s := range NewPlan(tt.strategy, tt.live, newOne).Stages {
				got = append(got, Describe(s))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// At every stage of a rolling there is a live replica left that traffic can
// return to at once, and enough replicas serve.
func TestRollingAlwaysHasAWayBack(t *testing.T) {
	for live := 1; live <= 6; live++ {
		for total := 1; total <= 6; total++ {
			for batch := 1; batch <= 7; batch++ {
				p := NewPlan(deploy.Strategy{Kind: deploy.Rolling, Batch: batch}, revision("1.0.0", live), revision("1.1.0", total))
				for _, s := range p.Stages {
					if s.Act != deploy.ActRoll {
						continue
					}
					b := s.Batch
					if b.Live < 1 || b.Live > live || b.Candidate > total || b.Serving > b.Candidate {
						t.Errorf("live %d, total %d, batch %d: %+v", live, total, batch, b)
					}
					if serving := b.Serving + b.Live; serving < min(live, total) {
						t.Errorf("live %d, total %d, batch %d: only %d can serve: %+v", live, total, batch, serving, b)
					}
				}
			}
		}
	}
}

// plainTarget can neither split nor roll.
type plainTarget struct{ deploy.Target }

func (plainTarget) String() string { return "plain" }

// splittingTarget can split, and run nothing a second time.
type splittingTarget struct{ plainTarget }

func (splittingTarget) Split(context.Context, deploy.Revision, deploy.Percent) error { return nil }

func TestStrategyThatTheTargetCannotDo(t *testing.T) {
	for _, k := range []deploy.Kind{deploy.Canary, deploy.Rolling, "flag"} {
		err := Supports(plainTarget{}, deploy.Strategy{Kind: k})
		if err == nil || !deploy.IsUsage(err) || !strings.Contains(deploy.HintOf(err), "recreate, blue-green") {
			t.Errorf("%s: %v (%s)", k, err, deploy.HintOf(err))
		}
	}
	if err := Supports(newFake(), deploy.Strategy{Kind: deploy.Canary}); err != nil {
		t.Error(err)
	}
	fresh := deploy.Strategy{Kind: deploy.Canary, Baseline: deploy.BaselineFresh}
	if err := Supports(splittingTarget{}, fresh); !deploy.IsUsage(err) || !strings.Contains(err.Error(), "plain cannot run what is live a second time") ||
		!strings.Contains(deploy.HintOf(err), "baseline: live") {
		t.Errorf("%v (%s)", err, deploy.HintOf(err))
	}
	for name, can := range map[string]struct {
		target   deploy.Target
		strategy deploy.Strategy
	}{
		"a baseline":      {newFake(), fresh},
		"none":            {splittingTarget{}, deploy.Strategy{Kind: deploy.Canary, Baseline: deploy.BaselineLive}},
		"no canary":       {plainTarget{}, deploy.Strategy{Kind: deploy.BlueGreen, Baseline: deploy.BaselineFresh}},
		"nothing is said": {splittingTarget{}, deploy.Strategy{Kind: deploy.Canary}},
	} {
		if err := Supports(can.target, can.strategy); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
