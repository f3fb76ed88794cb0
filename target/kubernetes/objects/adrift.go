package objects

import (
	"reflect"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Adrift reports whether a route sends users otherwise than is written down in it,
// by all of its rules: somebody else has changed its weights. A rule that somebody
// has added beside ours is theirs.
func (p Place) Adrift(route *unstructured.Unstructured, t Traffic) bool {
	if t.Weights().Nobody() {
		return false
	}
	rules, _, _ := unstructured.NestedSlice(route.Object, "spec", "rules")
	leads := false
	for _, entry := range unlooked(rules) {
		rule, _ := entry.(map[string]any)
		refs, own := p.replace(rule["backendRefs"], t)
		if own && reflect.DeepEqual(any(refs), rule["backendRefs"]) {
			return false
		}
		leads = leads || own
	}
	return leads
}

// Rival is who wrote the specification of an object last, of those that are not
// Slipway; empty where nobody is known.
func Rival(o metav1.Object) string {
	name, last := "", metav1.Time{}
	for _, m := range o.GetManagedFields() {
		if m.Manager == Manager || m.Subresource != "" || m.Time == nil || m.Time.Before(&last) {
			continue
		}
		name, last = m.Manager, *m.Time
	}
	return name
}
