package kubernetes_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes"
	"github.com/slipway-ci/slipway/target/targettest"
)

// Testers meet a candidate that has no users yet, and from then on until it is
// live or gone; nobody else does.
func TestTesters(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	place := l.place()
	place.Gateway.Testers = &deploy.Testers{Header: "X-Canary", Value: "always"}
	env := deploy.Environment{
		Name:    "production",
		Target:  deploy.TargetSpec{Kind: "kubernetes", Cluster: place},
		Service: deploy.Service{Port: 8080, Health: "/healthz", Replicas: 1, StartTimeout: 5 * time.Minute, Drain: time.Second},
	}
	target := l.target(t, "shop", env)
	made := func(version string) deploy.Revision {
		image := targettest.Push(t, targettest.Image(t, "-name", version), l.repository(), version)
		return deploy.NewRevision("shop", env, image, nil)
	}
	a, b := made("1.0.0"), made("1.1.0")
	act := func(what string, f func(context.Context) error) {
		t.Helper()
		if err := f(t.Context()); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	act("start", func(ctx context.Context) error { return target.Start(ctx, a) })
	l.meets(t, target, "always", "1.0.0")
	act("switch", func(ctx context.Context) error { return target.Switch(ctx, a) })
	act("start", func(ctx context.Context) error { return target.Start(ctx, b) })
	for range 20 {
		l.meets(t, target, "always", "1.1.0")
		l.meets(t, target, "never", "1.0.0")
		l.meets(t, target, "", "1.0.0")
	}
	act("split", func(ctx context.Context) error { return target.Split(ctx, b, 1) })
	l.meets(t, target, "always", "1.1.0")
	act("go back", func(ctx context.Context) error { return target.Split(ctx, b, 0) })
	l.meets(t, target, "always", "1.1.0")
	act("stop", func(ctx context.Context) error { return target.Stop(ctx, b) })
	l.meets(t, target, "always", "1.0.0")
}

// meets checks which version answers at the stable URL, with a header.
func (l *lab) meets(t *testing.T, target *kubernetes.Target, header, version string) {
	t.Helper()
	s, err := target.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	if header != "" {
		req.Header.Set("X-Canary", header)
	}
	resp, err := l.users.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != version {
		t.Errorf("with X-Canary: %q answers %s %q, %v; want %s", header, resp.Status, body, err, version)
	}
}
