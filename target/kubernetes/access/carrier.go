package access

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// answerTime bounds one attempt of one request that is not a stream, its body
	// included. The largest lists take seconds.
	answerTime = 60 * time.Second
	// firstPatience is how long a server is tried for that never answered.
	firstPatience = 3 * time.Second
	// laterPatience is how long a server is waited for that had answered before: an
	// API server that is replaced is away for that long.
	laterPatience = 45 * time.Second
	// answeredPatience is how long is tried what a server answers with trouble of
	// its own: longer, and whoever waits would be told that time is over in place of
	// the server's words.
	answeredPatience = 8 * time.Second
	// pauseLeast and pauseMost are between two attempts.
	pauseLeast = 100 * time.Millisecond
	pauseMost  = time.Second
)

// carrier carries requests to the API server: it counts them, bounds each one, and
// repeats those that did not reach the server, or that are harmless to repeat. It
// keeps nothing of a request but what it asks for, so that it cannot tell a secret.
type carrier struct {
	counts *counter
	// patience is for the first answer, and longer once there was one.
	patience time.Duration
	known    atomic.Bool
}

// reached says that there was an answer.
func (c *carrier) reached() { c.known.Store(true) }

func (c *carrier) wrap(base http.RoundTripper) http.RoundTripper {
	return &attempts{carrier: c, base: base}
}

// limit is for how long a request is tried that ended so.
func (c *carrier) limit(answer *http.Response) time.Duration {
	if answer != nil && c.known.Load() {
		return answeredPatience
	}
	if c.known.Load() {
		return laterPatience
	}
	return c.patience
}

// attempts carries the requests of one client.
type attempts struct {
	*carrier
	base http.RoundTripper
}

// WrappedRoundTripper lets libraries close idle connections below.
func (a *attempts) WrappedRoundTripper() http.RoundTripper { return a.base }

// RoundTrip implements http.RoundTripper.
func (a *attempts) RoundTrip(r *http.Request) (*http.Response, error) {
	began, pause := time.Now(), pauseLeast
	for {
		a.counts.add(asked(r))
		answer, err := a.once(r)
		a.counts.changed(r)
		if !again(r, answer, err) || time.Since(began) > a.limit(answer) {
			return answer, err
		}
		next, rewound := rewind(r)
		if !rewound {
			return answer, err
		}
		select {
		case <-r.Context().Done():
			if answer != nil {
				return answer, nil // which says more than that time is over
			}
			return nil, errors.Join(r.Context().Err(), err)
		case <-time.After(pause):
		}
		if answer != nil {
			_ = answer.Body.Close()
		}
		r, pause = next, min(2*pause, pauseMost)
	}
}

// once is one attempt. A stream is bounded by its context alone: a watch and a log
// that is followed may be silent for as long as nothing happens.
func (a *attempts) once(r *http.Request) (*http.Response, error) {
	if streams(r) {
		return a.base.RoundTrip(r)
	}
	ctx, cancel := context.WithTimeoutCause(r.Context(), answerTime, fmt.Errorf("timed out after %s waiting for the answer to %s", answerTime, asked(r)))
	answer, err := a.base.RoundTrip(r.WithContext(ctx))
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && r.Context().Err() == nil {
			err = cause
		}
		cancel()
		return nil, err
	}
	answer.Body = &bounded{ReadCloser: answer.Body, end: cancel}
	return answer, nil
}

// bounded gives the time back when a body was read.
type bounded struct {
	io.ReadCloser
	end context.CancelFunc
}

// Close implements io.Closer.
func (b *bounded) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}

func streams(r *http.Request) bool {
	q := r.URL.Query()
	return q.Get("watch") == "true" || q.Get("watch") == "1" || q.Get("follow") == "true" || r.Header.Get("Upgrade") != ""
}

// again says whether an attempt is worth another: one that never reached the
// server, whatever it wanted, and one that met trouble on the way and may be
// repeated without harm. What a server says itself, with how long to wait, the
// client's library heeds.
func again(r *http.Request, answer *http.Response, err error) bool {
	if r.Context().Err() != nil {
		return false
	}
	if err != nil {
		return unsent(err) || (harmless(r) && broken(err))
	}
	if !harmless(r) || answer.Header.Get("Retry-After") != "" {
		return false
	}
	switch answer.StatusCode {
	case http.StatusInternalServerError:
		// Of an object that is applied it may be a field that does not exist: who
		// applies tells that by the server's words, and tries again by itself.
		return !applies(r)
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// harmless are requests that come to the same when they are made twice. All that
// Slipway makes has a name, so that who makes it again is told that it is there;
// who updates it again is told of a conflict; both look then at what is there. Not
// so what is asked of a part of an object, such as an eviction, or a stream.
func harmless(r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodDelete:
		return true
	case http.MethodPut:
		return !part(r)
	case http.MethodPost:
		return !part(r) && !streams(r)
	case http.MethodPatch:
		// A JSON patch may add to a list.
		return !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json-patch")
	}
	return false
}

func applies(r *http.Request) bool {
	return strings.HasPrefix(r.Header.Get("Content-Type"), "application/apply-patch")
}

// part reports whether a request is about a part of an object.
func part(r *http.Request) bool {
	resource, _ := resourceOf(r.URL.Path)
	return strings.Contains(resource, "/")
}

// unsent are errors of a connection that was never there. A name that does not
// exist will not exist in a moment.
func unsent(err error) bool {
	if d, ok := errors.AsType[*net.DNSError](err); ok && d.IsNotFound {
		return false
	}
	o, ok := errors.AsType[*net.OpError](err)
	return ok && o.Op == "dial"
}

// broken are errors of a connection that ended before its time.
func broken(err error) bool {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) {
		return true
	}
	said := err.Error()
	return strings.Contains(said, "http2: client connection lost") || strings.Contains(said, "server sent GOAWAY") ||
		strings.Contains(said, "use of closed network connection")
}

// rewind is the request once more, where its body can be had again.
func rewind(r *http.Request) (*http.Request, bool) {
	next := r.Clone(r.Context())
	if r.Body == nil || r.Body == http.NoBody {
		return next, true
	}
	if r.GetBody == nil {
		return nil, false
	}
	body, err := r.GetBody()
	if err != nil {
		return nil, false
	}
	next.Body = body
	return next, true
}

// counter counts requests by what they ask.
type counter struct {
	mu sync.Mutex
	n  map[string]int
	// changes are those that wrote to a resource, and are over.
	changes map[string]int64
}

func newCounter() *counter { return &counter{n: map[string]int{}, changes: map[string]int64{}} }

// changed counts a request that is over, however it ended, if it may have written.
func (c *counter) changed(r *http.Request) {
	if r.Method == http.MethodGet || streams(r) {
		return
	}
	resource, _ := resourceOf(r.URL.Path)
	resource, _, _ = strings.Cut(resource, "/")
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes[resource]++
}

// written is how often a resource was written to.
func (c *counter) written(resource string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.changes[resource]
}

func (c *counter) add(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[what]++
}

func (c *counter) all() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.n)
}

// asked is what a request asks, as permissions name it: "get deployments",
// "watch pods", "create pods/eviction"; other paths as they are, "get /version".
//
// Source: https://kubernetes.io/docs/reference/access-authn-authz/authorization/#determine-the-request-verb
func asked(r *http.Request) string {
	resource, named := resourceOf(r.URL.Path)
	if resource == "" {
		return strings.ToLower(r.Method) + " " + r.URL.Path
	}
	return verb(r, named) + " " + resource
}

// resourceOf reads a path such as /apis/apps/v1/namespaces/shop/deployments/web/scale.
func resourceOf(path string) (resource string, named bool) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	switch {
	case len(parts) > 2 && parts[0] == "api":
		parts = parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		parts = parts[3:]
	default:
		return "", false
	}
	if parts[0] == "namespaces" && len(parts) > 2 && parts[2] != "status" && parts[2] != "finalize" {
		parts = parts[2:]
	}
	if len(parts) > 2 {
		return parts[0] + "/" + parts[2], true
	}
	return parts[0], len(parts) > 1
}

func verb(r *http.Request, named bool) string {
	switch r.Method {
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	case http.MethodPatch:
		return "patch"
	case http.MethodDelete:
		if !named {
			return "deletecollection"
		}
		return "delete"
	}
	if w := r.URL.Query().Get("watch"); w == "true" || w == "1" {
		return "watch"
	}
	if !named {
		return "list"
	}
	return "get"
}
