package deploy

import "time"

// Plan is a strategy turned into what will happen, in order. It is data: a dry
// run prints it, the engine walks it.
type Plan struct {
	Environment string   `json:"environment"`
	Strategy    Strategy `json:"strategy"`
	// Live is what users have now; zero on an empty environment.
	Live      Revision `json:"live"`
	Candidate Revision `json:"candidate"`
	// Baseline is what the candidate is compared with, where that is not Live
	// itself: Live once more, with as many replicas as the candidate; see
	// Revision.AsBaseline. It runs from its ActBaseline to the end, or
	// to an ActBake by others.
	Baseline Revision `json:"baseline,omitzero"`
	// Tasks are done before the first stage, and after the last.
	Tasks  Tasks   `json:"tasks,omitzero"`
	Stages []Stage `json:"stages"`
	// Forecast is what would become of the target's objects; nil where nobody has
	// asked, or the target cannot tell.
	Forecast *Forecast `json:"forecast,omitempty"`
}

// Reference is what the candidate is compared with while users are on both.
func (p Plan) Reference() Revision {
	if p.Baseline.IsZero() {
		return p.Live
	}
	return p.Baseline
}

// Stage is one movement of traffic and the watch over it.
type Stage struct {
	Act Act `json:"act"`
	// Share is what the candidate has of the users when the stage is reached.
	Share Percent `json:"share"`
	// Baseline is what the plan's Baseline has of them: as much as Share, or all
	// that is left above 50%. Live has the rest.
	Baseline Percent `json:"baseline,omitempty"`
	// Batch is set for ActRoll.
	Batch Batch `json:"batch,omitzero"`
	// Hold is how long the gate watches before the next stage.
	Hold time.Duration `json:"hold"`
	// Proof: it watches on until it is proved that the candidate is not worse.
	Proof bool `json:"proof,omitempty"`
	// Checks are run at the end of the hold.
	Checks bool `json:"checks,omitempty"`
	// By is who watches an ActBake; empty means the run itself.
	By Baker `json:"by,omitempty"`
	// Approval holds the rollout after the stage until a person says resume.
	Approval bool `json:"approval,omitempty"`
}

// Act is how a stage moves traffic.
type Act string

// The acts.
const (
	// ActStart runs the candidate without traffic.
	ActStart Act = "start"
	// ActBaseline runs the plan's Baseline without traffic.
	ActBaseline Act = "baseline"
	// ActSplit gives the candidate its share of the users, and the baseline its
	// own where there is one.
	ActSplit Act = "split"
	// ActRoll replaces replicas up to the stage's batch.
	ActRoll Act = "roll"
	// ActSwitch makes the candidate live at once.
	ActSwitch Act = "switch"
	// ActReplace stops what is live before the candidate starts: a downtime.
	ActReplace Act = "replace"
	// ActBake moves nothing: the candidate has all users, and is watched on
	// while the old version stays up without any.
	ActBake Act = "bake"
)
