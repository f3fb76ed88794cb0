package objects

import (
	"cmp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Rivals reports whether another route brings all users of the place's host to
// somebody at the same gateway. One for some paths, or for requests with some
// header, goes before the place's own, and leaves it the others.
func (p Place) Rivals(o *unstructured.Unstructured) bool {
	hosts, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "hostnames")
	same := func(h string) bool { return strings.EqualFold(h, p.Host()) }
	return slices.ContainsFunc(hosts, same) && p.parented(o) && takesAll(o)
}

// parented reports whether a route is attached to the gateway of the place.
func (p Place) parented(o *unstructured.Unstructured) bool {
	g := p.Cluster.Gateway
	parents, _, _ := unstructured.NestedSlice(o.Object, "spec", "parentRefs")
	return slices.ContainsFunc(parents, func(entry any) bool {
		parent, _ := entry.(map[string]any)
		name, _, _ := unstructured.NestedString(parent, "name")
		namespace, _, _ := unstructured.NestedString(parent, "namespace")
		return name == g.Name && cmp.Or(namespace, o.GetNamespace()) == cmp.Or(g.Namespace, p.Namespace)
	})
}

// takesAll reports whether a rule of the route takes every request of its hosts.
func takesAll(o *unstructured.Unstructured) bool {
	rules, _, _ := unstructured.NestedSlice(o.Object, "spec", "rules")
	return slices.ContainsFunc(rules, func(entry any) bool {
		rule, _ := entry.(map[string]any)
		matches, _, _ := unstructured.NestedSlice(rule, "matches")
		return len(matches) == 0 || slices.ContainsFunc(matches, matchesAll)
	})
}

// matchesAll reports whether a match of a rule takes every request.
func matchesAll(entry any) bool {
	m, _ := entry.(map[string]any)
	for _, narrow := range []string{"headers", "queryParams", "method"} {
		if m[narrow] != nil {
			return false
		}
	}
	path, _, _ := unstructured.NestedMap(m, "path")
	kind, _, _ := unstructured.NestedString(path, "type")
	value, _, _ := unstructured.NestedString(path, "value")
	return cmp.Or(kind, "PathPrefix") == "PathPrefix" && cmp.Or(value, "/") == "/"
}
