// Package ways opens ways from this machine to single revisions, through the API
// server, as kubectl port-forward makes them: checks go by them before the first
// user does. Nobody else can: they listen on loopback, and no route of a gateway
// leads to a revision that has no users.
package ways

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	client "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// Ways are all that are open from this machine into a cluster.
type Ways struct {
	ctx    context.Context // the owner of what listens: it ends with the command
	config *rest.Config
	kube   client.Interface
	log    *slog.Logger

	mu  sync.Mutex
	all map[string]*forward
}

// New opens none yet. Those that are opened end with ctx.
func New(ctx context.Context, config *rest.Config, kube client.Interface, log *slog.Logger) *Ways {
	return &Ways{ctx: ctx, config: config, kube: kube, log: log, all: map[string]*forward{}}
}

// In are the ways to the revisions of one environment.
func (w *Ways) In(p objects.Place) Environment { return Environment{w, p} }

// Environment has a way to each of its revisions, by the revision's ID.
type Environment struct {
	all   *Ways
	place objects.Place
}

func (e Environment) name(revision string) string {
	return e.place.Namespace + "/" + e.place.Name(revision)
}

// Open opens the way to a port of the pods that a selector finds, unless it is open;
// port zero is the first that their first container names. What is in the way is
// logged: checks say then what they miss.
func (e Environment) Open(revision, selector string, port int) {
	w, name := e.all, e.name(revision)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.all[name] != nil || w.ctx.Err() != nil {
		return
	}
	l, err := (&net.ListenConfig{}).Listen(w.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		w.log.Warn("open a way to a revision", "revision", revision, "error", err)
		return
	}
	f := &forward{owner: w, namespace: e.place.Namespace, selector: selector, port: port, url: "http://" + l.Addr().String()}
	f.server = &http.Server{Handler: f.proxy(), ReadHeaderTimeout: 10 * time.Second}
	w.all[name] = f
	go func() {
		if err := f.server.Serve(l); err != nil && !errors.Is(err, http.ErrServerClosed) {
			w.log.Warn("serve a way to a revision", "revision", revision, "error", err)
		}
	}()
	context.AfterFunc(w.ctx, func() { _ = f.server.Close() })
}

// URL of an open way; empty where none is.
func (e Environment) URL(revision string) string {
	e.all.mu.Lock()
	defer e.all.mu.Unlock()
	if f := e.all.all[e.name(revision)]; f != nil {
		return f.url
	}
	return ""
}

// Close closes the way to a revision.
func (e Environment) Close(revision string) {
	e.all.mu.Lock()
	defer e.all.mu.Unlock()
	if f := e.all.all[e.name(revision)]; f != nil {
		_ = f.server.Close()
		delete(e.all.all, e.name(revision))
	}
}
