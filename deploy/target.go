package deploy

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Target is one environment of one app, able to hold two revisions side by
// side. Every method may be repeated: a run that is started again, or settle,
// calls it again and finds the work done. All are bounded by their context
// besides the limits they name.
type Target interface {
	fmt.Stringer
	// State reads live, candidate, share, replicas, counts and the journal at
	// one moment.
	State(ctx context.Context) (State, error)
	// Start runs the revision with no traffic and returns when every replica
	// is ready, or with a *Doomed as soon as it is known that it never will be.
	// A started revision that is not live is the candidate. What was started
	// stays until Stop, also when Start fails.
	Start(ctx context.Context, r Revision) error
	// Switch makes a started revision live at once: it gets all users. The one
	// that was live keeps running without traffic until Stop.
	Switch(ctx context.Context, r Revision) error
	// Stop takes the revision out of traffic, lets requests under way finish
	// within its Drain, and removes it. One that is not there is fine.
	Stop(ctx context.Context, r Revision) error
}

// Splitter is a Target that can give a candidate a share of the users.
type Splitter interface {
	// Split gives the started candidate its share of the users, the rest to
	// the live revision, and returns once new requests follow it. State tells
	// the share. A user who has been placed stays on their side while the
	// share grows; a target whose splitter is not its own and places each
	// request anew says so as an Adviser.
	Split(ctx context.Context, candidate Revision, share Percent) error
}

// Baseliner is a Splitter that can run the live revision once more beside a
// candidate, as fresh as that and with a share of the users of its own: what the
// candidate is then compared with. Stop removes it as it removes any revision.
type Baseliner interface {
	Splitter
	// StartBaseline is Start for a baseline of the live revision, made by
	// Revision.AsBaseline; of anything else it is refused. What was started is
	// the State's Baseline, and none is a candidate.
	StartBaseline(ctx context.Context, baseline Revision) error
	// SplitBeside is Split with a share for the started baseline, too; together
	// they are at most 100, and the live revision gets the rest. Users of the
	// candidate stay while the shares grow; those of the baseline stay until the
	// candidate gets them. Split, Switch and a Stop of the candidate leave the
	// baseline without users.
	SplitBeside(ctx context.Context, candidate Revision, share, baseline Percent) error
}

// Adviser is a Target that knows more of a strategy than its interfaces tell.
type Adviser interface {
	// Advise says what people should know before the strategy is carried out
	// there, a sentence each, or why it cannot be. It asks nobody and changes
	// nothing.
	Advise(s Strategy) (notes []string, err error)
}

// Decider is a Target that decides by itself some of what slipway.yaml says
// elsewhere, as a Rollout of Argo Rollouts does with its steps and replicas.
type Decider interface {
	// Decided is the environment as it is carried out there, with notes of what
	// people should know, a sentence each. What the file says and is not so there
	// is an error of usage. It changes nothing.
	Decided(ctx context.Context, e Environment) (decided Environment, notes []string, err error)
}

// Permitted is a Target that can say what its login may not do there.
type Permitted interface {
	// Permitted is an error that says every permission that is missing, with how
	// to get them; nil where none is. It changes nothing.
	Permitted(ctx context.Context) error
}

// Accepter is a Target that can say whether it would take what a release brings.
type Accepter interface {
	// Accepts is an error that says what of it would be refused, whoever brings it:
	// what somebody else owns, what is invalid. A Forecast says that, too. It
	// changes nothing.
	Accepts(ctx context.Context) error
}

// Guard is a Target that can tell whether anybody would be left to serve users.
type Guard interface {
	// Retire is Stop of a revision that users are to do without. It is refused,
	// and nothing is changed, while users are sent to the revision, or nothing
	// that they are sent to can serve.
	Retire(ctx context.Context, r Revision) error
}

// Roller is a Target that can replace replicas in place.
type Roller interface {
	// Roll brings about the batch and returns when its replicas are ready, or
	// with a *Doomed. Traffic leaves replicas before they are ended. It moves
	// what traffic it can before it starts anything, so that going back does
	// not wait for a start.
	Roll(ctx context.Context, candidate Revision, b Batch) error
}

// Batch is a state of a rolling replacement, in numbers of replicas.
type Batch struct {
	// Candidate replicas run, Serving of them get traffic, each as much as a
	// live replica that serves.
	Candidate int `json:"candidate"`
	Serving   int `json:"serving"`
	// Live replicas run; as many of them serve as are needed to make Total
	// together with Serving. The others stand by.
	Live  int `json:"live"`
	Total int `json:"total"`
}

// Share of the users that the candidate has in this batch.
func (b Batch) Share() Percent {
	if b.Total == 0 {
		return 0
	}
	return Percent(100 * float64(b.Serving) / float64(b.Total))
}

// Journal is a Target's memory of what is being done to it.
type Journal interface {
	// Write stores the record if its Version is the one in State, and counts
	// the version up. A version that is behind is ErrConflict: somebody else
	// has taken over, and the writer must stop touching anything. A record in
	// PhaseSettled is appended to the history, too.
	Write(ctx context.Context, r Record) error
}

// Locker is a Target that lets one run at a time change it.
type Locker interface {
	// Lock takes the environment, or extends what this owner holds, until ttl
	// from now. While somebody else holds it, it is refused with a *Locked. A
	// lock that has run out, or whose owner is known to be gone, is taken over.
	Lock(ctx context.Context, o Owner, ttl time.Duration) error
	// Unlock gives it back. A lock that is not the owner's is left alone.
	Unlock(ctx context.Context, o Owner) error
}

// Remover is a Target that can be removed with all that is in it: replicas,
// records, address. One that is not there is fine.
type Remover interface {
	Remove(ctx context.Context) error
}

// Witness is a Target that can say what a revision's replicas went through.
type Witness interface {
	// Evidence is about the replica that fared worst.
	Evidence(ctx context.Context, r Revision) (Evidence, error)
}

// State is what a Target holds at one moment.
type State struct {
	// URL is the stable address of the environment.
	URL string `json:"url,omitempty"`
	// Live gets the users, less Share and BaselineShare; nil when the environment is empty.
	Live *Revision `json:"live,omitempty"`
	// Candidate is started and not live; nil when there is none.
	Candidate *Revision `json:"candidate,omitempty"`
	Share     Percent   `json:"share"`
	// Baseline is Live once more, to compare Candidate with; nil when there is
	// none.
	Baseline      *Revision `json:"baseline,omitempty"`
	BaselineShare Percent   `json:"baselineShare,omitempty"`
	// Running are the revisions of which any replica exists, in no order.
	Running []Running `json:"running,omitempty"`
	// Record is the journal's last entry; its zero value on a new environment.
	Record Record `json:"record"`
	// History is oldest first; at least the last 10 settled records are kept.
	History []Record `json:"history,omitempty"`
	// Lock is nil when nobody holds the environment.
	Lock *Lock `json:"lock,omitempty"`
	// Signal is the last one that was given; nil when none was.
	Signal *Signal `json:"signal,omitempty"`
}

// Find is what runs of a revision, by its ID.
func (s State) Find(id string) (Running, bool) {
	for _, r := range s.Running {
		if r.Revision.ID == id {
			return r, true
		}
	}
	return Running{}, false
}

// Running is a revision with its replicas.
type Running struct {
	Revision Revision  `json:"revision"`
	Replicas []Replica `json:"replicas"`
	// Wanted is how many of them have to be ready now, where the target decides
	// that by itself; zero is as many as the revision's configuration says.
	Wanted int `json:"wanted,omitempty"`
	// URL reaches this revision alone, whatever its share, and is not counted
	// in Traffic.
	URL string `json:"url,omitempty"`
	// Traffic is nil where the target cannot count.
	Traffic *Traffic `json:"traffic,omitempty"`
	// Spread is zero where the target cannot tell, and while nobody shares the
	// users with this revision.
	Spread Spread `json:"spread,omitzero"`
}

// Ready counts the replicas that can serve.
func (r Running) Ready() int {
	n := 0
	for _, replica := range r.Replicas {
		if replica.Status == ReplicaReady {
			n++
		}
	}
	return n
}

// Restarts adds up how often replicas had to be started again.
func (r Running) Restarts() int {
	n := 0
	for _, replica := range r.Replicas {
		n += replica.Restarts
	}
	return n
}

// Replica is one running copy of a revision.
type Replica struct {
	Name   string        `json:"name"`
	Status ReplicaStatus `json:"status"`
	// Digest is of the image that it really runs, as the target reads it back.
	Digest   string    `json:"digest"`
	Restarts int       `json:"restarts"`
	Since    time.Time `json:"since"`
}

// ReplicaStatus is how a replica is.
type ReplicaStatus string

// What a replica can be.
const (
	ReplicaStarting ReplicaStatus = "starting"
	ReplicaReady    ReplicaStatus = "ready"
	// ReplicaUnready was ready before and does not pass its health check now.
	ReplicaUnready ReplicaStatus = "unready"
	// ReplicaExited has ended and waits to be started again.
	ReplicaExited ReplicaStatus = "exited"
)

// Spread is how the requests of a revision and their errors are spread over groups
// of clients: a client is in the same group always, and nobody chooses which. It
// says whether errors come one by one or in bursts of some clients. It counts from
// when users were last divided between revisions.
type Spread struct {
	Requests uint64 `json:"requests"`
	Errors   uint64 `json:"errors"`
	// Sums over the groups: of the squares of their requests and of their errors,
	// and of the products of both.
	RequestsSquared float64 `json:"requestsSquared"`
	ErrorsSquared   float64 `json:"errorsSquared"`
	Product         float64 `json:"product"`
}

// Add counts in one more group.
func (s *Spread) Add(requests, errors uint64) {
	errors = min(errors, requests)
	n, e := float64(requests), float64(errors)
	s.Requests, s.Errors = s.Requests+requests, s.Errors+errors
	s.RequestsSquared, s.ErrorsSquared, s.Product = s.RequestsSquared+n*n, s.ErrorsSquared+e*e, s.Product+n*e
}

// Traffic counts what a revision's users got since it started. All counts only
// grow.
type Traffic struct {
	Requests uint64 `json:"requests"`
	// Errors are answers of 5xx, Lost among them.
	Errors uint64 `json:"errors"`
	// Lost are requests that no replica answered.
	Lost    uint64    `json:"lost"`
	Latency Histogram `json:"latency"`
}

// Since is what came after an earlier reading. An earlier reading that is
// larger, as after a restart, counts as nothing.
func (t Traffic) Since(before Traffic) Traffic {
	if before.Requests > t.Requests || before.Errors > t.Errors {
		return t
	}
	d := Traffic{
		Requests: t.Requests - before.Requests,
		Errors:   t.Errors - before.Errors,
		Lost:     t.Lost - min(before.Lost, t.Lost),
		Latency:  Histogram{Le: t.Latency.Le, Counts: append([]uint64(nil), t.Latency.Counts...)},
	}
	for i := range d.Latency.Counts {
		if i < len(before.Latency.Counts) {
			d.Latency.Counts[i] -= min(before.Latency.Counts[i], d.Latency.Counts[i])
		}
	}
	return d
}

// Plus is the traffic of both. Histograms with other bounds cannot be added: those
// of t stay, unless it has none.
func (t Traffic) Plus(o Traffic) Traffic {
	sum := Traffic{Requests: t.Requests + o.Requests, Errors: t.Errors + o.Errors, Lost: t.Lost + o.Lost, Latency: t.Latency}
	switch {
	case len(t.Latency.Counts) == 0:
		sum.Latency = o.Latency
	case slices.Equal(t.Latency.Le, o.Latency.Le) && len(t.Latency.Counts) == len(o.Latency.Counts):
		sum.Latency.Counts = slices.Clone(t.Latency.Counts)
		for i, n := range o.Latency.Counts {
			sum.Latency.Counts[i] += n
		}
	}
	return sum
}

// ErrorShare is Errors of Requests, zero when there were none.
func (t Traffic) ErrorShare() Percent {
	if t.Requests == 0 {
		return 0
	}
	return Percent(100 * float64(t.Errors) / float64(t.Requests))
}

// Histogram counts durations in buckets.
type Histogram struct {
	// Le are the inclusive upper bounds in seconds, ascending.
	Le []float64 `json:"le"`
	// Counts has one entry more than Le: what is above the last bound.
	Counts []uint64 `json:"counts"`
}

// Evidence is what is known of a replica that failed.
type Evidence struct {
	Replica string `json:"replica,omitempty"`
	// Reason is one sentence: "exited with code 1 after 0.2s".
	Reason string `json:"reason"`
	// Log are the last lines that the replica wrote, oldest first, at most 20.
	Log []string `json:"log,omitempty"`
	// Events are what the target says of the replica, oldest first, at most 10:
	// "Unhealthy: Readiness probe failed: …". Empty where it tells none.
	Events []string `json:"events,omitempty"`
}

// Owner is who holds an environment.
type Owner struct {
	// Run names the run: the workflow run and attempt, or the process. The
	// same Run is the same owner.
	Run string `json:"run"`
	// URL is where to look at the run; may be empty.
	URL string `json:"url,omitempty"`
	// Who is the person or the robot that began it.
	Who string `json:"who,omitempty"`
	// Reason is what it is held for, such as "release 1.4.2".
	Reason string `json:"reason,omitempty"`
	// Origin is the repository that the run belongs to.
	Origin Origin `json:"origin,omitzero"`
	// Host and PID identify the process, so that a target on the same machine
	// can see that it is gone.
	Host string `json:"host,omitempty"`
	PID  int    `json:"pid,omitempty"`
}

// Lock is a hold on an environment.
type Lock struct {
	Owner   Owner     `json:"owner"`
	Since   time.Time `json:"since"`
	Expires time.Time `json:"expires"`
}
