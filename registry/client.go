package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/slipway-ci/slipway/deploy"
)

// Client talks to registries. Its zero value works: anonymously, and with
// bounded retries. Registries are spoken to by https; those on this machine
// (localhost, 127.0.0.0/8, [::1]) may speak http, others may not.
type Client struct {
	// Keychain finds the credentials for a registry; nil is anonymous.
	Keychain authn.Keychain
	// Mirrors are where base images of a registry are read first, such as
	// mirror.gcr.io for docker.io, by the registry's name; a path may follow.
	Mirrors map[string]string
	// Transport carries the requests; nil is one of the client's own, which
	// heeds the proxy settings of the process.
	Transport http.RoundTripper
	// Retry is how requests that were cut off, or answered 408, 429 or 5xx,
	// are repeated; where a registry asks for a longer wait (Retry-After), that
	// is kept, up to 2 minutes. Its zero value is 5 attempts within 4 seconds.
	Retry remote.Backoff
	// Log gets what is uploaded and what is not; nil is nothing.
	Log *slog.Logger

	// weight is how much a layer of several files holds, in bytes; zero, but for
	// tests, is layerWeight.
	weight int64

	once sync.Once
	base http.RoundTripper
}

const (
	// lookupLimit bounds a question to a registry, transferLimit an upload.
	lookupLimit   = 2 * time.Minute
	transferLimit = 30 * time.Minute
	// parallel is how many blobs travel at a time.
	parallel = 4
)

// connection is the client for one operation: it logs in once.
type connection struct {
	*Client
	puller *remote.Puller
	pusher *remote.Pusher
}

func (c *Client) connect(options ...remote.Option) (*connection, error) {
	options = append(c.options(), options...)
	puller, err := remote.NewPuller(options...)
	if err != nil {
		return nil, err
	}
	pusher, err := remote.NewPusher(options...)
	if err != nil {
		return nil, err
	}
	return &connection{Client: c, puller: puller, pusher: pusher}, nil
}

// begin makes a connection for an operation that is bounded, and says what was
// waited for when it is over; see limited. The caller calls done at its end.
func (c *Client) begin(ctx context.Context, limit time.Duration, what string) (_ context.Context, conn *connection, done func(), err error) {
	if conn, err = c.connect(); err != nil {
		return nil, nil, nil, err
	}
	ctx, done = limited(ctx, limit, what)
	return ctx, conn, done, nil
}

func (c *Client) options() []remote.Option {
	keychain := c.Keychain
	if keychain == nil {
		keychain = authn.NewMultiKeychain()
	}
	return []remote.Option{
		remote.WithAuthFromKeychain(keychain),
		remote.WithTransport(c.transport()),
		remote.WithUserAgent("slipway"),
		remote.WithJobs(parallel),
		remote.WithRetryBackoff(c.retry()),
		remote.WithRetryPredicate(worthRetrying),
		remote.WithRetryStatusCodes(), // the transport does that
	}
}

func (c *Client) retry() remote.Backoff {
	if c.Retry.Steps > 0 {
		return c.Retry
	}
	return remote.Backoff{Duration: 250 * time.Millisecond, Factor: 2, Jitter: 0.1, Steps: 5}
}

// worthRetrying tells errors that may go away when an upload begins anew. What
// single requests have been repeated for in vain is not among them.
func worthRetrying(err error) bool {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || isSpent(err) {
		return false
	}
	var answer *transport.Error
	if errors.As(err, &answer) {
		return !trialsOf(answer.Request).spent && mayPass(answer)
	}
	return cutOff(err)
}

func mayPass(answer *transport.Error) bool {
	switch answer.StatusCode {
	case http.StatusNotImplemented, http.StatusInsufficientStorage:
		return false
	case http.StatusRequestTimeout, http.StatusTooManyRequests:
		return true
	}
	return answer.StatusCode >= http.StatusInternalServerError || answer.Temporary()
}

func (c *Client) log() *slog.Logger {
	if c.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Log
}

func (c *Client) transport() http.RoundTripper {
	c.once.Do(func() {
		inner := c.Transport
		if inner == nil {
			inner = newTransport()
		}
		c.base = patient{inner: guard{inner}, backoff: c.retry()}
	})
	return c.base
}

func newTransport() http.RoundTripper {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		MaxIdleConnsPerHost:   2 * parallel,
		IdleConnTimeout:       90 * time.Second,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: time.Minute,
		ExpectContinueTimeout: time.Second,
	}
}

// errPlain means that a registry elsewhere would have been spoken to without
// encryption.
var errPlain = errors.New("plain http is for registries on this machine only")

// guard refuses requests that others could read or change on their way.
type guard struct{ inner http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (g guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !isLoopback(r.URL.Host) {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, errPlain
	}
	return g.inner.RoundTrip(r)
}

// isLoopback reports whether host, with or without a port, is this machine.
func isLoopback(host string) bool {
	u := url.URL{Host: host}
	if u.Hostname() == "localhost" {
		return true
	}
	ip := net.ParseIP(u.Hostname())
	return ip != nil && ip.IsLoopback()
}

// parseRepository reads a repository such as ghcr.io/acme/hello.
func parseRepository(repository string) (name.Repository, error) {
	repo, err := name.NewRepository(repository)
	if err == nil && isLoopback(repo.RegistryStr()) {
		repo, err = name.NewRepository(repository, name.Insecure)
	}
	if err != nil {
		return repo, deploy.Usage("a repository is a registry and a path in lower case, without a tag: ghcr.io/acme/hello",
			"image repository %q: %w", repository, err)
	}
	return repo, nil
}

// parseTag is the tag of a version, or one by its own name.
func parseTag(repository, version string) (name.Tag, error) {
	repo, err := parseRepository(repository)
	if err != nil {
		return name.Tag{}, err
	}
	if isVersion(version) {
		version = deploy.TagOf(version)
	}
	// NewTag accepts more than registries do.
	if !tagForm.MatchString(version) {
		return name.Tag{}, deploy.Usage("a tag has up to 128 letters, digits, '.', '_' and '-', and begins with none of the last two: 1.4.2",
			"%q cannot be the tag of an image", version)
	}
	return repo.Tag(version), nil
}

func parseImage(image deploy.Image) (name.Digest, error) {
	repo, err := parseRepository(image.Repository)
	if err != nil {
		return name.Digest{}, err
	}
	if _, err := v1.NewHash(image.Digest); err != nil {
		return name.Digest{}, deploy.Usage("a digest is sha256: and 64 hexadecimal digits",
			"image digest %q: %w", image.Digest, err)
	}
	return repo.Digest(image.Digest), nil
}

// limited bounds an operation and says what was waited for when it is over.
func limited(ctx context.Context, limit time.Duration, what string) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, limit, fmt.Errorf("timed out after %s waiting for %s", limit, what))
}
