package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	numbers "k8s.io/apimachinery/pkg/util/json" // keeps integers as such

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/bundle"
	"github.com/slipway-ci/slipway/target/kubernetes/drift"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// expected are the objects of Slipway's that there should be.
func (t *Target) expected(ctx context.Context, l drift.Left) ([]*unstructured.Unstructured, error) {
	all, place, err := t.ofRevisions(ctx, l)
	if err != nil {
		return nil, err
	}
	if t.place.Front.Service == "" {
		entry, err := t.expectedEntry(place, l.Traffic)
		if err != nil {
			return nil, err
		}
		all = append(all, entry)
	}
	list := make([]*unstructured.Unstructured, 0, len(all)+1)
	for _, o := range all {
		u, err := plain(o)
		if err != nil {
			return nil, err
		}
		list = append(list, u)
	}
	if place.Cluster.Gateway == nil || t.place.Front.Route != "" {
		return list, nil
	}
	r, err := t.expectedRoute(ctx, place, l.Traffic)
	return append(list, r), err
}

// ofRevisions are the objects of all revisions that there should be, and how the
// live one was placed.
func (t *Target) ofRevisions(ctx context.Context, l drift.Left) (all []any, place objects.Place, err error) {
	place = t.place
	for i, r := range l.Revisions() {
		if r.IsZero() {
			continue
		}
		d, err := t.deployment(ctx, r.ID)
		if err != nil {
			return nil, place, err
		}
		if d == nil && i > 0 {
			continue // a rollout that rests need not have it still
		}
		made := t.place.AsMade(d)
		if i == 0 {
			place = made
		}
		b, err := t.bundle(ctx, r)
		if err != nil {
			return nil, place, err
		}
		own, err := ofRevision(made, b, r, d, l.Settled)
		if err != nil {
			return nil, place, err
		}
		all = append(all, own...)
		if i == 0 && b == nil {
			all = append(all, t.place.ServiceAccount())
		}
	}
	return all, place, nil
}

// expectedEntry is the Service of the environment, where it is Slipway's own.
func (t *Target) expectedEntry(place objects.Place, traffic objects.Traffic) (*corev1.Service, error) {
	to := pointing(place, traffic)
	e := place.Entry(to.Pointed())
	e.Annotations, e.Spec.Selector = to.Annotate(nil), place.Leads(to)
	return e, entry{t}.ports(e, traffic)
}

// ofRevision are the objects of one revision, which is of a user's manifests where
// there is a Bundle; d is its Deployment as it is, nil where there is none.
func ofRevision(p objects.Place, b *bundle.Bundle, r deploy.Revision, d *appsv1.Deployment, settled bool) ([]any, error) {
	parts := ofPlace
	if b != nil {
		parts = func(p objects.Place, r deploy.Revision) (*appsv1.Deployment, []any, error) { return ofBundle(p, b, r) }
	}
	made, all, err := parts(p, r)
	if err != nil {
		return nil, err
	}
	if d != nil && (!settled || scaled(d, r) || b != nil && b.Scaling() != nil) {
		made.Spec.Replicas = nil
	}
	if fence := p.Fence(r); fence != nil {
		all = append(all, fence)
	}
	return append(all, made), nil
}

// ofPlace are the objects of a revision of slipway.yaml alone.
func ofPlace(p objects.Place, r deploy.Revision) (*appsv1.Deployment, []any, error) {
	made, err := p.Deployment(r, r.Config.Replicas)
	all := []any{p.Service(r)}
	if settings := p.Settings(r); settings != nil {
		all = append(all, settings)
	}
	if budget := p.Budget(r); budget != nil {
		all = append(all, budget)
	}
	return made, all, err
}

// scaled reports whether the number of a revision's replicas is an autoscaler's to
// choose: one of ours, or one that somebody has made.
func scaled(d *appsv1.Deployment, r deploy.Revision) bool {
	return deploy.AutoscaleOf(r.Config) != nil || slices.ContainsFunc(d.ManagedFields, func(e metav1.ManagedFieldsEntry) bool {
		return e.Subresource == "scale" && strings.HasPrefix(e.Manager, "kube-")
	})
}

func (t *Target) expectedRoute(ctx context.Context, p objects.Place, traffic objects.Traffic) (*unstructured.Unstructured, error) {
	live, err := route{t}.api().Get(ctx, p.RouteName(), metav1.GetOptions{})
	if absent(err) {
		return p.Route(traffic)
	}
	if err != nil {
		return nil, err
	}
	return p.Restored(live, traffic)
}

// plain is an object as JSON has it, without what only a server writes.
func plain(o any) (*unstructured.Unstructured, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, fmt.Errorf("write down an object: %w", err)
	}
	u := &unstructured.Unstructured{}
	if err := numbers.Unmarshal(text, &u.Object); err != nil {
		return nil, fmt.Errorf("write down an object: %w", err)
	}
	bare(u.Object)
	delete(u.Object, "status")
	return u, nil
}

// bare takes out what is null, which says nothing and which an apply would own.
func bare(in map[string]any) {
	for key, v := range in {
		if m, is := v.(map[string]any); is && len(m) > 0 {
			bare(m)
		}
		if v == nil {
			delete(in, key)
		}
	}
}
