package bundle

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// An autoscaler of the manifests is like their workload: each revision has one of
// its own, so that while two share the users, both follow their load.

// kedaMost is how many replicas a ScaledObject has at most that says nothing of it.
const kedaMost = 100

// Scaling is between which numbers of replicas the autoscaler of the manifests goes;
// nil where they have none.
func (b *Bundle) Scaling() *deploy.Autoscale {
	o := b.App.Autoscaler
	if o == nil {
		return nil
	}
	number := func(field string, otherwise int) int {
		n, found, err := unstructured.NestedInt64(o.Object, "spec", field)
		if !found || err != nil {
			return otherwise
		}
		return int(n)
	}
	if o.GetKind() == objects.KindScaledObject {
		return &deploy.Autoscale{Min: number("minReplicaCount", 0), Max: number("maxReplicaCount", kedaMost)}
	}
	least := number("minReplicas", 1)
	return &deploy.Autoscale{Min: least, Max: number("maxReplicas", least)}
}

// Autoscaler is the one of the manifests for one revision: it goes by the revision's
// Deployment, of which this is the UID and with which it ends, and not below floor,
// which is brought between its own bounds. Nil where the manifests have none.
func (b *Bundle) Autoscaler(p objects.Place, r deploy.Revision, floor int, deployment types.UID) (*unstructured.Unstructured, error) {
	if b.App.Autoscaler == nil {
		return nil, nil //nolint:nilnil // none is an answer
	}
	written, name := b.App.Autoscaler, p.Name(r.ID)
	o := &unstructured.Unstructured{Object: map[string]any{}}
	o.SetGroupVersionKind(written.GroupVersionKind())
	o.SetName(name)
	o.SetNamespace(p.Namespace)
	o.SetLabels(with(written.GetLabels(), p.Pods(r.ID)))
	annotations := with(written.GetAnnotations(), nil)
	delete(annotations, lastApplied)
	if len(annotations) > 0 {
		o.SetAnnotations(annotations)
	}
	spec, _, err := unstructured.NestedMap(written.Object, "spec")
	if err == nil {
		o.Object["spec"] = spec
		err = unstructured.SetNestedField(o.Object, name, "spec", "scaleTargetRef", "name")
	}
	if err == nil {
		err = unstructured.SetNestedField(o.Object, int64(b.Scaling().Within(floor)), "spec", objects.FloorOf(written.GetKind()))
	}
	if err != nil {
		return nil, deploy.Usage("kubectl explain hpa.spec says what there is", "%s: %w", title(written), err)
	}
	o.SetOwnerReferences(objects.OwnedBy(name, deployment))
	return o, nil
}
