package pods

import "time"

// State is how a pod is.
type State string

// What a pod can be.
const (
	// Waiting: it may become ready yet.
	Waiting State = "waiting"
	// Ready to serve.
	Ready State = "ready"
	// Doomed: it will never be ready unless somebody changes something.
	Doomed State = "doomed"
	// Gone: it ends, or has ended, for a reason that is none of its own, such
	// as an eviction. Another one takes its place.
	Gone State = "gone"
)

// Cause is what keeps a pod from being ready.
type Cause string

// The causes. The empty one is that it is on its way.
const (
	ImageMissing  Cause = "image not found"
	ImageRefused  Cause = "image refused"
	ImagePull     Cause = "image not pulled"
	BadConfig     Cause = "bad configuration"
	CannotRun     Cause = "cannot run"
	Crash         Cause = "crash"
	OutOfMemory   Cause = "out of memory"
	Unschedulable Cause = "unschedulable"
	NotReady      Cause = "not ready"
	Disrupted     Cause = "disrupted"
)

// Verdict is what is known of a pod at one moment.
type Verdict struct {
	State State
	Cause Cause
	// Container that it is about; empty where it is about the whole pod. Node
	// is empty as long as none was found.
	Container, Node string
	// Reason and Message are the cluster's own words, such as CrashLoopBackOff.
	Reason, Message string
	// ExitCode of the run of the container that ended last; nil where none has.
	ExitCode *int32
	// Restarts of the container.
	Restarts int
	// Told is what is wrong, in words that follow upon the pod's name: "exited
	// with code 42 after 0.1s, 3 times".
	Told string
	// Hint says what to look at; empty where that is not known.
	Hint string
	// Again is when time alone may change the verdict; zero where it does not.
	Again time.Time

	// previous: it is about the run before the one that is under way.
	previous bool
}

// Limits are what is waited for. The zero value means the defaults.
type Limits struct {
	// Restarts is how often a container may be started again before it is
	// ready; the run after the last one decides. Zero means DefaultRestarts.
	Restarts int
	// Unschedulable is how long a pod may wait for a node that has room, and a
	// workload for leave to make a pod. Zero means DefaultUnschedulable.
	Unschedulable time.Duration
}

// Defaults of Limits.
const (
	// DefaultRestarts lets a container end twice, as those do that want a
	// database which is being started with them. The kubelet starts the third
	// run about ten seconds after the first.
	DefaultRestarts = 2
	// DefaultUnschedulable is as long as those who add nodes on demand need for
	// one as a rule.
	DefaultUnschedulable = 2 * time.Minute
)

// steady is how long a container has to run for its end to count as the first
// one: as with the kubelet, which forgets its back-off then.
const steady = 10 * time.Minute

// oomRuns is how many runs may end for want of memory, with that many the pod
// is doomed: what needs more than it may have needs it again.
const oomRuns = 2

func (l Limits) restarts() int {
	if l.Restarts <= 0 {
		return DefaultRestarts
	}
	return l.Restarts
}

func (l Limits) unschedulable() time.Duration {
	if l.Unschedulable <= 0 {
		return DefaultUnschedulable
	}
	return l.Unschedulable
}
