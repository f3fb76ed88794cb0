package proxy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Limits of a replica's connections; the package comment says why.
const (
	dialTimeout     = 2 * time.Second
	headerTimeout   = 10 * time.Minute
	idleTimeout     = time.Second
	continueTimeout = time.Second
	maxIdle         = 1024
	// downTime is how long a replica that could not be connected to is left
	// out while its arm has others.
	downTime = time.Second
)

// errClosed answers whoever dials through a Router that was closed.
var errClosed = errors.New("the proxy is closed")

// backend is a replica with its connections and what is under way at it. It
// has a transport of its own, so that no connection to it is ever taken for
// one to a successor on the same port.
type backend struct {
	Backend
	transport *http.Transport
	// flying counts the requests under way.
	flying atomic.Int64
	// watched is whether anybody waits on landed for flying to become 0.
	watched atomic.Bool
	landed  chan struct{}
	// downUntil is in nanoseconds since the epoch; 0 while all is well.
	downUntil atomic.Int64

	mu     sync.Mutex
	conns  map[*conn]struct{}
	closed bool
}

// newBackend prepares a replica; nothing is dialled yet.
func newBackend(b Backend) *backend {
	n := &backend{Backend: b, landed: make(chan struct{}, 1), conns: map[*conn]struct{}{}}
	n.transport = &http.Transport{
		DialContext:           n.dial,
		DisableCompression:    true,
		MaxIdleConns:          maxIdle,
		MaxIdleConnsPerHost:   maxIdle,
		IdleConnTimeout:       idleTimeout,
		ResponseHeaderTimeout: headerTimeout,
		ExpectContinueTimeout: continueTimeout,
	}
	return n
}

// dial connects to the replica, whatever address is asked for, and remembers
// the connection for close.
func (b *backend) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout}
	raw, err := d.DialContext(ctx, network, b.Addr)
	if err != nil {
		return nil, err
	}
	c := &conn{TCPConn: raw.(*net.TCPConn), owner: b}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil, errors.Join(errClosed, raw.Close())
	}
	b.conns[c] = struct{}{}
	return c, nil
}

// close ends every connection, also those in use.
func (b *backend) close() {
	b.mu.Lock()
	b.closed = true
	conns := b.conns
	b.conns = map[*conn]struct{}{}
	b.mu.Unlock()
	for c := range conns {
		_ = c.TCPConn.Close() // whoever uses it learns of it
	}
	b.transport.CloseIdleConnections()
}

// conn is a connection that its backend knows of.
type conn struct {
	*net.TCPConn
	owner *backend
}

// Close closes the connection and forgets it.
func (c *conn) Close() error {
	c.owner.mu.Lock()
	delete(c.owner.conns, c)
	c.owner.mu.Unlock()
	return c.TCPConn.Close()
}

// acquire counts a request in.
func (b *backend) acquire() { b.flying.Add(1) }

// release counts it out, and tells whoever waits for the last one.
func (b *backend) release() {
	if b.flying.Add(-1) == 0 && b.watched.Load() {
		b.wake()
	}
}

// wake leaves one token for one waiter.
func (b *backend) wake() {
	select {
	case b.landed <- struct{}{}:
	default:
	}
}

// wait returns true once nothing is under way, false when ctx ends first.
func (b *backend) wait(ctx context.Context) bool {
	b.watched.Store(true) // before flying is read: release does it the other way round
	for b.flying.Load() > 0 {
		select {
		case <-b.landed:
		case <-ctx.Done():
			return b.flying.Load() == 0
		}
	}
	b.wake() // there may be other waiters, and there is but one token
	b.transport.CloseIdleConnections()
	return true
}

// markDown notes that the replica could not be connected to, and reports
// whether that is news.
func (b *backend) markDown(now time.Time) bool {
	until := b.downUntil.Swap(now.Add(downTime).UnixNano())
	return until < now.UnixNano()
}

// markUp notes that it answered.
func (b *backend) markUp() {
	if b.downUntil.Load() != 0 {
		b.downUntil.Store(0)
	}
}

// down reports whether it is better left out for now.
func (b *backend) down() bool {
	until := b.downUntil.Load()
	return until != 0 && time.Now().UnixNano() < until
}

// pick is the backend with the fewest requests under way that is not in tried,
// a random one among equals; one that is down only when nothing else is left.
func pick(backends, tried []*backend) *backend {
	if b := least(backends, func(b *backend) bool { return slices.Contains(tried, b) || b.down() }); b != nil {
		return b
	}
	return least(backends, func(b *backend) bool { return slices.Contains(tried, b) })
}

// least is the one with the fewest requests under way that is not skipped.
func least(backends []*backend, skip func(*backend) bool) *backend {
	var best *backend
	var fewest int64
	equals := 0
	for _, b := range backends {
		if skip(b) {
			continue
		}
		n := b.flying.Load()
		switch {
		case best == nil || n < fewest:
			best, fewest, equals = b, n, 1
		case n == fewest:
			if equals++; rand.IntN(equals) == 0 { //nolint:gosec // G404: nobody gains by guessing it
				best = b
			}
		}
	}
	return best
}

// isDial reports whether an error means that no connection came about, so that
// the replica has seen nothing of the request.
func isDial(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// waitError says how many requests remained when waiting ended.
func waitError(ctx context.Context, began time.Time, remaining int64) error {
	took := time.Since(began).Round(time.Millisecond)
	verb := "interrupted after"
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		verb = "timed out after"
	}
	noun := "requests"
	if remaining == 1 {
		noun = "request"
	}
	return fmt.Errorf("%s %s waiting for %d %s under way: %w", verb, took, remaining, noun, ctx.Err())
}
