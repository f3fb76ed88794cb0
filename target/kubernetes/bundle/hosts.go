package bundle

import (
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// ownHosts refuses manifests that bring users to a preview by a name which is not the
// preview's own: it would take them from another environment, or from another preview.
func (b *Bundle) ownHosts(p objects.Place) error {
	if !p.Preview() {
		return nil
	}
	for _, o := range b.Set.Objects {
		if o == b.App.Route && p.HostWritten() {
			continue // that one is put in place of the route's
		}
		names, brings := hostsOf(o)
		if !brings {
			continue
		}
		if len(names) == 0 {
			return deploy.Usage(hostHint, "%s brings in users of every host name, and %s is a preview", title(o), p.Environment)
		}
		for _, name := range names {
			if !strings.Contains(name, p.Environment) {
				return deploy.Usage(hostHint, "%s brings in users of %s, a name that is not of the preview %s alone", title(o), name, p.Environment)
			}
		}
	}
	return nil
}

const hostHint = `give each preview a name of its own: target: {kubernetes: {gateway: {name: …, host: "{environment}.example.com"}}}, ` +
	`or in a chart set: ["host={environment}.example.com"]`

// hostsOf are the host names by which an object brings users in; brings is false for
// one that brings in nobody.
func hostsOf(o *unstructured.Unstructured) (names []string, brings bool) {
	switch o.GetKind() {
	case objects.RouteKind, "GRPCRoute", "TLSRoute":
		names, _, _ = unstructured.NestedStringSlice(o.Object, "spec", "hostnames")
		return names, true
	case "Ingress":
		rules, _, _ := unstructured.NestedSlice(o.Object, "spec", "rules")
		for _, entry := range rules {
			rule, _ := entry.(map[string]any)
			name, _ := rule["host"].(string)
			names = append(names, name)
		}
		return names, true
	}
	return nil, false
}

// rehost gives the route of a preview the host name that slipway.yaml has for it.
func rehost(route *unstructured.Unstructured, p objects.Place) error {
	if !p.Preview() || !p.HostWritten() {
		return nil
	}
	return unstructured.SetNestedStringSlice(route.Object, []string{p.Host()}, "spec", "hostnames")
}
