package objects

import (
	"cmp"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
)

// parentOf is a gateway as a route names it.
func parentOf(g deploy.Gateway) map[string]any {
	parent := map[string]any{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": g.Name}
	if g.Namespace != "" {
		parent["namespace"] = g.Namespace
	}
	return parent
}

// gatewayName is the gateway of the place as "namespace/name".
func (p Place) gatewayName() string {
	g := p.Cluster.Gateway
	return cmp.Or(g.Namespace, p.Namespace) + "/" + g.Name
}

// attach follows a gateway that was changed in slipway.yaml; other parents that
// somebody has added stay. A route of a user's own is attached by their manifests.
func (p Place) attach(route *unstructured.Unstructured) {
	annotations := route.GetAnnotations()
	before := annotations[annotationGateway]
	if p.Front.Route != "" || before == "" || before == p.gatewayName() {
		return
	}
	kept := []any{parentOf(*p.Cluster.Gateway)}
	parents, _, _ := unstructured.NestedSlice(route.Object, "spec", "parentRefs")
	for _, entry := range parents {
		parent, _ := entry.(map[string]any)
		name, _, _ := unstructured.NestedString(parent, "name")
		namespace, _, _ := unstructured.NestedString(parent, "namespace")
		named := cmp.Or(namespace, p.Namespace) + "/" + name
		if named != before && named != p.gatewayName() {
			kept = append(kept, entry)
		}
	}
	if err := unstructured.SetNestedSlice(route.Object, kept, "spec", "parentRefs"); err != nil {
		return
	}
	annotations[annotationGateway] = p.gatewayName()
	route.SetAnnotations(annotations)
}
