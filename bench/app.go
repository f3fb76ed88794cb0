package main

import (
	"context"
	"fmt"

	"github.com/slipway-ci/slipway/internal/workshop"
)

// bad is the version of which a tenth of the requests fails.
const bad = "1.2.0"

var builds = []workshop.Build{{Version: "1.0.0"}, {Version: "1.1.0"}, {Version: bad, Fails: 10}}

// perSecond is how many requests users send wherever there are users.
const perSecond = 500

// app is the beginning of every slipway.yaml here.
const app = `app: hello
build:
  files: [{from: hello, to: /hello}]
  entrypoint: [/hello]
service: {health: /healthz, replicas: %d}
checks:
  - {name: home, get: /, expect: 'status == 200 && body.contains("hello")'}
# Versions come before users do, and some steps are shorter than what brings one.
judge: {on-unknown: promote}
environments:
`

// production configures that environment alone, with a strategy as YAML.
func (b *bench) production(replicas int, strategy string) error {
	return b.Configure(fmt.Sprintf(app+"  production: {target: sandbox, strategy: {%s}}\n", replicas, strategy))
}

// quick is a strategy for where the way does not matter.
const quick = "blue-green: {keep: 10ms}"

// release brings a version to users.
func (b *bench) release(ctx context.Context, version string) error {
	if err := b.Use(version); err != nil {
		return err
	}
	_, err := b.deploy(ctx, 0, "release", "--version", version)
	return err
}

// deploy runs a command that has to end with an exit code.
func (b *bench) deploy(ctx context.Context, code int, args ...string) (workshop.Result, error) {
	r, err := b.Deploy(ctx, nil, args...)
	if err == nil {
		err = r.Exits(code)
	}
	return r, err
}

// live is the version in production, empty where there is none, and its URL.
func (b *bench) live(ctx context.Context) (version, url string, err error) {
	var status struct {
		Environments []struct {
			URL  string
			Live struct{ Version string }
		}
	}
	if err := b.Query(ctx, &status, "status", "--environment", "production", "--json"); err != nil {
		return "", "", err
	}
	if len(status.Environments) != 1 {
		return "", "", fmt.Errorf("slipway status shows %d environments, not 1", len(status.Environments))
	}
	e := status.Environments[0]
	return e.Live.Version, e.URL, nil
}
