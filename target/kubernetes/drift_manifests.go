package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/apply"
	"github.com/slipway-ci/slipway/target/kubernetes/bundle"
	"github.com/slipway-ci/slipway/target/kubernetes/drift"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// ofBundle are the objects of a revision of a user's manifests that are its own.
func ofBundle(p objects.Place, b *bundle.Bundle, r deploy.Revision) (*appsv1.Deployment, []any, error) {
	made, err := b.Deployment(p, r, r.Config.Replicas)
	if err != nil {
		return nil, nil, err
	}
	service, err := b.Service(p, r)
	if err != nil {
		return nil, nil, err
	}
	all := []any{service}
	copies, err := b.Copies(p)
	for _, c := range copies {
		all = append(all, c.Object)
	}
	return made, all, err
}

// selector is the field of a Service that says to whom it leads.
const selector = ".spec.selector"

// shared are the objects that all revisions share, as the manifests have them that
// were brought in last; nothing where Slipway makes all that there is.
func (t *Target) shared(ctx context.Context, l drift.Left) (drift.Family, error) {
	var f drift.Family
	b, err := t.bundle(ctx, l.Brought)
	if err != nil || b == nil {
		return f, err
	}
	var live *bundle.Bundle
	if l.Live.ID != l.Brought.ID {
		if live, err = t.bundle(ctx, l.Live); err != nil {
			return f, err
		}
	}
	f.Options = t.applying()
	// Whom a Service leads to is not in what is applied: see astray.
	f.Options.Ignore = func(d apply.Difference) bool {
		return d.Object.Kind == "Service" && d.Object.Name == t.place.Front.Service && strings.HasPrefix(d.Field, selector)
	}
	f.Expected, err = b.Applied(t.place, l.Brought, l.Traffic, live)
	return f, err
}

// pointing is the traffic by which a Service leads to somebody: behind a gateway to
// one revision alone.
func pointing(p objects.Place, traffic objects.Traffic) objects.Traffic {
	if p.Cluster.Gateway != nil {
		return objects.Traffic{Live: traffic.Pointed()}
	}
	return traffic
}

// astray is how a user's own Service leads to others than it should. It is moved by
// compare-and-swap and not applied, so that a dry run knows nothing of it. One that
// is not there is told by what is applied.
func (t *Target) astray(ctx context.Context, l drift.Left) (*deploy.Difference, error) {
	if t.place.Front.Service == "" {
		return nil, nil // none is an answer
	}
	s, err := t.kube.CoreV1().Services(t.place.Namespace).Get(ctx, t.place.Front.Service, metav1.GetOptions{})
	if absent(err) {
		return nil, nil
	}
	want := t.place.Leads(pointing(t.place, l.Traffic))
	if err != nil || maps.Equal(s.Spec.Selector, want) {
		return nil, err
	}
	d := deploy.Difference{
		Object: fmt.Sprintf("Service %s/%s", s.Namespace, s.Name), Change: deploy.DriftChanged, Field: selector,
		Applied: textOf(want), Live: textOf(s.Spec.Selector),
	}
	d = drift.By(d, s.ManagedFields, func(e metav1.ManagedFieldsEntry) bool {
		return e.Manager != objects.Manager && e.FieldsV1 != nil && strings.Contains(e.FieldsV1.GetRawString(), `"f:selector"`)
	})
	return &d, nil
}

func textOf(labels map[string]string) string {
	text, err := json.Marshal(labels)
	if err != nil {
		return fmt.Sprint(labels) // no map of texts comes here
	}
	return string(text)
}

// leadBack has a user's own Service lead where it should, where it leads elsewhere or
// was made anew.
func (t *Target) leadBack(ctx context.Context, c drift.Comparison) error {
	if t.place.Front.Service == "" {
		return nil
	}
	want := pointing(t.place, c.Left.Traffic)
	_, err := entry{t}.change(ctx, func(objects.Traffic) (objects.Traffic, error) { return want, nil })
	return err
}
