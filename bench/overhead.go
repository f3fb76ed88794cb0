package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/internal/workshop"
)

// route is a way to the app, with how long answers took on it.
type route struct {
	name, url string
	times     []time.Duration
}

// overhead compares three ways to the same app in the same run, in turns:
// straight to it, through the plainest proxy that Go has, and through the
// sandbox.
func (b *bench) overhead(ctx context.Context) error {
	if err := b.production(1, quick); err != nil {
		return err
	}
	if err := b.release(ctx, "1.0.0"); err != nil {
		return err
	}
	_, sandboxed, err := b.live(ctx)
	if err != nil {
		return err
	}
	direct, endApp, err := b.startApp(ctx)
	if err != nil {
		return err
	}
	defer endApp()
	plain, endProxy, err := startPlainProxy(ctx, direct)
	if err != nil {
		return err
	}
	defer endProxy()
	routes := []*route{{name: "direct", url: direct}, {name: "through httputil.ReverseProxy", url: plain}, {name: "through the sandbox", url: sandboxed}}
	if err := b.takeTurns(ctx, routes); err != nil {
		return err
	}
	for _, r := range routes {
		b.know(fmt.Sprintf("a request at %d a second, %s", perSecond, r.name), "%s%s", spread(r.times), ratio(r, routes[0]))
	}
	return nil
}

// ratio is how much longer a route is than the direct one.
func ratio(r, direct *route) string {
	if r == direct {
		return ""
	}
	times := func(q float64) float64 {
		return float64(workshop.Quantile(r.times, q)) / float64(workshop.Quantile(direct.times, q))
	}
	return fmt.Sprintf("; %.1f and %.1f times the direct one", times(0.5), times(0.99))
}

// takeTurns sends users along each route in turns, so that what else the
// machine does meets all of them. The first turn warms up and is not counted.
func (b *bench) takeTurns(ctx context.Context, routes []*route) error {
	for turn := range 1 + b.rounds(10, 2) {
		for _, r := range routes {
			users := workshop.Send(r.url, perSecond)
			err := workshop.Pause(ctx, time.Second)
			c := users.End()
			if err != nil {
				return err
			}
			if c.Lost > 0 {
				return fmt.Errorf("%d requests were lost %s, the first %s", c.Lost, r.name, c.FirstLost)
			}
			if turn > 0 {
				r.times = append(r.times, users.Latencies()...)
			}
		}
	}
	return nil
}

// startApp runs the app as a plain process.
func (b *bench) startApp(ctx context.Context) (url string, end func(), err error) {
	port, err := freePort()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, b.App("1.0.0"))
	cmd.Env = []string{"PORT=" + port}
	return started(ctx, cmd, port)
}

// startPlainProxy runs this program as the proxy to compare with: a process of
// its own, as the sandbox is.
func startPlainProxy(ctx context.Context, to string) (url string, end func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return "", nil, err
	}
	port, err := freePort()
	if err != nil {
		return "", nil, err
	}
	cmd := exec.CommandContext(ctx, self, "-plain-proxy", to, "-plain-port", port)
	return started(ctx, cmd, port)
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// started starts a server and waits until its port can be reached.
func started(ctx context.Context, cmd *exec.Cmd, port string) (url string, end func(), err error) {
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	end = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	address := net.JoinHostPort("127.0.0.1", port)
	for range 500 {
		if c, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			return "http://" + address, end, c.Close()
		}
		if err := workshop.Pause(ctx, 20*time.Millisecond); err != nil {
			end()
			return "", nil, err
		}
	}
	end()
	return "", nil, fmt.Errorf("%s does not listen on %s", strings.Join(cmd.Args, " "), address)
}

// plainProxy is the plainest proxy that Go has, before one URL.
type plainProxy struct{ to, port string }

// serve proxies until ctx ends.
func (p plainProxy) serve(ctx context.Context) error {
	target, err := url.Parse(p.to)
	if err != nil {
		return err
	}
	server := &http.Server{
		Addr:              net.JoinHostPort("127.0.0.1", p.port),
		Handler:           httputil.NewSingleHostReverseProxy(target),
		ReadHeaderTimeout: 10 * time.Second,
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	return server.ListenAndServe()
}
