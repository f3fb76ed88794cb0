package kubernetes

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// A listener is told by what it keeps a route out; one that may let it in says
// nothing.
func TestShutListeners(t *testing.T) {
	p := objects.Place{
		App: "shop", Environment: "production", Namespace: "shop",
		Cluster: deploy.Cluster{Gateway: &deploy.Gateway{Name: "public", Namespace: "gateways", Host: "shop.example.com"}},
	}
	listener := func(protocol, hostname, from string) map[string]any {
		l := map[string]any{"name": "web", "protocol": protocol}
		if hostname != "" {
			l["hostname"] = hostname
		}
		if from != "" {
			l["allowedRoutes"] = map[string]any{"namespaces": map[string]any{"from": from}}
		}
		return l
	}
	for name, c := range map[string]struct {
		listeners []any
		says      string
	}{
		"all":                       {[]any{listener("HTTP", "", "All")}, ""},
		"selected":                  {[]any{listener("HTTPS", "", "Selector")}, ""},
		"the host":                  {[]any{listener("HTTP", "shop.example.com", "All")}, ""},
		"hosts like it":             {[]any{listener("HTTP", "*.Example.com", "All")}, ""},
		"one of two":                {[]any{listener("TLS", "", "All"), listener("HTTP", "", "All")}, ""},
		"none":                      {nil, "it has no listener"},
		"its own namespace":         {[]any{listener("HTTP", "", "")}, "the listener web takes routes of the namespace gateways alone, and not of shop"},
		"its own namespace, said":   {[]any{listener("HTTP", "", "Same")}, "and not of shop"},
		"no routes":                 {[]any{listener("HTTP", "", "None")}, "takes no routes"},
		"another host":              {[]any{listener("HTTP", "blog.example.com", "All")}, "the listener web is for blog.example.com"},
		"hosts below":               {[]any{listener("HTTP", "*.shop.example.com", "All")}, "is for *.shop.example.com"},
		"another protocol":          {[]any{listener("TLS", "", "All")}, "is for TLS"},
		"each for a reason its own": {[]any{listener("TCP", "", "All"), listener("HTTP", "", "None")}, "the listener web is for TCP; the listener web takes no routes"},
	} {
		t.Run(name, func(t *testing.T) {
			g := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"listeners": c.listeners}}}
			g.SetNamespace("gateways")
			got := strings.Join(shut(g, p), "; ")
			if c.says == "" && got != "" || !strings.Contains(got, c.says) {
				t.Errorf("got %q, want %q", got, c.says)
			}
		})
	}
}

func TestOverlapOfHosts(t *testing.T) {
	for _, c := range []struct {
		listener, host string
		want           bool
	}{
		{"", "a.example.com", true},
		{"*.example.com", "*.example.com", true},
		{"a.example.com", "*.example.com", true},
		{"example.com", "*.example.com", false},
		{"*.example.com", ".example.com", false},
		{"a.example.com", "b.example.com", false},
	} {
		if got := overlap(c.listener, c.host); got != c.want {
			t.Errorf("%q and %q: got %v", c.listener, c.host, got)
		}
	}
}
