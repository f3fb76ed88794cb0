package kubernetes

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
)

// unclaimed refuses a Service or a route of somebody else that has the name which
// Slipway's own would get. Met when users are moved, it would be in the way of the
// way back, too. Those of the user's manifests are Slipway's to lead.
func (t *Target) unclaimed(ctx context.Context) error {
	if t.place.Front.Service == "" {
		s, err := t.kube.CoreV1().Services(t.place.Namespace).Get(ctx, t.place.EntryName(), metav1.GetOptions{})
		if err = t.claimed("Service", s, err); err != nil {
			return t.ended(ctx, err, "look for the Service of %s", t)
		}
	}
	if t.place.Cluster.Gateway == nil || t.place.Front.Route != "" {
		return nil
	}
	o, err := route{t}.api().Get(ctx, t.place.RouteName(), metav1.GetOptions{})
	return t.ended(ctx, t.claimed("HTTPRoute", o, err), "look for the HTTPRoute of %s", t)
}

// claimed reads what Get has answered.
func (t *Target) claimed(kind string, o metav1.Object, err error) error {
	if err != nil {
		return unless(absent, err)
	}
	if t.mine(o) == nil {
		return nil
	}
	return deploy.Usage("give it another name or remove it, or use another namespace",
		"the %s %s is in the namespace %s already and is not Slipway's, and users of %s in %s would be led by one of that name",
		kind, o.GetName(), o.GetNamespace(), t.place.App, t.place.Environment)
}
