package targettest

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// Driver is what the suite needs to know of a kind of target.
type Driver struct {
	// Repository takes the suite's images: registry and path, such as
	// 127.0.0.1:5000/suite. Tests push to it, and targets pull from it.
	Repository string
	// Open gives the target of an environment, as one process of several would
	// have it: opened twice, both act on the same environment. One of a name
	// that was never used is empty. What an environment leaves when nothing
	// runs in it any more is for the driver to remove.
	Open func(t *testing.T, app string, env deploy.Environment) deploy.Target
	// Patience bounds every act, and every wait for a state; zero means one
	// minute. It is no measure of speed, only the end of hope.
	Patience time.Duration
	// Known is what each user of an app brings along, where targets place users by
	// that: headers of all their requests, others for each of them. Nil is nothing.
	Known func() http.Header
	// Shares is what becomes of a share between two revisions of so many replicas
	// each, where whole replicas split users, and leave no third share for a
	// baseline; nil is that each share can be had.
	Shares func(share deploy.Percent, replicas int) deploy.Percent
	// Follows: what sends users to the target is not the driver's own, and follows
	// an act a moment later. What users get is then waited for.
	Follows bool
	// Skip says why a case has nothing to say here, by its name; nil, or an empty
	// answer, is that it has.
	Skip func(name string) string
	// Parallel lets cases run beside one another, as many as -parallel allows, but for
	// those that count lost requests: for targets whose acts are mostly waited for.
	Parallel bool
	// Transport reaches the URLs that targets tell; nil means as any client
	// on this machine does.
	Transport http.RoundTripper
}

// App is the name of the app in all environments of the suite.
const App = "suite"

// cases are the sentences of the contracts. Each has an environment of its
// own; those of a capability that a target lacks are skipped.
var cases = []struct {
	name string
	run  func(*world)
}{
	// Target
	{"an environment that nobody touched is empty", emptyAtFirst},
	{"a started revision is ready and has no users", startedWithoutUsers},
	{"start waits until the replicas are ready", startWaits},
	{"start beside what is live changes nothing for users", startedBesideLive},
	{"switch gives all users at once and keeps the old side", switched},
	{"switch to what is not started is refused", switchNeedsStart},
	{"stop removes a candidate", candidateStopped},
	{"stop removes what is live, and it can come back", liveStopped},
	{"stop lets requests under way finish", stopDrains},
	{"stop ends requests that take longer than the drain", stopBoundsDrain},
	{"stop ends an app that ignores being asked", stopInsists},
	{"an act that is repeated finds the work done", repeated},
	{"two processes see and change the same environment", twoProcesses},
	{"a replica that ends is started again", restarted},
	{"a replica that gets sick is told", sick},
	{"acts end with their context", contextsEnd},
	{"a start that is given up leaves what it started", startGivenUp},
	{"a stop that is given up goes on when it is repeated", stopGivenUp},
	// Doomed
	{"an app that exits is doomed", exits},
	{"an app that never gets ready is doomed", neverReady},
	{"an app that listens on another port is doomed", wrongPort},
	{"an image that is not there is doomed", noImage},
	{"an image that cannot be executed is doomed", noProgram},
	{"a doomed revision goes, and the next one can start", afterDoom},
	// Content
	{"each revision has its own environment and secrets", ownContent},
	{"a revision read back can be started without values of secrets", secretsKnown},
	// Traffic
	{"no request is lost from one version to the next and back", nothingLostBySwitch},
	{"requests, errors and latencies are counted", counted},
	{"who came while nothing ran counts against nobody", countsBegin},
	// Splitter
	{"a split is read back and followed", splitFollowed},
	{"a split that cannot be is refused", splitRefused},
	{"users stay on their side while the share grows", sticky},
	{"no request is lost by splits and by taking them back", nothingLostBySplit},
	// Baseliner
	{"a baseline is what is live once more, and has no users", baselineStarted},
	{"candidate and baseline get their shares, and nobody else's", baselineFollowed},
	{"a baseline that cannot be is refused", baselineRefused},
	{"users stay on their side while the shares of both grow", baselineSticky},
	{"no request is lost by a baseline that comes and goes", nothingLostByBaseline},
	// Roller
	{"batches replace replicas, and bring them back", rolled},
	{"a batch of a doomed revision is refused and can be taken back", rollDoomed},
	{"no request is lost by batches", nothingLostByRoll},
	// Journal
	{"the journal keeps what was written", journalKept},
	{"the journal refuses who is behind", journalConflict},
	{"of many writers one succeeds", journalRace},
	{"settled records become the history", history},
	// Locker
	{"a lock is refused with who holds it", lockRefused},
	{"a lock is extended by its owner", lockExtended},
	{"a lock that has run out is taken over", lockExpires},
	{"of many who lock one succeeds", lockRace},
	// Signaller
	{"the last signal is told to every process", signalled},
	// Runner
	{"a task has the revision's image, variables and secrets, and tells its log", taskDone},
	{"a task that fails tells its code and its last lines", taskFails},
	{"a task whose image is not there is told at once", taskWithoutImage},
	{"a task that takes too long is ended", taskTooLong},
	{"a task that is given up is ended, and done anew", taskGivenUp},
	{"a task is not done twice", taskRepeated},
	{"a task is no replica", taskNoReplica},
	{"stop ends tasks and forgets them", taskStopped},
	// Remover
	{"a removed environment is empty, and can be used again", removed},
}

// Run holds a kind of target against the contracts of package deploy.
func Run(t *testing.T, d Driver) {
	d.Patience = cmp.Or(d.Patience, time.Minute)
	for i, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if d.Skip != nil {
				if why := d.Skip(c.name); why != "" {
					t.Skip(why)
				}
			}
			if d.Parallel && !strings.Contains(c.name, "is lost") {
				t.Parallel() // what counts each request comes first, one after the other
			}
			c.run(newWorld(t, d, fmt.Sprintf("case-%d", i+1)))
		})
	}
}

// world is one case with its environment.
type world struct {
	*testing.T
	driver Driver
	name   string
	tasks  deploy.Tasks
	target deploy.Target
}

func newWorld(t *testing.T, d Driver, name string) *world {
	w := &world{T: t, driver: d, name: name}
	w.target = w.open()
	if w.target.String() == "" {
		t.Error("the target has no name")
	}
	t.Cleanup(w.clear)
	return w
}

// open gives the environment's target as another process would have it.
func (w *world) open() deploy.Target {
	w.Helper()
	return w.driver.Open(w.T, App, deploy.Environment{Name: w.name, Tasks: w.tasks})
}

// clear stops what the case left.
func (w *world) clear() {
	ctx, cancel := context.WithTimeout(context.Background(), w.driver.Patience)
	defer cancel()
	s, err := w.target.State(ctx)
	if err != nil {
		w.Errorf("clear up: %v", err)
	}
	for _, r := range s.Running {
		if err := w.target.Stop(ctx, r.Revision); err != nil {
			w.Errorf("clear up: %v", err)
		}
	}
}

// limited is the context of one act.
func (w *world) limited() context.Context {
	ctx, cancel := context.WithTimeoutCause(w.Context(), w.driver.Patience, fmt.Errorf("the patience of %s is over", w.driver.Patience))
	w.Cleanup(cancel)
	return ctx
}

// as is the target with a capability; the case is skipped where it has none.
func as[C any](w *world) C {
	w.Helper()
	c, can := w.target.(C)
	if !can {
		w.Skipf("%s is no %s", w.target, strings.TrimPrefix(fmt.Sprintf("%T", new(C)), "*"))
	}
	return c
}

// service is what the suite's revisions run with.
func service() deploy.Service {
	return deploy.Service{
		Port: deploy.DefaultPort, Health: "/healthz", Replicas: 1,
		StartTimeout: 5 * time.Minute, // only cases that wait for its end set less
		Drain:        10 * time.Second,
	}
}

// revision is a revision of an image of the app that answers with its version;
// the flags say how it misbehaves.
func (w *world) revision(version string, s deploy.Service, flags ...string) deploy.Revision {
	w.Helper()
	img := Image(w, append([]string{"-name", version}, flags...)...)
	return w.revisionOf(Push(w, img, w.driver.Repository, version), s)
}

func (w *world) revisionOf(image deploy.Image, s deploy.Service, secrets ...deploy.Secret) deploy.Revision {
	return deploy.NewRevision(App, deploy.Environment{Name: w.name, Service: s}, image, secrets)
}

// simple is a revision that behaves well.
func (w *world) simple(version string) deploy.Revision {
	w.Helper()
	return w.revision(version, service())
}

// start, makeLive, stop and state are acts that have to succeed.

func (w *world) start(r deploy.Revision) {
	w.Helper()
	if err := w.target.Start(w.limited(), r); err != nil {
		w.Fatalf("start %s: %v", r, err)
	}
}

func (w *world) makeLive(r deploy.Revision) {
	w.Helper()
	if err := w.target.Switch(w.limited(), r); err != nil {
		w.Fatalf("switch to %s: %v", r, err)
	}
}

func (w *world) stop(r deploy.Revision) {
	w.Helper()
	if err := w.target.Stop(w.limited(), r); err != nil {
		w.Fatalf("stop %s: %v", r, err)
	}
}

func (w *world) state() deploy.State {
	w.Helper()
	s, err := w.target.State(w.limited())
	if err != nil {
		w.Fatalf("state: %v", err)
	}
	return s
}

// bring makes a revision live that is not started yet.
func (w *world) bring(r deploy.Revision) deploy.State {
	w.Helper()
	w.start(r)
	w.makeLive(r)
	s := w.state()
	if w.driver.Follows {
		w.served(s.URL)
	}
	return s
}

// until waits for a condition of the state.
func (w *world) until(what string, met func(deploy.State) bool) {
	w.Helper()
	ctx := w.limited()
	for {
		s := w.state()
		if met(s) {
			return
		}
		select {
		case <-ctx.Done():
			w.Fatalf("%s: not seen within %s; the state is %s", what, w.driver.Patience, summary(s))
		case <-time.After(20 * time.Millisecond):
		}
	}
}
