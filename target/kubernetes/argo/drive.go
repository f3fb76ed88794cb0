package argo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/fields"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/argo/concede"
	"github.com/slipway-ci/slipway/target/kubernetes/pods"
)

// journey is how far a Rollout shall go.
type journey struct {
	to    deploy.Revision
	share deploy.Percent
	// promote: it is told to go on where it waits on the way.
	promote bool
	// full: a revision that is older than what users have is promoted at once.
	full bool
	// first: there is nobody yet who could have another version.
	first bool
	// retry: an abort is taken back.
	retry bool
	// healthy: its controller has nothing left to do.
	healthy bool
}

// drive brings the Rollout as far as is wanted, and ends with a *deploy.Doomed as
// soon as the pods of the revision will never be ready.
func (t *Target) drive(ctx context.Context, j journey) error {
	watched, cancel := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer cancel(nil)
	var once sync.Once
	err := t.follow(watched, func(now *rollout) (bool, error) {
		if set, _ := t.written(now.Spec.Template); j.to.ID != set.ID && !adoptedID(j.to.ID) {
			return false, errors.New("somebody has set another version meanwhile")
		}
		if now.seen() && now.Status.CurrentPodHash != "" {
			once.Do(func() {
				t.o.Ways.Open(j.to.ID, t.selector(now.Status.CurrentPodHash), t.port(now))
				watch.Go(func() { cancel(t.doom(watched, now, j)) })
			})
		}
		return t.push(watched, now, j)
	})
	var doomed *deploy.Doomed
	if cause := context.Cause(watched); err != nil && ctx.Err() == nil && errors.As(cause, &doomed) {
		return cause
	}
	return err
}

// adoptedID: the revision is somebody else's.
func adoptedID(id string) bool { return len(id) > 3 && id[:3] == "rs-" }

// push looks whether the journey is over, and takes the next step of it.
func (t *Target) push(ctx context.Context, now *rollout, j journey) (bool, error) {
	switch {
	case !now.seen():
		return false, nil
	case now.promoted():
		return !j.healthy || now.Status.Phase == phaseHealthy, nil
	case now.reached(j.share) && !j.healthy:
		return true, nil
	case now.Status.Abort && j.retry:
		return false, t.told(ctx, now, map[string]any{"abort": false})
	}
	if why := now.trouble(); why != "" {
		return false, t.stuck(now, why)
	}
	if !j.promote {
		return false, nil
	}
	return false, t.promote(ctx, now, j)
}

// promote tells a Rollout that waits to go on, or to give all users the new version
// at once.
func (t *Target) promote(ctx context.Context, now *rollout, j journey) error {
	atOnce := j.first
	if j.full && !atOnce {
		var err error
		if atOnce, err = t.isBack(ctx, now); err != nil {
			return err
		}
	}
	if atOnce && !now.Status.PromoteFull && now.Status.CurrentPodHash != now.Status.StableRS {
		return t.told(ctx, now, map[string]any{"promoteFull": true})
	}
	if len(now.Status.PauseConditions) > 0 {
		return t.told(ctx, now, map[string]any{"pauseConditions": nil})
	}
	return nil
}

// told writes what the controller is to do, unless the Rollout has moved on
// meanwhile: a word that comes late would be for its next pause.
func (t *Target) told(ctx context.Context, now *rollout, fields map[string]any) error {
	err := t.patchStatus(ctx, fields, now.ResourceVersion)
	if apierrors.IsConflict(err) {
		return nil // what has changed is told next
	}
	return err
}

func (t *Target) stuck(now *rollout, why string) error {
	return deploy.Hinted(fmt.Errorf("the Rollout %s", why), "look at: kubectl argo rollouts get rollout %s -n %s", now.Name, now.Namespace)
}

// isBack reports whether what comes in is older than what users have.
func (t *Target) isBack(ctx context.Context, now *rollout) (bool, error) {
	all, err := t.sets(ctx, now)
	if err != nil {
		return false, err
	}
	next, live := all.by(now.Status.CurrentPodHash), all.by(now.Status.StableRS)
	return next != nil && live != nil && next.CreationTimestamp.Before(&live.CreationTimestamp), nil
}

func (t *Target) selector(hash string) string { return concede.LabelHash + "=" + hash }

// port is where the app's container listens, as far as it says.
func (t *Target) port(now *rollout) int {
	c, err := t.container(now.Spec.Template)
	if err != nil || len(c.Ports) == 0 {
		r, _ := t.written(now.Spec.Template)
		return r.Config.Port
	}
	return int(c.Ports[0].ContainerPort)
}

// doom returns when the pods of the journey's revision will never be ready. Nil is
// that as many are as the stage needs.
func (t *Target) doom(ctx context.Context, now *rollout, j journey) error {
	want := now.replicas()
	if j.share < 100 {
		want = max(1, int(float64(want)*j.share.Fraction()))
		if now.routed() {
			want = 1 // setCanaryScale says how many there are
		}
	}
	o := t.options(j.to, now.Status.CurrentPodHash)
	if j.promote {
		o.Timeout = forever // how long a Rollout takes with its steps is its own; whoever asked for it has a limit
	}
	err := pods.Wait(ctx, t.o.Kube, t.o.Namespace, t.selector(now.Status.CurrentPodHash), want, o)
	var doomed *deploy.Doomed
	if !errors.As(err, &doomed) {
		<-ctx.Done()
		return nil
	}
	return doomed
}

func (t *Target) options(r deploy.Revision, hash string) pods.Options {
	return pods.Options{Revision: r, Workload: pods.Workload{Kind: "ReplicaSet", Name: t.o.Name + "-" + hash}, Log: t.o.Log}
}

// again is how long it is until a watch that was broken off is begun anew.
const again = 200 * time.Millisecond

// follow shows the Rollout, now and whenever it changes, until done.
func (t *Target) follow(ctx context.Context, look func(*rollout) (done bool, err error)) error {
	for {
		done, err := t.followOnce(ctx, look)
		switch {
		case done:
			return nil
		case err != nil && !transient(err):
			return err
		case ctx.Err() != nil:
			return fmt.Errorf("interrupted while %s goes on: %w", t, context.Cause(ctx))
		}
		select {
		case <-ctx.Done():
		case <-time.After(again):
		}
	}
}

// transient faults of the API pass by themselves; how long they are borne, the
// caller's context says.
func transient(err error) bool {
	return apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsTooManyRequests(err) ||
		apierrors.IsInternalError(err) || apierrors.IsServiceUnavailable(err) || apierrors.IsConflict(err) || apierrors.IsResourceExpired(err)
}

func (t *Target) followOnce(ctx context.Context, look func(*rollout) (done bool, err error)) (bool, error) {
	now, err := t.get(ctx)
	if err != nil {
		return false, err
	}
	if done, err := look(now); done || err != nil {
		return done, err
	}
	w, err := t.o.Dynamic.Resource(rollouts).Namespace(t.o.Namespace).Watch(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("metadata.name", t.o.Name).String(), ResourceVersion: now.ResourceVersion,
	})
	if err != nil {
		return false, err
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case e, open := <-w.ResultChan():
			o, is := e.Object.(*unstructured.Unstructured)
			if !open || !is {
				return false, nil
			}
			if now, err = read(o); err != nil {
				return false, err
			}
			if done, err := look(now); done || err != nil {
				return done, err
			}
		}
	}
}
