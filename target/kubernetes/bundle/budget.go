package bundle

import (
	"fmt"

	policy "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

// joint says of each PodDisruptionBudget of the manifests that holds so many of the
// app's pods up that it counts those of all versions together.
func (b *Bundle) joint() []string {
	pod, err := b.pod()
	if err != nil {
		return nil // which is told elsewhere
	}
	var notes []string
	for _, o := range b.Set.Objects {
		if holdsUp(o, pod.Labels) {
			notes = append(notes, fmt.Sprintf("%s counts the pods of both versions together while two run, so that a drain may take all those of one of them: write maxUnavailable in place of minAvailable", title(o)))
		}
	}
	return notes
}

// holdsUp reports whether an object is a budget with minAvailable that pods with
// these labels are of.
func holdsUp(o *unstructured.Unstructured, set map[string]string) bool {
	if o.GetKind() != "PodDisruptionBudget" || o.GroupVersionKind().Group != policy.GroupName {
		return false
	}
	var budget policy.PodDisruptionBudget
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &budget); err != nil || budget.Spec.MinAvailable == nil {
		return false
	}
	selects, err := metav1.LabelSelectorAsSelector(budget.Spec.Selector)
	return err == nil && selects.Matches(labels.Set(set))
}
