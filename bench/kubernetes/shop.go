package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"time"

	"github.com/slipway-ci/slipway/internal/workshop"
)

// perSecond is how many requests users send wherever there are users.
const perSecond = 200

// versions of the app; both are good.
var versions = []string{"1.0.0", "1.1.0"}

// openShop builds slipway and the app when they are needed first. It is false
// where there is nothing to release with.
func (b *bench) openShop(ctx context.Context) (bool, error) {
	b.registry, b.gateway = os.Getenv("REGISTRY"), os.Getenv("GATEWAY")
	if b.registry == "" || b.gateway == "" {
		return false, nil
	}
	if b.shop != nil {
		return true, nil
	}
	say("building slipway, and a small web app in %d versions", len(versions))
	shop, err := workshop.Open(ctx, os.Environ())
	if err != nil {
		return false, err
	}
	b.shop = shop
	door, err := b.doorway(ctx)
	if err != nil {
		return false, err
	}
	shop.Set("HTTP_PROXY=" + door)
	var builds []workshop.Build
	for _, v := range versions {
		builds = append(builds, workshop.Build{Version: v})
	}
	return true, shop.Build(ctx, builds...)
}

// doorway is a proxy on loopback that leads to the gateway whatever host a
// request names: the names of the benchmark's hosts are in no DNS.
func (b *bench) doorway(ctx context.Context) (string, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Host, r.Out.Host = b.gateway, r.In.Host },
	}}
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			say("the doorway: %v", err)
		}
	}()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return "http://" + l.Addr().String(), nil
}

// configure writes a slipway.yaml with a strategy, as YAML. The image is this
// process's own: a registry that is kept has the versions of earlier builds.
func (b *bench) configure(namespace, strategy string, replicas int) error {
	return b.shop.Configure(fmt.Sprintf(`app: hello
image: %s
build: {files: [{from: hello, to: /hello}], entrypoint: [/hello]}
service: {port: 8080, health: /healthz, replicas: %d, env: {HOST: 0.0.0.0}}
judge: {on-unknown: promote}
environments:
  production:
    target: {kubernetes: {namespace: %s, %sgateway: {name: gateway, namespace: default, host: %s}}}
    strategy: {%s}
`, b.repository(), replicas, namespace, either(b, "", "pre-stop: 1s, "), host(namespace), strategy))
}

func host(namespace string) string { return namespace + ".localhost" }

// way leads to the gateway whatever host a request names, as users have it.
func (b *bench) way() *http.Transport {
	var d net.Dialer
	return &http.Transport{MaxIdleConnsPerHost: perSecond, DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
		return d.DialContext(ctx, network, b.gateway)
	}}
}

// users send requests to what is in a namespace.
func (b *bench) users(namespace string) *workshop.Users {
	return workshop.SendBy(b.way(), "http://"+host(namespace)+"/", perSecond)
}

// release brings a version to users, which has to go well.
func (b *bench) release(ctx context.Context, version string) (workshop.Result, error) {
	if err := b.shop.Use(version); err != nil {
		return workshop.Result{}, err
	}
	r, err := b.shop.Deploy(ctx, nil, "release", "--version", version)
	if err == nil {
		err = r.Exits(0)
	}
	return r, err
}

// either is what holds for a long run, or for a short one.
func either[T any](b *bench, long, short T) T {
	if b.Short {
		return short
	}
	return long
}
