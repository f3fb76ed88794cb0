package deploy

import (
	"context"
	"time"
)

// Reporter tells somebody what happens. An error of its own is reported as a
// warning and never fails a deployment.
type Reporter interface {
	Report(ctx context.Context, e Event) error
}

// Event is one thing that happened. Only the fields that its Kind names are
// set, besides At, Kind and, within an environment, Environment.
type Event struct {
	At          time.Time `json:"at"`
	Kind        EventKind `json:"kind"`
	Environment string    `json:"environment,omitempty"`
	// Message is one sentence for people: every kind has it.
	Message string `json:"message"`
	// Run: RunStarted.
	Run *Run `json:"run,omitempty"`
	// Build: Building.
	Build *BuildStep `json:"build,omitempty"`
	// Image: ImageReady.
	Image *Image `json:"image,omitempty"`
	// Plan: RolloutStarted, RolloutEnded; Queued, with Candidate and Strategy
	// alone; the first Notice of a dry run about an environment.
	Plan *Plan `json:"plan,omitempty"`
	// URL of the environment: RolloutStarted, RolloutEnded.
	URL string `json:"url,omitempty"`
	// Stage counts from 1: StageStarted, StagePassed, Observed, Checked (0
	// before the first).
	Stage int     `json:"stage,omitempty"`
	Share Percent `json:"share,omitempty"`
	// Check: Checked.
	Check *CheckResult `json:"check,omitempty"`
	// Task: TaskStarted, TaskSaid, TaskEnded.
	Task *TaskRun `json:"task,omitempty"`
	// Observation: Observed.
	Observation *Observation `json:"observation,omitempty"`
	// Evidence: Reverting and RolloutEnded, where there is any; Building and
	// TaskEnded that have failed.
	Evidence *Evidence `json:"evidence,omitempty"`
	// Took: StepEnded, Building that has ended, TaskEnded, TrafficBack (from the
	// decision), RolloutEnded, RunEnded.
	Took time.Duration `json:"took,omitempty"`
	// Outcome: RolloutEnded, RunEnded.
	Outcome Outcome `json:"outcome,omitempty"`
	// Asked: RolloutEnded and RunEnded with an outcome that somebody asked for,
	// as abort asks for a revert. It is no failure of this run.
	Asked bool `json:"asked,omitempty"`
	// Until: RolloutEnded with Promoted where the version is watched on by other
	// runs until then.
	Until time.Time `json:"until,omitzero"`
	// Drift: Drifted.
	Drift *Drift `json:"drift,omitempty"`
	// Tag: TagMoved.
	Tag *TagMove `json:"tag,omitempty"`
	// Hint says what to do next: RolloutEnded, RunEnded, Warning.
	Hint string `json:"hint,omitempty"`
}

// EventKind says what an Event is about.
type EventKind string

// The events in the order in which a run meets them.
const (
	RunStarted EventKind = "run-started"
	// StepStarted and StepEnded frame a step of the pipeline; Message is its
	// name.
	StepStarted EventKind = "step-started"
	StepEnded   EventKind = "step-ended"
	// Building: a builder is at a step of a Dockerfile, which Message names.
	Building   EventKind = "building"
	ImageReady EventKind = "image-ready"
	// Queued: the run is going to bring the version to Environment.
	Queued EventKind = "queued"
	// RolloutStarted: a deployment to Environment begins.
	RolloutStarted EventKind = "rollout-started"
	// TaskStarted: one-off work begins, before the first stage or after the last.
	TaskStarted EventKind = "task-started"
	// TaskSaid: Message is a line that it has written.
	TaskSaid     EventKind = "task-said"
	TaskEnded    EventKind = "task-ended"
	StageStarted EventKind = "stage-started"
	// Observed: what the gate sees, about once a second.
	Observed    EventKind = "observed"
	Checked     EventKind = "checked"
	StagePassed EventKind = "stage-passed"
	// Reverting: it was decided to go back; Message is the reason.
	Reverting EventKind = "reverting"
	// TrafficBack: no user is sent to the candidate any more.
	TrafficBack EventKind = "traffic-back"
	// RolloutEnded: Outcome, Message the reason, Plan what was walked.
	RolloutEnded EventKind = "rollout-ended"
	// SteppedAside: Environment was left to a newer run; Message says which.
	SteppedAside EventKind = "stepped-aside"
	// Removed: an environment was removed with all that was in it; Message is
	// why.
	Removed EventKind = "removed"
	// Drifted: what is otherwise in Environment than it was released; nothing may
	// be.
	Drifted EventKind = "drifted"
	// TagMoved: a floating tag follows the release, or stays where it is.
	TagMoved EventKind = "tag-moved"
	// Notice is good to know; Warning asks for attention.
	Notice  EventKind = "notice"
	Warning EventKind = "warning"
	// RunEnded: the run's Outcome.
	RunEnded EventKind = "run-ended"
)

// TagMove is what became of a floating tag.
type TagMove struct {
	// Name is the tag, such as 1.4 or latest.
	Name string `json:"name"`
	// Version and Digest are what it names now.
	Version string `json:"version"`
	Digest  string `json:"digest"`
	// Moved: this run has moved it, from the version From; empty where the tag
	// is new.
	Moved bool   `json:"moved"`
	From  string `json:"from,omitempty"`
}

// BuildStep is how a step of a Dockerfile stands.
type BuildStep struct {
	State BuildState `json:"state"`
	// Line is the last one that it has written; may be empty.
	Line string `json:"line,omitempty"`
}

// BuildState says where a step of a Dockerfile is.
type BuildState string

// The states of a step.
const (
	BuildRunning BuildState = "running"
	// BuildCached: its result was there already.
	BuildCached BuildState = "cached"
	BuildDone   BuildState = "done"
	BuildFailed BuildState = "failed"
)

// Observation is what a gate saw in its stage so far.
type Observation struct {
	Share Percent `json:"share"`
	// Baseline is the share of the baseline, whose traffic Live is then; zero
	// where there is none.
	Baseline  Percent `json:"baseline,omitempty"`
	Live      Traffic `json:"live"`
	Candidate Traffic `json:"candidate"`
	// Uncounted: the target does not count for Live and Candidate, so that their
	// zeros say nothing.
	Uncounted bool `json:"uncounted,omitempty"`
	// Ready of Replicas candidate replicas can serve.
	Ready    int `json:"ready"`
	Replicas int `json:"replicas"`
	// Elapsed of Hold.
	Elapsed time.Duration `json:"elapsed"`
	Hold    time.Duration `json:"hold"`
	// Verdict is the judge's, Why it the Message of the event; nil where there
	// is no judge.
	Verdict *Verdict `json:"verdict,omitempty"`
}

// Run is the execution that all of this belongs to.
type Run struct {
	// ID is the workflow run with its attempt, or a name of the process.
	ID string `json:"id"`
	// URL is where to look at it; empty on a command line.
	URL string `json:"url,omitempty"`
	// Operation is the command: release, promote, rollback, …
	Operation string `json:"operation"`
	App       string `json:"app"`
	// Who began it.
	Who string `json:"who,omitempty"`
	// Repository is owner/name on GitHub; empty elsewhere.
	Repository string `json:"repository,omitempty"`
	// Workflow is the file name of the workflow, such as slipway.yml, by which
	// it can be started again; empty where it is not known.
	Workflow string `json:"workflow,omitempty"`
	// Commit is the full SHA, Ref the branch or tag; both may be empty.
	Commit string `json:"commit,omitempty"`
	Ref    string `json:"ref,omitempty"`
}
