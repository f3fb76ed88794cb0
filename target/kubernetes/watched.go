package kubernetes

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/slipway-ci/slipway/target/kubernetes/feed"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// again is how soon a State is read again by those who go on doing so: the second
// one in that time is had from watches, and those after it. A command that looks
// once is cheaper without.
const again = 5 * time.Second

// watched is what State reads, kept as it changes.
type watched struct {
	front       feed.Mirror[runtime.Object]
	deployments feed.Mirror[*appsv1.Deployment]
	pods        feed.Mirror[*corev1.Pod]
	journal     feed.Mirror[*corev1.ConfigMap]
	lease       feed.Mirror[*coordinationv1.Lease]

	// made: the mirrors are there.
	made sync.Once

	// learnt counts what was waited for elsewhere: State must not be behind it.
	learnt atomic.Int64

	mu sync.Mutex
	// last is when State was read last; begun: by watches.
	last  time.Time
	begun bool
}

// often reports whether State is read so often that watching is worth it.
func (w *watched) often(now time.Time) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	before := now.Sub(w.last)
	w.begun = before <= again || w.begun && before <= feed.Idle
	w.last = now
	return w.begun
}

// watch makes the mirrors of a target, which ask nothing before they are looked
// at.
func (t *Target) watch() {
	w := t.watched
	ns, place := t.place.Namespace, feed.Named(t.place.State())
	all := metav1.ListOptions{LabelSelector: t.place.Select()}
	front, resource := t.front.feed()
	deployments, podsIn := t.kube.AppsV1().Deployments(ns), t.kube.CoreV1().Pods(ns)
	maps, leases := t.kube.CoreV1().ConfigMaps(ns), t.kube.CoordinationV1().Leases(ns)
	w.front = mirror[runtime.Object](t, front, t.written(resource))
	w.deployments = mirror[*appsv1.Deployment](t, feed.Feed{What: "deployments", List: feed.Listing(deployments.List), Watch: deployments.Watch, Options: all},
		t.written("deployments"), w.learnt.Load)
	w.pods = mirror[*corev1.Pod](t, feed.Feed{What: "pods", List: feed.Listing(podsIn.List), Watch: podsIn.Watch, Options: all},
		t.written("pods"), t.written("deployments"), w.learnt.Load)
	w.journal = mirror[*corev1.ConfigMap](t, feed.Feed{What: "the journal", List: feed.Listing(maps.List), Watch: maps.Watch, Options: place},
		t.written("configmaps"))
	w.lease = mirror[*coordinationv1.Lease](t, feed.Feed{What: "the hold", List: feed.Listing(leases.List), Watch: leases.Watch, Options: place},
		t.written("leases"))
}

// mirror is one that the client owns.
func mirror[T runtime.Object](t *Target, f feed.Feed, changes ...func() int64) feed.Mirror[T] {
	changes = append(changes, t.written("namespaces"))
	return feed.Mirror[T]{Feed: f, Owner: t.watches.run, Changes: func() (sum int64) {
		for _, n := range changes {
			sum += n()
		}
		return sum
	}}
}

// written counts what was done to a resource.
func (c *Client) written(resource string) func() int64 {
	return func() int64 { return c.cluster.Written(resource) }
}

// look is what facts are, by watches where it is asked for often.
func (t *Target) look(ctx context.Context) (f facts, err error) {
	if !t.watched.often(time.Now()) {
		return t.facts(ctx)
	}
	w := t.watched
	w.made.Do(t.watch)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		f.traffic, err = t.lookAtFront(ctx)
		return err
	})
	group.Go(func() error {
		all, err := w.deployments.Look(ctx)
		for _, d := range all {
			f.deployments = append(f.deployments, *d)
		}
		return err
	})
	group.Go(func() error {
		all, err := w.pods.Look(ctx)
		for _, p := range all {
			f.pods = append(f.pods, *p)
		}
		return err
	})
	group.Go(func() error {
		all, err := w.journal.Look(ctx)
		if err != nil || len(all) == 0 {
			return err
		}
		f.journal = all[0]
		return t.mine(f.journal)
	})
	group.Go(func() error {
		all, err := w.lease.Look(ctx)
		if err != nil || len(all) == 0 {
			return err
		}
		f.lease = all[0]
		return t.mine(f.lease)
	})
	return f, group.Wait()
}

// lookAtFront is who has the users, by the watch of the object that sends them. Where
// that tells nothing yet, read knows what to make of it.
func (t *Target) lookAtFront(ctx context.Context) (traffic objects.Traffic, err error) {
	all, err := t.watched.front.Look(ctx)
	if err != nil {
		return traffic, err
	}
	if len(all) > 0 {
		o, err := meta.Accessor(all[0])
		if err != nil {
			return traffic, err
		}
		if traffic, err = objects.ReadTraffic(o.GetAnnotations()); err != nil {
			return traffic, err
		}
	}
	if traffic == (objects.Traffic{}) && t.place.Cluster.Gateway != nil {
		return t.front.read(ctx)
	}
	if len(all) > 0 {
		t.tellOfRivals(all[0], traffic)
	}
	return traffic, nil
}

// watches are the goroutines that watch for targets. They end with ctx.
type watches struct {
	ctx     context.Context // the owner of what watches: it ends with the command
	running sync.WaitGroup
}

func (w *watches) run(watch func(context.Context)) {
	w.running.Go(func() { watch(w.ctx) })
}

// Wait returns when nothing watches any more, after the end of the context that
// the client was made with.
func (c *Client) Wait() { c.watches.running.Wait() }
