package deploy

import "time"

// Record is what the journal at a target says of a rollout. It is written
// before each act, so that another process can finish what this one began.
type Record struct {
	// Version counts writes: the basis of compare-and-swap.
	Version uint64 `json:"version"`
	Owner   Owner  `json:"owner"`
	Phase   Phase  `json:"phase,omitempty"`
	// Operation is the command: release, promote, rollback.
	Operation string   `json:"operation,omitempty"`
	Strategy  Strategy `json:"strategy"`
	// Stage counts from 1 to Stages; 0 before the first.
	Stage  int `json:"stage,omitempty"`
	Stages int `json:"stages,omitempty"`
	// Passed is how many stages have passed.
	Passed int `json:"passed,omitempty"`
	// Share is what the candidate is meant to have in this stage.
	Share Percent `json:"share"`
	// Candidate is what is brought in.
	Candidate Revision `json:"candidate"`
	// Previous is what was live before; zero for a first deployment.
	Previous Revision  `json:"previous"`
	Started  time.Time `json:"started"`
	At       time.Time `json:"at"`
	// Outcome is set in PhaseSettled, Reason there and in PhaseHeld.
	Outcome Outcome `json:"outcome,omitempty"`
	Reason  string  `json:"reason,omitempty"`
}

// Held reports whether a rollout waits for a person.
func (r Record) Held() bool { return r.Phase == PhaseHeld }

// Unfinished reports whether a rollout was begun and not ended. One that is
// held is unfinished, too.
func (r Record) Unfinished() bool {
	return r.Phase != PhaseNone && r.Phase != PhaseSettled
}

// Phase is how far a rollout has come.
type Phase string

// The phases in their order. Up to PhaseHolding the way of whoever finds it
// unfinished is back; from PhasePromoting on it is forward. PhaseHeld stays as
// it is until a person says resume or abort.
const (
	PhaseNone Phase = ""
	// PhaseStarting: the candidate is being started, without traffic.
	PhaseStarting Phase = "starting"
	// PhaseShifting: traffic is moving to what the stage says.
	PhaseShifting Phase = "shifting"
	// PhaseHolding: the stage's share is reached and watched.
	PhaseHolding Phase = "holding"
	// PhaseHeld: it waits for a person, and no process watches it.
	PhaseHeld Phase = "held"
	// PhasePromoting: the last stage has passed; the old version is removed.
	PhasePromoting Phase = "promoting"
	// PhaseReverting: it was decided to go back.
	PhaseReverting Phase = "reverting"
	// PhaseSettled: over; see Outcome.
	PhaseSettled Phase = "settled"
)

// Outcome is how a deployment, or a whole run, ended.
type Outcome string

// The outcomes. Each has an exit code of its own; see ExitCode.
const (
	Promoted  Outcome = "promoted"
	Unchanged Outcome = "unchanged"
	// Failed: nothing changed for users.
	Failed Outcome = "failed"
	// Reverted: users had seen the new version, and are back on the old one.
	Reverted Outcome = "reverted"
	// Held: a person must decide.
	Held Outcome = "held"
	// Unknown: the state could not be restored or read.
	Unknown Outcome = "unknown"
)

// ExitUsage is the exit code for wrong usage or configuration.
const ExitUsage = 2

// ExitCode is what the process returns for an outcome.
func (o Outcome) ExitCode() int {
	switch o {
	case Promoted, Unchanged:
		return 0
	case Failed:
		return 1
	case Reverted:
		return 3
	case Held:
		return 4
	}
	return 5
}
