package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/apply"
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

// change returns when those who read the Service's endpoints follow them, too.
func (e entry) change(ctx context.Context, f func(objects.Traffic) (objects.Traffic, error)) (before objects.Traffic, err error) {
	before, after, err := e.put(ctx, f)
	if err != nil || after.Pointed() == "" || maps.Equal(e.place.Leads(before), e.place.Leads(after)) {
		return before, err // nobody is sent anywhere else
	}
	return before, e.inForce(ctx, after, nil)
}

// put is change without waiting for anybody.
func (e entry) put(ctx context.Context, f func(objects.Traffic) (objects.Traffic, error)) (before, after objects.Traffic, err error) {
	err = contend(ctx, func() error {
		before, after, err = e.write(ctx, f)
		return err
	})
	return before, after, err
}

func (e entry) write(ctx context.Context, f func(objects.Traffic) (objects.Traffic, error)) (before, after objects.Traffic, err error) {
	s, err := e.kube.CoreV1().Services(e.place.Namespace).Get(ctx, e.place.EntryName(), metav1.GetOptions{})
	missing := absent(err)
	if err != nil && !missing {
		return before, after, err
	}
	if !missing {
		if before, err = objects.ReadTraffic(s.Annotations); err != nil {
			return before, after, err
		}
		if err := e.mine(s); err != nil {
			return before, after, err
		}
	}
	after, err = f(before)
	switch {
	case err != nil, missing && after == (objects.Traffic{}):
		return before, after, err
	case missing:
		return before, after, e.create(ctx, after)
	}
	if e.place.Cluster.Gateway == nil {
		e.tellOfRivals(s, before)
	}
	return before, after, e.lay(ctx, s, before, after)
}

// create makes the Service; one of a user's own has to be there.
func (e entry) create(ctx context.Context, t objects.Traffic) error {
	if e.place.Front.Service != "" {
		return deploy.Hinted(fmt.Errorf("the Service %s is gone, by which users come", e.place.EntryName()), "release again: that applies it")
	}
	s := e.place.Entry(t.Pointed())
	s.Annotations, s.Spec.Selector = t.Annotate(nil), e.place.Leads(t)
	if err := e.ports(s, t); err != nil {
		return err
	}
	_, err := e.kube.CoreV1().Services(e.place.Namespace).Create(ctx, s, creation)
	return err
}

// lay has a Service that is there lead to where the traffic goes.
func (e entry) lay(ctx context.Context, s *corev1.Service, before, after objects.Traffic) error {
	was := s.DeepCopy()
	if err := e.point(ctx, s, after); err != nil {
		return err
	}
	if err := e.ports(s, after); err != nil {
		return err
	}
	s.Annotations = after.Annotate(s.Annotations)
	if after == before && equality.Semantic.DeepEqual(was.Spec, s.Spec) && was.Annotations[objects.AnnotationEarlier] == s.Annotations[objects.AnnotationEarlier] {
		return nil
	}
	_, err := e.kube.CoreV1().Services(e.place.Namespace).Update(ctx, s, update)
	if err == nil && e.place.Cluster.Gateway == nil {
		e.rivalry.over()
	}
	return err
}

// point leads a Service to the revision that has the users. One that was there
// before Slipway leads to whom it led to until then, and to no candidate.
func (e entry) point(ctx context.Context, s *corev1.Service, t objects.Traffic) error {
	id := t.Pointed()
	if id != "" || e.place.Front.Service == "" {
		objects.Led(s)
		s.Spec.Selector = e.place.Leads(t)
		return nil
	}
	earlier, err := objects.Earlier(s)
	switch {
	case err != nil:
		return err
	case earlier == nil:
		s.Spec.Selector = e.place.Pods("")
	case t.Candidate == "":
		s.Spec.Selector = earlier
	case maps.Equal(s.Spec.Selector, earlier):
		s.Spec.Selector, err = e.pinned(ctx, earlier)
	}
	return err
}

// ports are those of the revision that has the users, where it is one of a user's
// manifests; ports of nodes stay.
func (e entry) ports(s *corev1.Service, t objects.Traffic) error {
	b := e.bundles.ofRevision(t.Pointed())
	if b == nil {
		return nil
	}
	want, err := b.EntryPorts()
	if err != nil {
		return err
	}
	for i := range want {
		for _, have := range s.Spec.Ports {
			if have.Port == want[i].Port && have.Protocol == want[i].Protocol {
				want[i].NodePort = have.NodePort
			}
		}
	}
	s.Spec.Ports = want
	return nil
}

// mine refuses an object of another environment, of which the names happen to
// make the same one.
func (t *Target) mine(o metav1.Object) error {
	set := o.GetLabels()
	if set[apply.OwnerLabel] == t.place.Base() {
		return nil
	}
	if set[objects.LabelApp] == t.place.App && set[objects.LabelEnvironment] == t.place.Environment {
		return nil
	}
	whose := "is not Slipway's"
	if set[objects.LabelManagedBy] == objects.Manager {
		whose = "belongs to " + set[objects.LabelApp] + "/" + set[objects.LabelEnvironment]
	}
	return deploy.Hinted(fmt.Errorf("%s/%s is there already, and %s", o.GetNamespace(), o.GetName(), whose),
		"use another namespace, or remove it")
}

// lead points the Service of the environment to the live revision, for callers
// inside the cluster.
func (e entry) lead(ctx context.Context, t objects.Traffic) error {
	to := objects.Traffic{Live: t.Pointed()}
	if to.Live == "" {
		to.Candidate = t.Candidate
	}
	_, _, err := e.put(ctx, func(objects.Traffic) (objects.Traffic, error) { return to, nil })
	return err
}
