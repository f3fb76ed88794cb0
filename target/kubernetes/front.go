package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"maps"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/feed"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// front is what brings users to revisions, and knows who has them.
type front interface {
	// read is who has the users; nobody where nothing is there yet.
	read(ctx context.Context) (objects.Traffic, error)
	// feed follows the one object that read reads, which is of the resource.
	feed() (f feed.Feed, resource string)
	// change moves users in one write, by compare-and-swap, and returns when it
	// is in force, with what was there before. Repeated, it finds the work done.
	change(ctx context.Context, f func(objects.Traffic) (objects.Traffic, error)) (before objects.Traffic, err error)
}

// rivals bounds how often a write is tried again because somebody else was
// faster: whoever writes without end is in a fight.
const rivals = 20

// errRivals says that there was no getting through.
var errRivals = errors.New("somebody else writes it all the time")

// contend repeats a write that somebody else was faster with.
func contend(ctx context.Context, try func() error) error {
	for range rivals {
		err := try()
		if !apierrors.IsConflict(err) && !apierrors.IsAlreadyExists(err) {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	return errRivals
}

// entry is the Service of an environment: what callers inside the cluster use.
// Without a gateway it is the front, too.
type entry struct{ *Target }

func (e entry) read(ctx context.Context) (objects.Traffic, error) {
	s, err := e.kube.CoreV1().Services(e.place.Namespace).Get(ctx, e.place.EntryName(), metav1.GetOptions{})
	if absent(err) {
		return objects.Traffic{}, nil
	}
	if err != nil {
		return objects.Traffic{}, err
	}
	return objects.ReadTraffic(s.Annotations)
}

func (e entry) feed() (feed.Feed, string) {
	api := e.kube.CoreV1().Services(e.place.Namespace)
	return feed.Feed{
		What: "the Service " + e.place.EntryName(), List: feed.Listing(api.List), Watch: api.Watch, Options: feed.Named(e.place.EntryName()),
	}, "services"
}

func (e entry) change(ctx context.Context, f func(objects.Traffic) (objects.Traffic, error)) (before objects.Traffic, err error) {
	err = contend(ctx, func() error {
		before, err = e.write(ctx, f)
		return err
	})
	return before, err
}

func (e entry) write(ctx context.Context, f func(objects.Traffic) (objects.Traffic, error)) (before objects.Traffic, err error) {
	api := e.kube.CoreV1().Services(e.place.Namespace)
	s, err := api.Get(ctx, e.place.EntryName(), metav1.GetOptions{})
	missing := absent(err)
	if err != nil && !missing {
		return before, err
	}
	if !missing {
		if before, err = objects.ReadTraffic(s.Annotations); err != nil {
			return before, err
		}
		if err := e.mine(s); err != nil {
			return before, err
		}
	}
	after, err := f(before)
	switch {
	case err != nil, missing && after == (objects.Traffic{}):
		return before, err
	case missing:
		s = e.place.Entry(pointed(after))
		s.Annotations = after.Annotate(nil)
		_, err = api.Create(ctx, s, creation)
		return before, err
	case after == before && maps.Equal(s.Spec.Selector, e.place.Pods(pointed(after))):
		return before, nil
	}
	s.Annotations, s.Spec.Selector = after.Annotate(s.Annotations), e.place.Pods(pointed(after))
	_, err = api.Update(ctx, s, update)
	return before, err
}

// pointed is the revision that a Service leads to, which cannot split.
func pointed(t objects.Traffic) string {
	if t.Candidate != "" && t.Share == 100 {
		return t.Candidate
	}
	return t.Live
}

// mine refuses an object of another environment, of which the names happen to
// make the same one.
func (t *Target) mine(o metav1.Object) error {
	set := o.GetLabels()
	if set[objects.LabelName] == t.place.App && set[objects.LabelEnvironment] == t.place.Environment {
		return nil
	}
	return deploy.Hinted(fmt.Errorf("%s/%s is there already, and belongs to %s/%s", o.GetNamespace(), o.GetName(), set[objects.LabelName], set[objects.LabelEnvironment]),
		"use another namespace, or remove it")
}

// lead points the Service of the environment to the live revision, for callers
// inside the cluster.
func (e entry) lead(ctx context.Context, t objects.Traffic) error {
	to := objects.Traffic{Live: pointed(t)}
	_, err := e.change(ctx, func(objects.Traffic) (objects.Traffic, error) { return to, nil })
	return err
}
