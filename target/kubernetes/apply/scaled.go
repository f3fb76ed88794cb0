package apply

import (
	"context"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// replicas is the field that autoscalers write, by the subresource scale.
const (
	replicas = ".spec.replicas"
	scale    = "scale"
)

// autoscaled reports whether a field is the number of replicas that an autoscaler has
// chosen: the HorizontalPodAutoscaler's controller, or KEDA's, which begins at none. What
// a person has scaled is another manager's.
func autoscaled(field, manager, subresource string) bool {
	return field == replicas && subresource == scale && (strings.HasPrefix(manager, "kube-") || strings.HasPrefix(manager, "keda"))
}

// asScaled writes the number of replicas that an autoscaler has chosen into what is
// applied, if that is among what it was refused for, so that it stays. Without the
// field it would stay, too, but only while nobody else of ours owns it: a number that
// nobody owns becomes 1. It reports whether the object is another one now.
func (r *run) asScaled(ctx context.Context, o *unstructured.Unstructured, refused error) (bool, error) {
	causes := slices.DeleteFunc(conflictCauses(refused), func(c metav1.StatusCause) bool { return c.Field != replicas })
	if !r.options.Returning && !r.options.repairs || len(causes) == 0 {
		return false, nil
	}
	live, err := r.client.live(ctx, r.places.at(o), ReferenceOf(o), r.options)
	if err != nil || live == nil {
		return false, err
	}
	n, has, err := unstructured.NestedInt64(live.Object, "spec", "replicas")
	if err != nil || !has || !slices.ContainsFunc(holders(ReferenceOf(o), live, causes), func(h Held) bool {
		return autoscaled(h.Field, h.Manager, h.Subresource)
	}) {
		return false, err
	}
	return true, unstructured.SetNestedField(o.Object, n, "spec", "replicas")
}
