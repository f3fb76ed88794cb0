package bundle

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Ordered reports whether the set has a StatefulSet.
func (b *Bundle) Ordered() bool {
	return slices.ContainsFunc(b.Set.Objects, func(o *unstructured.Unstructured) bool { return isApps(o, "StatefulSet") })
}

// byHand says which workloads nobody waits for.
func (b *Bundle) byHand() []string {
	var notes []string
	for _, o := range b.Set.Objects {
		if !isApps(o, "StatefulSet") && !isApps(o, "DaemonSet") {
			continue
		}
		if by, _, _ := unstructured.NestedString(o.Object, "spec", "updateStrategy", "type"); by == "OnDelete" {
			notes = append(notes, title(o)+" is not waited for: its pods are replaced when you delete them (OnDelete)")
		}
	}
	return notes
}

func isApps(o *unstructured.Unstructured, kind string) bool {
	return o.GetKind() == kind && o.GroupVersionKind().Group == "apps"
}
