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
	// Tasks are those of the deployment, so that whoever ends it knows them.
	Tasks Tasks `json:"tasks,omitzero"`
	// Candidate is what is brought in.
	Candidate Revision `json:"candidate"`
	// Previous is what was live before; zero for a first deployment.
	Previous Revision  `json:"previous"`
	Started  time.Time `json:"started"`
	At       time.Time `json:"at"`
	// Outcome is set in PhaseSettled, Reason there and in PhaseHeld.
	Outcome Outcome `json:"outcome,omitempty"`
	Reason  string  `json:"reason,omitempty"`
	// Incomplete: Promoted, but for a task after it that has failed.
	Incomplete bool `json:"incomplete,omitempty"`
	// Bake is set from PhaseBaking on.
	Bake Bake `json:"bake,omitzero"`
}

// Bake is what is known of a candidate with all users that is watched by other
// runs than the one that brought it in: enough to judge on. Its counts are
// without latency.
type Bake struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
	// History is what the previous version did in all the time that it had
	// users.
	History Traffic `json:"history"`
	// Past is what it did by other metrics that count requests, in the order of
	// their names.
	Past []Recorded `json:"past,omitempty"`
	// Before is what the candidate had counted at Since, Seen at the last look.
	Before Traffic `json:"before"`
	Seen   Traffic `json:"seen"`
	// Restarts of the candidate's replicas up to the last look.
	Restarts int `json:"restarts,omitempty"`
	// Looks are what was seen, in the order of time.
	Looks []Look `json:"looks,omitempty"`
}

// Recorded is what was counted by one metric, without latency.
type Recorded struct {
	Metric  string  `json:"metric"`
	Traffic Traffic `json:"traffic"`
}

// Look is what came in between a look and the one before.
type Look struct {
	// After is how long after Since it was.
	After    time.Duration `json:"after"`
	Requests uint64        `json:"requests"`
	Errors   uint64        `json:"errors"`
}

// maxLooks bounds what a journal keeps of a Bake: one in five minutes for a day.
const maxLooks = 288

// Add notes one more look. Beyond 288 the last one takes in what is new.
func (b *Bake) Add(l Look) {
	n := len(b.Looks)
	if n < maxLooks {
		b.Looks = append(b.Looks[:n:n], l)
		return
	}
	looks := append([]Look(nil), b.Looks...)
	last := &looks[n-1]
	last.After, last.Requests, last.Errors = l.After, last.Requests+l.Requests, last.Errors+l.Errors
	b.Looks = looks
}

// Baking reports whether the candidate has all users, and is watched on by
// other runs than the one that brought it in.
func (r Record) Baking() bool { return r.Phase == PhaseBaking }

// Watched is until when it is Baking; zero where it is not.
func (r Record) Watched() time.Time {
	if !r.Baking() {
		return time.Time{}
	}
	return r.Bake.Until
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
// it is until a person says resume or abort, PhaseBaking until its time is over
// or something speaks against the candidate.
const (
	PhaseNone Phase = ""
	// PhasePreparing: tasks are at work, and nothing else was begun.
	PhasePreparing Phase = "preparing"
	// PhaseStarting: the candidate is being started, without traffic.
	PhaseStarting Phase = "starting"
	// PhaseShifting: traffic is moving to what the stage says.
	PhaseShifting Phase = "shifting"
	// PhaseHolding: the stage's share is reached and watched.
	PhaseHolding Phase = "holding"
	// PhaseHeld: it waits for a person, and no process watches it.
	PhaseHeld Phase = "held"
	// PhaseBaking: the candidate has all users, and scheduled runs look at it;
	// see Bake.
	PhaseBaking Phase = "baking"
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
