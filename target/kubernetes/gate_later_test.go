package kubernetes_test

import (
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/targettest"
)

// An environment gets a gateway after its first version: that one stays live, also by
// the gateway, until the next has the users. Without the gateway again, its users
// would be led to a version that is gone, and so it is refused.
func TestGatewayThatComesLater(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	with, without := l.place(), l.place()
	without.Gateway = nil
	env := func(c deploy.Cluster) deploy.Environment {
		return deploy.Environment{
			Name: "production", Repository: l.repository(), Target: deploy.TargetSpec{Kind: "kubernetes", Cluster: c},
			Service: deploy.Service{Port: 8080, Health: "/healthz", Replicas: 1, StartTimeout: 2 * time.Minute, Drain: time.Second},
		}
	}
	image := targettest.Push(t, targettest.Image(t, "-name", "one"), l.repository(), "one")
	first, second := deploy.NewRevision("shop", env(without), image, nil), deploy.NewRevision("shop", env(with), image, nil)
	if first.ID == second.ID {
		t.Fatal("with a gateway it is the same revision, of which nobody would make the route")
	}

	before := l.target(t, "shop", env(without))
	must(t, before.Start(t.Context(), first))
	must(t, before.Switch(t.Context(), first))

	after := l.target(t, "shop", env(with))
	live := func(want deploy.Revision) {
		t.Helper()
		state, err := after.State(t.Context())
		must(t, err)
		if state.Live == nil || state.Live.ID != want.ID {
			t.Fatalf("live is %v, not %s", state.Live, want)
		}
	}
	live(first)
	must(t, after.Permitted(t.Context()))
	must(t, after.Start(t.Context(), second))
	live(first)
	must(t, after.Split(t.Context(), second, 50))
	live(first)
	must(t, after.Switch(t.Context(), second))
	must(t, after.Stop(t.Context(), first))
	live(second)

	refusal(t, l, without, "leads users of production."+l.namespace+".localhost here, and slipway.yaml names no gateway any more", "kubectl delete httproute")
}
