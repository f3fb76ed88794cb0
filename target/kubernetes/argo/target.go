package argo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
)

// rollouts is the resource that is driven, replicaSets are what comes of its
// templates.
var (
	rollouts    = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts"}
	replicaSets = schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}
)

// Memory is what is remembered of an environment beside the Rollout.
type Memory interface {
	deploy.Journal
	deploy.Locker
	deploy.Signaller
	// Remember fills in record, history, signal and lock.
	Remember(ctx context.Context, s *deploy.State) error
	// NoteSpec keeps what the Rollout was released as, in JSON.
	NoteSpec(ctx context.Context, spec []byte) error
}

// Ways lead to the pods of single revisions, for checks.
type Ways interface {
	// Open the way to a port of the pods that a selector finds, unless it is open.
	Open(revision, selector string, port int)
	// URL of an open way; empty where there is none.
	URL(revision string) string
	Close(revision string)
}

// Options say which Rollout is driven, and by what.
type Options struct {
	// App and Environment are whose it is.
	App, Environment string
	// Namespace and Name are the Rollout's. Container is the app's in its pods;
	// empty is the only one.
	Namespace, Name, Container string
	Kube                       kubernetes.Interface
	Dynamic                    dynamic.Interface
	Cluster                    *access.Cluster
	Memory                     Memory
	Ways                       Ways
	// Set is what the Rollout is a part of; nil where others apply it.
	Set Set
	// Log is told what does no harm; nil is fine.
	Log *slog.Logger
}

// Target is an environment that is a Rollout.
type Target struct {
	Memory
	o Options
}

var (
	_ deploy.Target    = (*Target)(nil)
	_ deploy.Splitter  = (*Target)(nil)
	_ deploy.Journal   = (*Target)(nil)
	_ deploy.Locker    = (*Target)(nil)
	_ deploy.Witness   = (*Target)(nil)
	_ deploy.Signaller = (*Target)(nil)
	_ deploy.Decider   = (*Target)(nil)
	_ deploy.Permitted = (*Target)(nil)
)

// New is the environment of a Rollout. Nothing is asked of the cluster yet.
func New(o Options) *Target {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Target{Memory: o.Memory, o: o}
}

// String reads "Rollout web in the namespace shop".
func (t *Target) String() string {
	return fmt.Sprintf("Rollout %s in the namespace %s", t.o.Name, t.o.Namespace)
}

// Name is that of the Rollout.
func (t *Target) Name() string { return t.o.Name }

// Permitted asks the cluster whether this login may drive a Rollout there.
func (t *Target) Permitted(ctx context.Context) error {
	if err := t.o.Cluster.Require(ctx, access.Driven(t.o.Namespace)); err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}
	return nil
}

// get reads the Rollout, and refuses what is not driven.
func (t *Target) get(ctx context.Context) (*rollout, error) {
	o, err := t.o.Dynamic.Resource(rollouts).Namespace(t.o.Namespace).Get(ctx, t.o.Name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) && t.o.Set != nil {
		return nil, deploy.Hinted(fmt.Errorf("%s is not there: %w", t, err), "release: that makes it")
	}
	if apierrors.IsNotFound(err) {
		return nil, deploy.Hinted(fmt.Errorf("%s is not there: %w", t, err),
			"apply it first, with kubectl or what you apply your manifests with; kubectl get rollouts -n %s lists those that are", t.o.Namespace)
	}
	if err != nil {
		return nil, err
	}
	r, err := read(o)
	if err != nil {
		return nil, err
	}
	if r.Spec.WorkloadRef != nil || r.Spec.Template == nil {
		return nil, deploy.Usage("put the pods' template into the Rollout itself", "%s has no template of its own: it takes the pods of another object (workloadRef), which Slipway does not drive", t)
	}
	_, err = t.container(r.Spec.Template)
	return r, err
}

// Start sets the revision and returns when the Rollout has come to its first stop,
// or has promoted it where it never stops. What the Rollout gives it of the users
// until then it has: that is the first of the strategy's Given.
func (t *Target) Start(ctx context.Context, r deploy.Revision) error {
	return t.ended(ctx, t.start(ctx, r), "start %s at %s", r, t)
}

func (t *Target) start(ctx context.Context, r deploy.Revision) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	before, err := t.bring(ctx, r)
	if err != nil {
		return err
	}
	served, err := t.served(ctx, before)
	if err != nil {
		return err
	}
	if !served {
		// Nobody is there to be protected by steps.
		return t.drive(ctx, journey{to: r, share: 100, promote: true, retry: true, first: true})
	}
	now, err := t.get(ctx) // a set may have brought other steps
	if err != nil {
		return err
	}
	first := deploy.Percent(100)
	if all, err := now.stages(); err != nil {
		return err
	} else if len(all) > 0 {
		first = all[0].share
	}
	return t.drive(ctx, journey{to: r, share: first, retry: true})
}

// served reports whether users had anything in a Rollout; one that was not there is
// nil.
func (t *Target) served(ctx context.Context, r *rollout) (bool, error) {
	if r == nil {
		return false, nil
	}
	sets, err := t.sets(ctx, r)
	if err != nil {
		return false, err
	}
	live := sets.by(r.live())
	if live == nil || !live.serves() {
		return false, nil
	}
	var s deploy.State
	if err := t.Remember(ctx, &s); err != nil {
		return false, err
	}
	return !t.unborn(r, live, s.Record), nil
}

// unborn reports whether what a Rollout calls stable was never ready: the first
// template of a Rollout that a release has made counts as stable from the start.
func (t *Target) unborn(r *rollout, live *set, record deploy.Record) bool {
	return t.o.Set != nil && first(record, live.revision) && !r.promoted() && live.Status.ReadyReplicas == 0
}

// Split promotes the Rollout, stop by stop, until the candidate has at least the
// share. Zero aborts it, which gives all users to the stable version.
func (t *Target) Split(ctx context.Context, r deploy.Revision, share deploy.Percent) error {
	return t.ended(ctx, t.split(ctx, r, share), "give %s of the users of %s to %s", share, t, r)
}

func (t *Target) split(ctx context.Context, r deploy.Revision, share deploy.Percent) error {
	if !(share >= 0 && share <= 100) || math.IsNaN(float64(share)) {
		return fmt.Errorf("%v is not between 0%% and 100%%", float64(share))
	}
	now, err := t.get(ctx)
	if err != nil {
		return err
	}
	switch set, _ := t.written(now.Spec.Template); {
	case set.ID != r.ID:
		return errors.New("it is not started")
	case now.promoted():
		return errors.New("it is live already, and cannot be the candidate")
	case share == 0:
		return t.abort(ctx, r)
	}
	return t.drive(ctx, journey{to: r, share: share, promote: true})
}

// Switch gives the revision all users. On the way forward the Rollout walks through
// what is left of its steps, and is promoted where it waits. A revision that was
// live before is promoted in full: going back has to be fast.
func (t *Target) Switch(ctx context.Context, r deploy.Revision) error {
	return t.ended(ctx, t.swap(ctx, r), "switch %s to %s", t, r)
}

func (t *Target) swap(ctx context.Context, r deploy.Revision) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, err := t.set(ctx, r); err != nil {
		return err
	}
	return t.drive(ctx, journey{to: r, share: 100, promote: true, retry: true, full: true})
}

// Stop takes a candidate back: the Rollout is aborted, and gets the stable version
// again, so that it is not left degraded. What was live before is ended by the
// Rollout itself, in its own time.
func (t *Target) Stop(ctx context.Context, r deploy.Revision) error {
	return t.ended(ctx, t.stop(ctx, r), "stop %s at %s", r, t)
}

func (t *Target) stop(ctx context.Context, r deploy.Revision) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	now, err := t.find(ctx)
	if err != nil {
		return err
	}
	if now != nil { // or else nothing was begun
		err = t.takeBack(ctx, now, r)
	}
	if err == nil {
		t.o.Ways.Close(r.ID)
	}
	return err
}

func (t *Target) takeBack(ctx context.Context, now *rollout, r deploy.Revision) error {
	set, sets, err := t.inspect(ctx, now)
	if err != nil {
		return err
	}
	if set.ID != r.ID {
		// Not what the Rollout shall run: its controller ends it by itself. Of what is
		// live, that goes on while another version comes in.
		if live := sets.by(now.live()); live != nil && live.revision.ID == r.ID {
			return errServes
		}
		return t.rest(ctx)
	}
	if alone, err := t.unpreceded(ctx, r, sets); alone || err != nil {
		if err != nil {
			return err
		}
		return t.withdraw(ctx)
	}
	if now.promoted() {
		return errServes
	}
	// What the Rollout was applied with by others, and is not ready yet, stays: the
	// next version takes its place.
	if sets.by(now.Status.StableRS) != nil || t.ours(now) {
		if err := t.restore(ctx, now, sets); err != nil {
			return err
		}
	}
	return t.rest(ctx)
}

// errServes is for what is not stopped because users have it.
var errServes = errors.New("it is live: users would have nothing")

// rest brings in what a way back has left out of the manifests of what the Rollout
// now runs, also where another process has gone that way.
func (t *Target) rest(ctx context.Context) error {
	if t.o.Set == nil {
		return nil
	}
	now, err := t.get(ctx)
	if err != nil {
		return err
	}
	if r, ours := t.written(now.Spec.Template); ours && ofSet(r) {
		return t.o.Set.Rest(ctx, r)
	}
	return nil
}

// restore gives the Rollout back what it had before its candidate, and waits until
// it is healthy by it.
func (t *Target) restore(ctx context.Context, now *rollout, sets sets) error {
	stable := sets.by(now.Status.StableRS)
	if stable == nil {
		return deploy.Hinted(errors.New("there is nothing to go back to"), "apply the Rollout as it shall be")
	}
	if !now.Status.Abort {
		if err := t.patchStatus(ctx, map[string]any{"abort": true}, ""); err != nil {
			return err
		}
	}
	if _, err := t.set(ctx, stable.revision); err != nil || !stable.serves() {
		return err // what was never ready is not waited for
	}
	return t.drive(ctx, journey{to: stable.revision, share: 100, promote: true, retry: true, full: true, healthy: true})
}

// abort takes the candidate's users away, and returns when it has none.
func (t *Target) abort(ctx context.Context, r deploy.Revision) error {
	if err := t.patchStatus(ctx, map[string]any{"abort": true}, ""); err != nil {
		return err
	}
	return t.follow(ctx, func(now *rollout) (bool, error) {
		if set, _ := t.written(now.Spec.Template); set.ID != r.ID {
			return false, errors.New("somebody has set another version meanwhile")
		}
		if !now.seen() || !now.Status.Abort {
			return false, nil
		}
		if w := now.Status.Canary.Weights; now.routed() && w != nil {
			return w.Canary.Weight == 0, nil
		}
		return now.routed() || now.Status.UpdatedReplicas == 0, nil
	})
}

// ended says what an act was about in its error.
func (t *Target) ended(ctx context.Context, err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	var doomed *deploy.Doomed
	if errors.As(err, &doomed) || errors.Is(err, deploy.ErrConflict) || deploy.IsUsage(err) {
		return err
	}
	what := fmt.Sprintf(format, args...)
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%s: %w: %w", what, ctx.Err(), err)
	}
	return fmt.Errorf("%s: %w", what, t.o.Cluster.Explain(err))
}

// forever bounds a wait for pods whose own end somebody else keeps.
const forever = 24 * time.Hour
