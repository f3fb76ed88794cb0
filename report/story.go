package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// SchemaVersion of the JSON report. It grows when a field changes its meaning
// or goes; new fields alone leave it as it is.
const SchemaVersion = 1

// Seconds is a duration in seconds.
type Seconds float64

func seconds(d time.Duration) Seconds { return Seconds(d.Round(time.Millisecond).Seconds()) }

// Duration is the same for Go.
func (s Seconds) Duration() time.Duration { return time.Duration(float64(s) * float64(time.Second)) }

// Story is all that is known of a run. It is the JSON report, and what the
// other reports are rendered from.
type Story struct {
	// Schema is the version of this form.
	Schema int `json:"schema"`
	// Run is the execution that the report is about.
	Run Run `json:"run"`
	// Outcome of the whole; absent while the run is under way.
	Outcome deploy.Outcome `json:"outcome,omitempty"`
	// Message is one sentence about the outcome.
	Message string `json:"message,omitempty"`
	// Hint says what to do next.
	Hint string `json:"hint,omitempty"`
	// Started is when the run began.
	Started time.Time `json:"started,omitzero"`
	// Ended is when it ended; absent while it is under way.
	Ended time.Time `json:"ended,omitzero"`
	// Took is how many seconds the run took.
	Took Seconds `json:"took"`
	// Image is what was built or found; absent before that.
	Image *Image `json:"image,omitempty"`
	// Tags that move with releases, and what became of each.
	Tags []Tag `json:"tags,omitempty"`
	// Steps of the pipeline in their order.
	Steps []Step `json:"steps"`
	// Environments in the order in which the run came to them.
	Environments []Environment `json:"environments"`
	// Notices are lines that belong to no environment.
	Notices []string `json:"notices,omitempty"`
	// Warnings ask for attention. What could not be reported is among them.
	Warnings []Warning `json:"warnings"`
	// Events are all that happened, oldest first, but for observations, of
	// which each stage keeps its last one. Beyond 2000 the rest is left out, as
	// it is in every other list here.
	Events []Moment `json:"events"`
	// GitHub is what this run asked of it; absent where it did not.
	GitHub *GitHub `json:"github,omitempty"`
	// Cluster is what this run asked of Kubernetes; absent where it did not.
	Cluster *Cluster `json:"cluster,omitempty"`
}

// GitHub is what a run asked of GitHub.
type GitHub struct {
	// Calls is how many requests it made, further attempts among them.
	Calls int `json:"calls"`
}

// Cluster is what a run asked of the API servers of clusters.
type Cluster struct {
	// Requests is how many it made, further attempts among them.
	Requests int `json:"requests"`
	// Asked are those by verb and resource, the most frequent first.
	Asked []Asked `json:"asked"`
}

// Asked is one kind of request, and how often it was made.
type Asked struct {
	// What is asked, such as "watch pods" or "create deployments".
	What string `json:"what"`
	// Times is how often.
	Times int `json:"times"`
}

// clusterOf sums up requests, by verb and resource; nil where there were none.
func clusterOf(requests func() map[string]int) *Cluster {
	if requests == nil {
		return nil
	}
	var c Cluster
	for what, n := range requests() {
		c.Requests += n
		c.Asked = append(c.Asked, Asked{What: what, Times: n})
	}
	if c.Requests == 0 {
		return nil
	}
	slices.SortFunc(c.Asked, func(a, b Asked) int { return cmp.Or(cmp.Compare(b.Times, a.Times), cmp.Compare(a.What, b.What)) })
	return &c
}

// String is "41 requests to the API server: 24 read, 9 watch, 8 write".
func (c *Cluster) String() string {
	var read, watch, write int
	for _, a := range c.Asked {
		switch verb, _, _ := strings.Cut(a.What, " "); verb {
		case "get", "list":
			read += a.Times
		case "watch":
			watch += a.Times
		default:
			write += a.Times
		}
	}
	return fmt.Sprintf("%s to the API server: %d read, %d watch, %d write", plural(uint64(c.Requests), "request"), read, watch, write)
}

// asked adds how many requests were made to GitHub, where any were.
func (s *Story) asked(calls func() int) {
	if calls == nil {
		return
	}
	if n := calls(); n > 0 {
		s.GitHub = &GitHub{Calls: n}
	}
}

// room is how many requests a run may still make to GitHub: with two
// environments it makes never more than 30.
func (s *Story) room(calls int) int {
	environments := 0
	for i := range s.Environments {
		if s.Environments[i].concerned() {
			environments++
		}
	}
	return 10 + 10*max(1, environments) - calls
}

// owed is how many requests the run is going to need in any case: the last word
// of the comment, and for each environment what is still to be told of it. With
// statuses the commit is told, too; the first one may be on its way still.
func (s *Story) owed(statuses bool) int {
	const (
		word    = 1
		begin   = 2 // whether a newer run was there, and in_progress
		end     = 1 // success, or what else it is
		retired = 4 // once: in most environments GitHub does it by itself
		edits   = 2 // of the comment, in an environment to come
	)
	first, last := 0, 0
	if statuses {
		first, last = 1, 1
	}
	owed, open := word, 0
	for i := range s.Environments {
		switch e := &s.Environments[i]; {
		case e.waits():
			owed, open = owed+first+last+begin+end+edits, open+1
		case e.began() && e.Outcome == "":
			owed, open = owed+last+end, open+1
		}
	}
	if open > 0 {
		owed += retired
	}
	return owed
}

// Run is the execution that the report is about.
type Run struct {
	// ID is the workflow run with its attempt, or a name of the process.
	ID string `json:"id"`
	// URL is where to look at it; absent on a command line.
	URL string `json:"url,omitempty"`
	// Operation is the command: release, promote, rollback, …
	Operation string `json:"operation"`
	// App is its name in slipway.yaml.
	App string `json:"app"`
	// Who began it.
	Who string `json:"who,omitempty"`
	// Repository is owner/name on GitHub.
	Repository string `json:"repository,omitempty"`
	// Workflow is the file name of the workflow, such as slipway.yml.
	Workflow string `json:"workflow,omitempty"`
	// Commit is the full SHA.
	Commit string `json:"commit,omitempty"`
	// Ref is the branch or tag, such as refs/heads/main.
	Ref string `json:"ref,omitempty"`
}

// Image is the immutable image that the run is about.
type Image struct {
	// Repository is registry and path, such as ghcr.io/acme/hello.
	Repository string `json:"repository"`
	// Digest is the manifest's, such as sha256:9f86d0….
	Digest string `json:"digest"`
	// Version is the semver that its tag names.
	Version string `json:"version"`
}

// Tag is a tag that moves with releases.
type Tag struct {
	// Name is the tag, such as 1.4 or latest.
	Name string `json:"name"`
	// Version is the one that it names now.
	Version string `json:"version"`
	// Digest is that of the image that it names now.
	Digest string `json:"digest"`
	// Moved says whether this run has moved it.
	Moved bool `json:"moved"`
	// From is the version that it named before; absent where the tag is new or
	// was not moved.
	From string `json:"from,omitempty"`
}

// Version is a revision as people tell it from others.
type Version struct {
	// Version is the semver of its image.
	Version string `json:"version"`
	// Digest is that of its image.
	Digest string `json:"digest"`
	// Revision is the hash of image, configuration and versions of secrets.
	Revision string `json:"revision"`
}

// Step is one step of the pipeline.
type Step struct {
	// Name says what it does.
	Name string `json:"name"`
	// Started is when it began.
	Started time.Time `json:"started,omitzero"`
	// Took is how many seconds it took.
	Took Seconds `json:"took"`
	// State is how far it has come.
	State State `json:"state"`
}

// State is how far a step or a stage has come.
type State string

// The states.
const (
	StateRunning State = "running"
	StatePassed  State = "passed"
	StateFailed  State = "failed"
)

// Environment is what happened in one environment.
type Environment struct {
	// Name is that of slipway.yaml.
	Name string `json:"name"`
	// URL is the stable address of the environment.
	URL string `json:"url,omitempty"`
	// Outcome is absent while the deployment is under way.
	Outcome deploy.Outcome `json:"outcome,omitempty"`
	// Reason is one sentence about the outcome.
	Reason string `json:"reason,omitempty"`
	// Hint says what to do next.
	Hint string `json:"hint,omitempty"`
	// Strategy by which the version was brought in.
	Strategy deploy.Kind `json:"strategy,omitempty"`
	// Candidate is the version that was brought in.
	Candidate *Version `json:"candidate,omitempty"`
	// Previous was live before; absent on a first deployment.
	Previous *Version `json:"previous,omitempty"`
	// Baseline is Previous once more, in fresh replicas that Candidate is compared
	// with; absent where it is compared with Previous itself.
	Baseline *Version `json:"baseline,omitempty"`
	// Share is the percentage of the users that the candidate has.
	Share deploy.Percent `json:"share"`
	// Queued is when it was known that the run would come to it; absent where
	// that was not told.
	Queued time.Time `json:"queued,omitzero"`
	// Started is when the deployment began; absent where this run has only
	// ended what another began, or did not come to it.
	Started time.Time `json:"started,omitzero"`
	// Ended is when it ended.
	Ended time.Time `json:"ended,omitzero"`
	// Took is how many seconds it took.
	Took Seconds `json:"took"`
	// Tasks that were begun, in their order; absent where there are none.
	Tasks []Task `json:"tasks,omitempty"`
	// Stages that were begun, in their order.
	Stages []Stage `json:"stages"`
	// Rates are what the users of both versions got, in the order of time: at
	// most 48 parts of the rollout.
	Rates []Rate `json:"rates,omitempty"`
	// Checks that belong to no stage.
	Checks []Check `json:"checks,omitempty"`
	// Notices are lines about this environment, such as those of a dry run.
	Notices []string `json:"notices,omitempty"`
	// Drift is how it differs from what was released; absent where nobody has
	// looked.
	Drift *Drift `json:"drift,omitempty"`
	// Removed says why the environment was removed with all that was in it;
	// absent where it stands.
	Removed string `json:"removed,omitempty"`
	// Aside says why it was left to a newer run; absent where it was not.
	Aside string `json:"aside,omitempty"`
	// WatchedUntil is when it stops being watched by scheduled runs, which may
	// still take it back; absent where the deployment is over.
	WatchedUntil time.Time `json:"watchedUntil,omitzero"`
	// Revert is there when it was decided to go back.
	Revert *Revert `json:"revert,omitempty"`
	// Evidence is about the replica that failed.
	Evidence *Evidence `json:"evidence,omitempty"`
	// acts are those of the planned stages, in their order.
	acts []deploy.Act
	// doubled is how often the points of Rates were made to take twice as much,
	// filled how many observations the last one has.
	doubled, filled int
}

// Stage is one movement of traffic and the watch over it.
type Stage struct {
	// Number counts from 1.
	Number int `json:"number"`
	// Name says what the stage does.
	Name string `json:"name"`
	// Act is how it moves traffic.
	Act deploy.Act `json:"act,omitempty"`
	// Share is the percentage of the users that the candidate is meant to have.
	Share deploy.Percent `json:"share"`
	// State is how far it has come.
	State State `json:"state"`
	// Started is when it began.
	Started time.Time `json:"started"`
	// Ended is when it ended; absent while it runs.
	Ended time.Time `json:"ended,omitzero"`
	// Observation is the last one of the stage.
	Observation *Observation `json:"observation,omitempty"`
	// Checks that were run in it.
	Checks []Check `json:"checks,omitempty"`
}

// Took is how long the stage took, or zero while it runs.
func (s Stage) Took() time.Duration {
	if s.Ended.IsZero() {
		return 0
	}
	return s.Ended.Sub(s.Started)
}

// Observation is what the gate of a stage saw.
type Observation struct {
	// Share is the percentage of the users that the candidate had.
	Share deploy.Percent `json:"share"`
	// Baseline is the percentage of the users that the baseline had; absent where
	// there is none.
	Baseline deploy.Percent `json:"baseline,omitempty"`
	// Live is what the users of the old version got: those of the baseline, where
	// there is one.
	Live Traffic `json:"live"`
	// Candidate is what the users of the new version got.
	Candidate Traffic `json:"candidate"`
	// Uncounted is true where the environment does not count for Live and
	// Candidate, so that their zeros say nothing.
	Uncounted bool `json:"uncounted,omitempty"`
	// Ready of Replicas candidate replicas can serve.
	Ready int `json:"ready"`
	// Replicas of the candidate that there are to be.
	Replicas int `json:"replicas"`
	// Elapsed of Hold, in seconds.
	Elapsed Seconds `json:"elapsed"`
	// Hold is for how many seconds the stage is watched.
	Hold Seconds `json:"hold"`
	// Verdict is what is made of it, in one sentence.
	Verdict string `json:"verdict,omitempty"`
	// Judge is there where the users of both versions were compared.
	Judge *Judge `json:"judge,omitempty"`
}

// Traffic counts requests of one side since the stage began.
type Traffic struct {
	// Requests that were answered or lost.
	Requests uint64 `json:"requests"`
	// Errors are answers of 5xx, Lost among them.
	Errors uint64 `json:"errors"`
	// Lost are requests that no replica answered.
	Lost uint64 `json:"lost"`
}

// Check is what came of one check.
type Check struct {
	// Name is that of slipway.yaml.
	Name string `json:"name"`
	// Passed is whether the version answered well.
	Passed bool `json:"passed"`
	// Detail says why it failed.
	Detail string `json:"detail,omitempty"`
	// Attempts is how often it was tried.
	Attempts int `json:"attempts"`
	// Took is how many seconds all attempts took.
	Took Seconds `json:"took"`
}

// Revert is the way back.
type Revert struct {
	// At is when it was decided.
	At time.Time `json:"at"`
	// Reason for the decision, in one sentence.
	Reason string `json:"reason"`
	// TrafficBack is how many seconds it took, from the decision, until no user
	// was sent to the candidate any more; absent where none had been.
	TrafficBack *Seconds `json:"trafficBack,omitempty"`
}

// Evidence is what is known of a replica that failed.
type Evidence struct {
	// Replica is its name.
	Replica string `json:"replica,omitempty"`
	// Reason is one sentence.
	Reason string `json:"reason"`
	// Log are the last lines that the replica wrote, oldest first.
	Log []string `json:"log,omitempty"`
	// Events are what the target says of the replica, oldest first.
	Events []string `json:"events,omitempty"`
}

// Warning asks for attention.
type Warning struct {
	// At is when it was given.
	At time.Time `json:"at"`
	// Environment that it is about; absent where it is about none.
	Environment string `json:"environment,omitempty"`
	// Message is one sentence.
	Message string `json:"message"`
	// Hint says what to do.
	Hint string `json:"hint,omitempty"`
}

// Moment is one event.
type Moment struct {
	// At is when it happened.
	At time.Time `json:"at"`
	// Kind says what it is about.
	Kind deploy.EventKind `json:"kind"`
	// Environment that it is about; absent where it is about the run.
	Environment string `json:"environment,omitempty"`
	// Message is one sentence.
	Message string `json:"message"`
	// Stage that it is about, counted from 1.
	Stage int `json:"stage,omitempty"`
	// Share is the percentage of the users that the candidate is meant to have.
	Share deploy.Percent `json:"share,omitempty"`
	// Outcome of what has ended.
	Outcome deploy.Outcome `json:"outcome,omitempty"`
	// Took is how many seconds it took.
	Took Seconds `json:"took,omitempty"`
}

// idle is a run that had nothing to do, as settle mostly has, and a scheduled
// run that leaves what it has looked at: it did nothing in an environment, planned
// nothing and brought no image. Telling of it would only cover what the run
// before has told.
func (s *Story) idle() bool {
	over := s.Outcome != deploy.Unchanged && s.Outcome != ""
	told := func(e Environment) bool { return e.concerned() || e.Candidate != nil || e.Drift != nil }
	return !over && !slices.ContainsFunc(s.Environments, told) && s.Image == nil
}

// Environment finds an environment by its name; nil when the run has not come
// to it.
func (s *Story) Environment(name string) *Environment {
	for i := range s.Environments {
		if s.Environments[i].Name == name {
			return &s.Environments[i]
		}
	}
	return nil
}

// Version is what the run is about, for a headline; empty before it is known.
func (s *Story) Version() string {
	if s.Image != nil {
		return s.Image.Version
	}
	for _, env := range s.Environments {
		if env.Candidate != nil {
			return env.Candidate.Version
		}
	}
	return ""
}

// good reports whether nothing needs a person.
func good(o deploy.Outcome) bool { return o == deploy.Promoted || o == deploy.Unchanged }

// began reports whether a rollout was begun in this run. Where it was not, the
// run has ended what another began, or has come to nothing.
func (e *Environment) began() bool { return !e.Started.IsZero() }

// waits reports whether the run is going to come to the environment, and has not
// yet; at the end of the run, that it never did.
func (e *Environment) waits() bool {
	return !e.Queued.IsZero() && !e.began() && e.Outcome == "" && e.Revert == nil && e.Removed == "" && e.Aside == ""
}

// concerned reports whether anything was done to the environment, or is to be.
// It was not where the run has only planned.
func (e *Environment) concerned() bool {
	return !e.Queued.IsZero() || e.began() || e.Outcome != "" || e.Revert != nil || e.Removed != "" || e.Aside != ""
}

// reached reports whether the run has come to the environment.
func (e *Environment) reached() bool { return e.concerned() && !e.waits() && e.Aside == "" }

// planned is how many stages there are to be, as far as it is known.
func (e *Environment) planned() int { return max(len(e.acts), len(e.Stages)) }

// current is the stage that runs, or the last one; nil before the first.
func (e *Environment) current() *Stage {
	if len(e.Stages) == 0 {
		return nil
	}
	return &e.Stages[len(e.Stages)-1]
}
