package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/workshop"
	"github.com/slipway-ci/slipway/target/kubernetes"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
)

// mostBack is what reverts of traffic may take in 99 of 100 cases.
const mostBack = 500 * time.Millisecond

// target is an environment as the engine has it, in a namespace that it makes.
func (b *bench) target(ctx context.Context, namespace string) (*kubernetes.Target, deploy.Environment, error) {
	var env deploy.Environment
	if err := b.namespace(ctx, namespace); err != nil {
		return nil, env, err
	}
	open, err := access.Open(ctx, access.Options{Files: access.Files(os.Getenv("KUBECONFIG"))})
	if err != nil {
		return nil, env, err
	}
	c, err := kubernetes.New(ctx, open, kubernetes.Options{Users: b.way()})
	if err != nil {
		return nil, env, err
	}
	env = deploy.Environment{
		Name: "production",
		Service: deploy.Service{
			Port: 8080, Health: "/healthz", Replicas: 1, StartTimeout: 3 * time.Minute, Drain: 5 * time.Second,
			Env: map[string]string{"HOST": "0.0.0.0"},
		},
		Target: deploy.TargetSpec{Kind: "kubernetes", Cluster: deploy.Cluster{
			Namespace: namespace, PreStop: time.Second,
			Gateway: &deploy.Gateway{Name: "gateway", Namespace: "default", Host: host(namespace)},
		}},
	}
	return c.Target("hello", env), env, nil
}

// image pushes a version, and is where it lies.
func (b *bench) image(ctx context.Context, namespace, version string) (deploy.Image, error) {
	if err := b.configure(namespace, "rolling: {}", 1); err != nil {
		return deploy.Image{}, err
	}
	if err := b.shop.Use(version); err != nil {
		return deploy.Image{}, err
	}
	r, err := b.shop.Deploy(ctx, nil, "build", "--push", "--version", version)
	if err == nil {
		err = r.Exits(0)
	}
	if err != nil {
		return deploy.Image{}, err
	}
	return deploy.Image{Repository: r.Report.Image.Repository, Digest: r.Report.Image.Digest, Version: version}, nil
}

// reverting takes users back from a version that has all of them, by Split to 0
// and by Switch in turns, while users come through the gateway. It measures from
// the decision, which is the call, to the last request that the version still
// got: those that are sent after it are all answered by the old version.
func (b *bench) reverting(ctx context.Context) (_ []row, err error) {
	const ns = "bench-revert"
	defer func() { err = errors.Join(err, b.forget(context.WithoutCancel(ctx), ns)) }()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t, former, latter, err := b.bothStarted(ctx, ns)
	if err != nil {
		return nil, err
	}
	users := b.users(ns)
	defer users.End()
	taken, called, err := b.forthAndBack(ctx, t, former, latter, users)
	if err != nil {
		return nil, err
	}
	p99 := workshop.Quantile(taken, 0.99)
	b.add(figure{
		name:     "revert of traffic, from the decision to the first request on the old version alone",
		measured: fmt.Sprintf("p50 %s, p99 %s of %d", workshop.Quantile(taken, 0.5), p99, len(taken)),
		goal:     fmt.Sprintf("p99 ≤ %s", mostBack), missed: p99 > mostBack,
	})
	b.add(figure{
		name:     "revert of traffic, until the gateway itself says that it is in force",
		measured: fmt.Sprintf("p50 %s, p99 %s of %d", workshop.Quantile(called, 0.5), workshop.Quantile(called, 0.99), len(called)),
	})
	c := users.End()
	b.none(fmt.Sprintf("requests lost at %d a second, while traffic goes forth and back", perSecond), c.Failed(), "%d of %d %s", c.Failed(), c.Sent, c.FirstLost)
	return nil, nil
}

// bothStarted is a target at which the first version is live, and the second one
// is started beside it.
func (b *bench) bothStarted(ctx context.Context, ns string) (t *kubernetes.Target, former, latter deploy.Revision, err error) {
	t, env, err := b.target(ctx, ns)
	if err != nil {
		return nil, former, latter, err
	}
	for i, r := range []*deploy.Revision{&former, &latter} {
		image, err := b.image(ctx, ns, versions[i])
		if err != nil {
			return nil, former, latter, err
		}
		*r = deploy.NewRevision("hello", env, image, nil)
		if err := t.Start(ctx, *r); err != nil {
			return nil, former, latter, err
		}
		if i > 0 {
			continue
		}
		if err := t.Switch(ctx, *r); err != nil {
			return nil, former, latter, err
		}
	}
	return t, former, latter, nil
}

// forthAndBack moves all users to the later version and back, again and again. It
// gives how long each way back took for users, and how long the call.
func (b *bench) forthAndBack(ctx context.Context, t *kubernetes.Target, former, latter deploy.Revision, users *workshop.Users) (taken, called []time.Duration, err error) {
	kinds := []struct {
		name        string
		forth, back func() error
	}{
		{"split", func() error { return t.Split(ctx, latter, 100) }, func() error { return t.Split(ctx, latter, 0) }},
		{"switch", func() error { return t.Switch(ctx, latter) }, func() error { return t.Switch(ctx, former) }},
	}
	for i := range either(b, 100, 20) {
		k := kinds[i%len(kinds)]
		if err := k.forth(); err != nil {
			return nil, nil, fmt.Errorf("%s forth: %w", k.name, err)
		}
		time.Sleep(100 * time.Millisecond) // users are on it
		decided := time.Now()
		if err := k.back(); err != nil {
			return nil, nil, fmt.Errorf("%s back: %w", k.name, err)
		}
		called = append(called, time.Since(decided).Round(time.Millisecond))
		time.Sleep(300 * time.Millisecond) // what was sent before is answered
		last, reached := users.Count().Last[latter.Image.Version]
		if !reached {
			return nil, nil, fmt.Errorf("no request has reached %s", latter)
		}
		// The next request is the first that the old version alone answers.
		taken = append(taken, (max(0, last.Sub(decided)) + time.Second/perSecond).Round(time.Millisecond))
	}
	return taken, called, nil
}
