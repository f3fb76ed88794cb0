package bundle

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// misnamed refuses a route that leads to the app's Service by the name that it had
// before a Kustomization gave it a prefix or suffix: kustomize does not know that
// routes name Services, and users would be led to nobody.
func (b *Bundle) misnamed() error {
	if b.App.Route != nil || b.App.Service == nil {
		return nil
	}
	name := b.App.Service.GetName()
	for _, o := range b.Set.Objects {
		if o.GetKind() != objects.RouteKind || o.GetNamespace() != b.App.Service.GetNamespace() {
			continue
		}
		for _, to := range backendsOf(o) {
			if (strings.HasPrefix(name, to) || strings.HasSuffix(name, to)) && !b.hasService(to) {
				return deploy.Usage("kustomize does not know that routes name Services: add a file with nameReference: "+
					"[{kind: Service, fieldSpecs: [{kind: HTTPRoute, path: spec/rules/backendRefs/name}]}] to configurations of the kustomization",
					"%s leads to the Service %s, which is called %s in the manifests", title(o), to, name)
			}
		}
	}
	return nil
}

// backendsOf are the names that the rules of a route lead to.
func backendsOf(route *unstructured.Unstructured) []string {
	var names []string
	rules, _, _ := unstructured.NestedSlice(route.Object, "spec", "rules")
	for _, rule := range rules {
		fields, _ := rule.(map[string]any)
		refs, _, _ := unstructured.NestedSlice(fields, "backendRefs")
		for _, ref := range refs {
			to, _ := ref.(map[string]any)
			if name, _ := to["name"].(string); name != "" {
				names = append(names, name)
			}
		}
	}
	return names
}

func (b *Bundle) hasService(name string) bool {
	for _, o := range b.Set.Objects {
		if o.GetKind() == "Service" && o.GetName() == name {
			return true
		}
	}
	return false
}
