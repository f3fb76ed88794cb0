package proxy

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// DefaultCookie is the cookie that keeps a user's position.
const DefaultCookie = "slipway-side"

// RevisionHeader is set on every answer to the ID of the revision that gave it.
const RevisionHeader = "Slipway-Revision"

// Options are the settings of a Router; the zero value works.
type Options struct {
	// Logger gets what goes wrong; nil discards it.
	Logger *slog.Logger
	// Cookie is the name of the cookie that keeps a user's position;
	// DefaultCookie when empty. Browsers do not tell ports apart: environments
	// on one host that use the same name share their users' positions, which
	// does no harm.
	Cookie string
	// App and Environment name what is behind the proxy in messages to users.
	App, Environment string
}

// Router is the proxy of one environment. Its methods may be called at any
// time from any goroutine.
type Router struct {
	options Options
	log     *slog.Logger
	proxies *log.Logger // what httputil has to say
	name    string      // app/environment
	table   atomic.Pointer[table]
	flights sync.Pool

	mu     sync.Mutex // guards all below, and the writing of table
	closed bool
	// known are the backends of the table, and those that left it but may
	// still have requests under way.
	known   []*backend
	traffic map[string]*traffic
}

var _ http.Handler = (*Router)(nil)

// New makes a Router with an empty table.
func New(opts Options) *Router {
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Cookie == "" {
		opts.Cookie = DefaultCookie
	}
	r := &Router{
		options: opts,
		log:     opts.Logger.With("app", opts.App, "environment", opts.Environment),
		name:    strings.Trim(opts.App+"/"+opts.Environment, "/"),
		traffic: map[string]*traffic{},
	}
	if r.name == "" {
		r.name = "this environment"
	}
	r.proxies = slog.NewLogLogger(r.log.Handler(), slog.LevelDebug)
	r.flights.New = func() any { return newFlight(r) }
	r.table.Store(&table{})
	return r
}

// ServeHTTP hands a user's request to the arm of the user's position, counts
// it, and answers 503 with Retry-After while no arm has users.
func (r *Router) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.fly(w, req, "")
}

// Route reaches one revision alone, whatever its share, and is not counted. It
// looks into the table at every request, and answers 503 with a clear text
// while the revision has no backends there.
func (r *Router) Route(revision string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.fly(w, req, revision)
	})
}

// fly takes a request there and back. What is left of its body is heard out when
// its backend is free already and the request is counted.
func (r *Router) fly(w http.ResponseWriter, req *http.Request, revision string) {
	r.carry(w, req, revision).hearOut(w)
}

// carry answers a request, and returns its body if it was sent on.
func (r *Router) carry(w http.ResponseWriter, req *http.Request, revision string) *upload {
	f := r.flights.Get().(*flight)
	f.begin(req, revision)
	defer r.land(f)
	f.serve(w, req)
	return f.upload
}

// land ends a flight, also one that panics, and keeps it for the next.
func (r *Router) land(f *flight) {
	f.end()
	r.flights.Put(f)
}

// Set puts a table in force: every request that has not been sent to a backend
// when Set returns follows it, and every other finishes where it is. A table
// that is not valid changes nothing.
func (r *Router) Set(t Table) error {
	if err := t.validate(); err != nil {
		return fmt.Errorf("traffic of %s: %w", r.name, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return fmt.Errorf("traffic of %s: %w", r.name, errClosed)
	}
	next := r.build(t)
	r.table.Store(next)
	r.prune(next)
	return nil
}

// build makes a table of what is known already and what is new in t.
func (r *Router) build(t Table) *table {
	shares := make([]deploy.Percent, len(t.Arms))
	for i, a := range t.Arms {
		shares[i] = a.Share
	}
	next := &table{}
	users := 0
	for i, end := range boundaries(shares) {
		a := &arm{revision: t.Arms[i].Revision, end: end, traffic: r.trafficOf(t.Arms[i].Revision)}
		for _, b := range t.Arms[i].Backends {
			a.backends = append(a.backends, r.backendOf(b))
		}
		if shares[i] > 0 {
			users++
		}
		next.arms = append(next.arms, a)
	}
	next.open, next.split = users > 0, users > 1
	if next.split {
		r.divide(next)
	}
	return next
}

// divide lets the arms count by groups of clients: anew where users were not
// divided before.
func (r *Router) divide(next *table) {
	anew := !r.table.Load().split
	for _, a := range next.arms {
		if anew || a.traffic.spread == nil {
			a.traffic.spread = &spread{}
		}
		a.spread = a.traffic.spread
	}
}

// trafficOf finds or begins a revision's counts.
func (r *Router) trafficOf(revision string) *traffic {
	t, ok := r.traffic[revision]
	if !ok {
		t = &traffic{}
		r.traffic[revision] = t
	}
	return t
}

// backendOf finds a backend that is at the same place still, or makes it.
func (r *Router) backendOf(b Backend) *backend {
	for _, k := range r.known {
		if k.Backend == b {
			return k
		}
	}
	n := newBackend(b)
	r.known = append(r.known, n)
	return n
}

// prune forgets backends that left the table and have nothing under way.
func (r *Router) prune(t *table) {
	var kept []*backend
	for _, b := range r.known {
		if t.has(b) || b.flying.Load() > 0 {
			kept = append(kept, b)
			continue
		}
		b.transport.CloseIdleConnections() // whatever is left ends by itself
	}
	r.known = kept
}

// Idle returns once none of the backends has a request under way, upgraded
// connections and checks through Route among them. Take them out of the table
// first, or new requests will keep them busy. When ctx ends before, the error
// says how many requests remained. IDs that are not known are idle.
func (r *Router) Idle(ctx context.Context, backendIDs []string) error {
	began := time.Now()
	var remaining int64
	for _, b := range r.find(backendIDs) {
		if !b.wait(ctx) {
			remaining += b.flying.Load()
		}
	}
	if remaining > 0 {
		return waitError(ctx, began, remaining)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.prune(r.table.Load())
	return nil
}

// find is every backend with one of the IDs, those that were replaced too.
func (r *Router) find(ids []string) []*backend {
	r.mu.Lock()
	defer r.mu.Unlock()
	var found []*backend
	for _, b := range r.known {
		for _, id := range ids {
			if b.ID == id {
				found = append(found, b)
				break
			}
		}
	}
	return found
}

// Traffic is what users of a revision got since it was first in a table, or
// since Forget. The latency of a request is the time until its answer was
// copied to the user to the end; of an upgraded connection and of an event
// stream, which end when somebody likes, it is the time until the answer
// began, and they are counted then. An answer that breaks off is an error and
// lost; what the client breaks off is neither.
func (r *Router) Traffic(revision string) deploy.Traffic {
	r.mu.Lock()
	t := r.traffic[revision]
	r.mu.Unlock()
	return t.snapshot()
}

// Spread is how the requests of a revision are spread over groups of clients since
// users were last divided, by the positions that their cookies keep.
func (r *Router) Spread(revision string) deploy.Spread {
	r.mu.Lock()
	var s *spread
	if t := r.traffic[revision]; t != nil {
		s = t.spread
	}
	r.mu.Unlock()
	return s.snapshot()
}

// Forget drops the counts of a revision that has left the table.
func (r *Router) Forget(revision string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.traffic, revision)
}

// Close empties the table for good and ends every connection to a backend,
// those of streams and upgraded requests too. Counts can still be read.
func (r *Router) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	r.closed = true
	r.table.Store(&table{})
	for _, b := range r.known {
		b.close()
	}
}

// errNoUsers means that the table lets nobody in.
var errNoUsers = errors.New("no version takes traffic yet")
