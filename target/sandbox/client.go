package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"time"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/sandbox/process"
	"github.com/slipway-ci/slipway/target/sandbox/wire"
)

// helloLimit bounds the time until a running sandbox introduces itself.
const helloLimit = 5 * time.Second

// ErrDown means that no sandbox runs in the state folder.
var ErrDown = errors.New("the sandbox does not run")

// errEnded means that it ran when it was asked, and did not answer.
var errEnded = errors.New("the sandbox ended while it was asked")

// Status is what the whole sandbox is doing; it marshals as JSON.
type Status = wire.Status

// Config says which sandbox is meant.
type Config struct {
	// Home is the state folder.
	Home string
	// Executable is slipway itself, which Up starts detached as
	// "slipway sandbox serve --home HOME".
	Executable string
	// Log gets what happens; nil discards it.
	Log *slog.Logger
	// Login is what a registry, named by its host, asks for before it gives an
	// image; empty where it asks for nothing. Nil leaves it to docker login.
	Login func(ctx context.Context, host string) (user, password string, err error)
}

// home is the state folder as an absolute path that can hold a socket.
func (c Config) home() (wire.Home, error) {
	path, err := filepath.Abs(c.Home)
	if c.Home == "" || err != nil {
		return "", deploy.Usage("set SLIPWAY_HOME to a folder", "the sandbox has no state folder")
	}
	return wire.Home(path), wire.Home(path).Check()
}

// Client talks to a running sandbox. It may be used from several goroutines,
// and goes on working when the sandbox is started anew.
type Client struct {
	home  wire.Home
	http  *http.Client
	hello wire.Hello
	login func(ctx context.Context, host string) (user, password string, err error)
	log   *slog.Logger
}

// Connect finds the sandbox that runs; ErrDown when none does.
func Connect(ctx context.Context, c Config) (*Client, error) {
	home, err := c.home()
	if err != nil {
		return nil, err
	}
	client := newClient(home)
	client.login, client.log = c.Login, c.Log
	if client.hello, err = client.greet(ctx); err != nil {
		return nil, err
	}
	if client.hello.Protocol != wire.Protocol {
		return nil, wire.ErrOtherVersion()
	}
	return client, nil
}

// newClient is a client of whatever runs in the state folder.
func newClient(home wire.Home) *Client {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", home.Socket())
	}
	return &Client{home: home, http: &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

// greet asks who runs.
func (c *Client) greet(ctx context.Context) (wire.Hello, error) {
	ctx, cancel := context.WithTimeout(ctx, helloLimit)
	defer cancel()
	var hello wire.Hello
	err := c.call(ctx, http.MethodGet, wire.PathHello, nil, &hello)
	return hello, err
}

// Registry is the address of the sandbox's registry, "127.0.0.1:PORT", which
// is the same after a restart.
func (c *Client) Registry() string { return c.hello.Registry }

// Weakness says in a sentence what the isolation of replicas lacks here; it is
// empty where they have namespaces.
func (c *Client) Weakness() string {
	if c.hello.Isolation != string(process.Chroot) {
		return ""
	}
	return "no namespaces can be had here: the sandbox isolates replicas by chroot and users alone, and their /proc is empty"
}

// Status asks what the sandbox is doing.
func (c *Client) Status(ctx context.Context) (Status, error) {
	var s Status
	err := c.call(ctx, http.MethodGet, wire.PathStatus, nil, &s)
	return s, err
}

// Remove ends everything that runs in an environment and forgets it.
func (c *Client) Remove(ctx context.Context, app, environment string) error {
	if err := c.act(ctx, app, environment, wire.ActRemove, wire.Request{}, nil); err != nil {
		return fmt.Errorf("remove %s/%s: %w", app, environment, err)
	}
	return nil
}

// withLogin adds what opens the registry of the revision's image. Without it
// the image may be there already, or be anybody's: then nothing is missing.
func (c *Client) withLogin(ctx context.Context, r wire.Request) wire.Request {
	repository, err := name.NewRepository(r.Revision.Image.Repository)
	if c.login == nil || err != nil {
		return r
	}
	host := repository.RegistryStr()
	user, password, err := c.login(ctx, host)
	if err != nil && c.log != nil {
		c.log.Warn("log in to the registry", "host", host, "error", err)
	}
	if err == nil && password != "" {
		r.Login = &wire.Login{Host: host, User: user, Password: password}
	}
	return r
}

// act asks something of an environment.
func (c *Client) act(ctx context.Context, app, environment, act string, r wire.Request, answer any) error {
	path := fmt.Sprintf("/environments/%s/%s/%s", url.PathEscape(app), url.PathEscape(environment), act)
	return c.call(ctx, http.MethodPost, path, r, answer)
}

// call sends a request and reads its answer. Errors of the sandbox have the
// types that they had there.
func (c *Client) call(ctx context.Context, method, path string, body, answer any) error {
	content, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("write the request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://sandbox"+path, bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("make the request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set(wire.Header, strconv.Itoa(wire.Protocol))
	resp, err := c.http.Do(req)
	if err != nil {
		return c.unreachable(ctx, err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return refusal(resp)
	}
	if answer == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		return c.unreachable(ctx, err)
	}
	return nil
}

// refusal is the error that the sandbox answered.
func refusal(resp *http.Response) error {
	var e wire.Error
	if err := json.NewDecoder(resp.Body).Decode(&e); err != nil || e.Message == "" {
		return wire.ErrOtherVersion() // no process of this protocol answers so
	}
	return e.Decode()
}

// unreachable tells a sandbox that does not run from one that ended while it
// was asked, and both from a caller who did not want to wait.
func (c *Client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return fmt.Errorf("timed out waiting for the sandbox: %w", context.Cause(ctx))
		}
		return fmt.Errorf("interrupted while waiting for the sandbox: %w", context.Cause(ctx))
	}
	if op, dialled := errors.AsType[*net.OpError](err); dialled && op.Op == "dial" {
		return deploy.Hinted(fmt.Errorf("%w in %s", ErrDown, c.home), "slipway sandbox up")
	}
	return deploy.Hinted(fmt.Errorf("%w: %w", errEnded, err),
		"slipway sandbox up brings back what ran; %s says why it ended", c.home.LogFile())
}
