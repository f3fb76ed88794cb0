package objects

import (
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
)

// A route follows the gateway and the host that slipway.yaml names; parents and
// hosts that somebody has added stay.
func TestRouteFollowsGateway(t *testing.T) {
	p := Place{
		App: "shop", Environment: "production", Namespace: "shop",
		Cluster: deploy.Cluster{Gateway: &deploy.Gateway{Name: "old", Namespace: "gateways", Host: "old.example.com"}},
	}
	route, err := p.Route(Traffic{Live: "aaaaaaaaaaaa"})
	if err != nil {
		t.Fatal(err)
	}
	parents, _, _ := unstructured.NestedSlice(route.Object, "spec", "parentRefs")
	theirs := map[string]any{"name": "theirs"}
	if err := unstructured.SetNestedSlice(route.Object, append(parents, theirs), "spec", "parentRefs"); err != nil {
		t.Fatal(err)
	}
	p.Cluster.Gateway = &deploy.Gateway{Name: "new", Host: "new.example.com"}
	for range 2 { // the second time there is nothing left to do
		if err := p.Redirect(route, Traffic{Live: "aaaaaaaaaaaa"}); err != nil {
			t.Fatal(err)
		}
		parents, _, _ = unstructured.NestedSlice(route.Object, "spec", "parentRefs")
		hosts, _, _ := unstructured.NestedStringSlice(route.Object, "spec", "hostnames")
		if len(parents) != 2 || parents[0].(map[string]any)["name"] != "new" || parents[1].(map[string]any)["name"] != "theirs" ||
			len(hosts) != 1 || hosts[0] != "new.example.com" {
			t.Fatalf("got the parents %v and the hosts %v", parents, hosts)
		}
	}
}
