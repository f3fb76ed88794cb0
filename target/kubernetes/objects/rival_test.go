package objects

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
)

// A rival is a route that would take all requests of the host at the same gateway.
func TestRivals(t *testing.T) {
	p := Place{
		App: "shop", Environment: "production", Namespace: "shop",
		Cluster: deploy.Cluster{Gateway: &deploy.Gateway{Name: "public", Host: "{environment}.example.com"}},
	}
	here := map[string]any{"name": "public"}
	path := func(kind, value string) map[string]any {
		return map[string]any{"path": map[string]any{"type": kind, "value": value}}
	}
	withHeader := path("PathPrefix", "/")
	withHeader["headers"] = []any{map[string]any{"name": "X-Canary", "value": "always"}}
	for name, c := range map[string]struct {
		host      string
		parent    map[string]any
		namespace string
		matches   []any
		want      bool
	}{
		"everything":                 {"production.example.com", here, "shop", []any{path("PathPrefix", "/")}, true},
		"written without a match":    {"production.example.com", here, "shop", nil, true},
		"one of several matches":     {"production.example.com", here, "shop", []any{path("Exact", "/a"), path("PathPrefix", "/")}, true},
		"written in capitals":        {"Production.Example.com", here, "shop", nil, true},
		"from another namespace":     {"production.example.com", map[string]any{"name": "public", "namespace": "shop"}, "blog", nil, true},
		"a gateway of its namespace": {"production.example.com", here, "blog", nil, false},
		"another gateway":            {"production.example.com", map[string]any{"name": "private"}, "shop", nil, false},
		"another host":               {"staging.example.com", here, "shop", nil, false},
		"all hosts, which goes last": {"*.example.com", here, "shop", nil, false},
		"a path":                     {"production.example.com", here, "shop", []any{path("PathPrefix", "/blog")}, false},
		"the first page alone":       {"production.example.com", here, "shop", []any{path("Exact", "/")}, false},
		"testers":                    {"production.example.com", here, "shop", []any{withHeader}, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{
				"hostnames": []any{c.host}, "parentRefs": []any{c.parent}, "rules": []any{map[string]any{"matches": c.matches}},
			}}}
			o.SetNamespace(c.namespace)
			if got := p.Rivals(o); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}
