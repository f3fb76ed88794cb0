package rollout

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// NewPlan turns a strategy into stages for a candidate, given what is live. On
// an empty environment (live is zero) there is nobody to protect and nothing
// to go back to, so every strategy becomes: start, check, switch.
func NewPlan(s deploy.Strategy, live, candidate deploy.Revision) deploy.Plan {
	// Who chose what matters until here. A plan that was written down does not know
	// it, and is the same plan.
	s.Written = deploy.Written{}
	p := deploy.Plan{Environment: candidate.Environment, Strategy: s, Live: live, Candidate: candidate}
	switch {
	case live.IsZero():
		p.Stages = []deploy.Stage{start(), toAll(0)}
	case s.Kind == deploy.Recreate:
		p.Stages = []deploy.Stage{{Act: deploy.ActReplace, Share: 100, Hold: s.Hold, Checks: true}}
	case s.Kind == deploy.Rolling:
		p.Stages = rolling(s, live.Config.Replicas, candidate.Config.Replicas)
	case s.Kind == deploy.Canary:
		p.Stages = append(canary(s), bake(s)...)
		if slices.ContainsFunc(p.Stages, func(s deploy.Stage) bool { return s.Act == deploy.ActBaseline }) {
			p.Baseline = live.AsBaseline(candidate.Config.Replicas)
		}
	default:
		p.Stages = append([]deploy.Stage{first(s), toAll(s.Keep)}, bake(s)...)
	}
	for i, stage := range p.Stages {
		last := i+1 == len(p.Stages) || p.Stages[i+1].Share != stage.Share // at this share
		p.Stages[i].Approval = last && !live.IsZero() && slices.Contains(s.Approve, stage.Share)
	}
	return p
}

// start runs the candidate without traffic and asks it everything that can be
// asked before a user meets it.
func start() deploy.Stage { return deploy.Stage{Act: deploy.ActStart, Checks: true} }

// first starts the candidate where a target has stages of its own: with what
// users it gives a new version at once.
func first(s deploy.Strategy) deploy.Stage {
	stage := start()
	if len(s.Given) > 0 {
		stage.Share, stage.Hold = s.Given[0].Share, s.Given[0].Hold
	}
	return stage
}

// given are the stages of a canary at a target that has its own.
func given(s deploy.Strategy) []deploy.Stage {
	stages := []deploy.Stage{first(s)}
	for _, g := range s.Given[1:] {
		stages = append(stages, deploy.Stage{Act: deploy.ActSplit, Share: g.Share, Hold: g.Hold})
	}
	if s.Pace == deploy.PaceEvidence {
		for i := range stages {
			stages[i].Proof = stages[i].Share > 0
		}
	}
	return append(stages, toAll(s.Hold))
}

// toAll gives the candidate every user while the old version still stands by.
func toAll(hold time.Duration) deploy.Stage {
	return deploy.Stage{Act: deploy.ActSwitch, Share: 100, Hold: hold, Checks: true}
}

func canary(s deploy.Strategy) []deploy.Stage {
	if len(s.Given) > 0 {
		return given(s)
	}
	stages := []deploy.Stage{start()}
	for _, share := range s.Steps {
		if share == 100 {
			break
		}
		stage := deploy.Stage{Act: deploy.ActSplit, Share: share, Hold: s.Hold, Proof: s.Pace == deploy.PaceEvidence}
		if s.Baseline == deploy.BaselineFresh {
			// Above a half, as large a share is not there any more.
			stage.Baseline = min(share, 100-share)
			if len(stages) == 1 {
				stages = append(stages, deploy.Stage{Act: deploy.ActBaseline})
			}
		}
		stages = append(stages, stage)
	}
	return append(stages, toAll(s.Hold))
}

// bake watches on what has passed, while the old version still stands by.
func bake(s deploy.Strategy) []deploy.Stage {
	if s.Bake == 0 {
		return nil
	}
	return []deploy.Stage{{Act: deploy.ActBake, Share: 100, Hold: s.Bake, By: s.BakeBy}}
}

// rolling replaces batch by batch. The live replicas of the batch that is
// being watched stay up without traffic until the next batch begins: so going
// back from any stage, the last one too, never waits for a start.
func rolling(s deploy.Strategy, live, total int) []deploy.Stage {
	size := max(1, s.Batch)
	first := min(size, total)
	stages := []deploy.Stage{{
		Act: deploy.ActRoll, Checks: true,
		Batch: deploy.Batch{Candidate: first, Serving: 0, Live: live, Total: total},
	}}
	for done := 0; done < total; {
		next := min(done+size, total)
		b := deploy.Batch{Candidate: next, Serving: next, Live: max(1, min(live, total-done)), Total: total}
		stages = append(stages, deploy.Stage{Act: deploy.ActRoll, Share: b.Share(), Batch: b, Hold: s.Hold})
		done = next
	}
	return append(stages, toAll(0))
}

// Capable lists what a target can do.
func Capable(t deploy.Target) []deploy.Kind {
	kinds := []deploy.Kind{deploy.Recreate}
	if _, ok := t.(deploy.Roller); ok {
		kinds = append(kinds, deploy.Rolling)
	}
	kinds = append(kinds, deploy.BlueGreen)
	if _, ok := t.(deploy.Splitter); ok {
		kinds = append(kinds, deploy.Canary)
	}
	return kinds
}

// Supports refuses a strategy that the target cannot do, before anything is
// built or changed.
func Supports(t deploy.Target, s deploy.Strategy) error {
	can, k := Capable(t), s.Kind
	if slices.Contains(can, k) {
		return supportsBaseline(t, s)
	}
	names := make([]string, len(can))
	for i, c := range can {
		names[i] = string(c)
	}
	return deploy.Usage("it can do "+strings.Join(names, ", "), "%s cannot do the strategy %q", t, k)
}

func supportsBaseline(t deploy.Target, s deploy.Strategy) error {
	if _, can := t.(deploy.Baseliner); can || s.Kind != deploy.Canary || s.Baseline != deploy.BaselineFresh {
		return nil
	}
	return deploy.Usage("write baseline: live, which compares with the users of what is live, or leave it out",
		"%s cannot run what is live a second time, as baseline: %s of a canary needs it", t, s.Baseline)
}

// Compared says in one line what a plan's candidate is compared with; empty where
// that is the live version itself, or nothing.
func Compared(p deploy.Plan) string {
	if p.Baseline.IsZero() {
		return ""
	}
	replicas := "1 fresh replica"
	if n := p.Baseline.Config.Replicas; n != 1 {
		replicas = fmt.Sprintf("%d fresh replicas", n)
	}
	text := fmt.Sprintf("the baseline: %s of %s, with as large a share of the users as the candidate", replicas, p.Live)
	if slices.ContainsFunc(p.Stages, func(s deploy.Stage) bool { return s.Baseline > 0 && s.Share > 50 }) {
		text += "; above 50% it has what is left, and the live replicas stand by"
	}
	return text
}

// Describe says in one line what a stage does, for plans and consoles.
func Describe(s deploy.Stage) string {
	var act string
	switch s.Act {
	case deploy.ActStart:
		act = describeStart(s)
	case deploy.ActSplit:
		act = describeSplit(s)
	case deploy.ActBaseline:
		act = "start the baseline without users"
	case deploy.ActRoll:
		act = describeBatch(s)
	case deploy.ActSwitch:
		act = "all users"
	case deploy.ActReplace:
		act = "stop the live version, start the new one (a downtime)"
	case deploy.ActBake:
		return describeBake(s)
	}
	if s.Checks {
		act += ", run the checks"
	}
	switch {
	case s.Proof:
		act += fmt.Sprintf(", watch until it is proved that it is not worse, for %s at least", s.Hold)
	case s.Hold > 0:
		act += fmt.Sprintf(", watch for %s", s.Hold)
	}
	if s.Approval {
		act += ", wait for a person"
	}
	return act
}

func describeStart(s deploy.Stage) string {
	if s.Share == 0 {
		return "start without users"
	}
	return fmt.Sprintf("start, with %s of the users at once", s.Share)
}

func describeSplit(s deploy.Stage) string {
	if s.Baseline == 0 {
		return fmt.Sprintf("%s of the users", s.Share)
	}
	return fmt.Sprintf("%s of the users, %s on the baseline", s.Share, s.Baseline)
}

func describeBake(s deploy.Stage) string {
	text := fmt.Sprintf("all users, watch for %s against what the old version did", s.Hold)
	if s.By == deploy.BakeBySchedule {
		text += ", by the scheduled run"
	}
	return text
}

func describeBatch(s deploy.Stage) string {
	if s.Batch.Serving == 0 {
		return fmt.Sprintf("start %d of %d replicas, no users", s.Batch.Candidate, s.Batch.Total)
	}
	return fmt.Sprintf("%d of %d replicas replaced", s.Batch.Serving, s.Batch.Total)
}
