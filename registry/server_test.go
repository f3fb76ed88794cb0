package registry

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/registry"
)

// serve starts a registry on loopback, with something before it, and gives its
// host.
func serve(tb testing.TB, before func(http.Handler) http.Handler) string {
	tb.Helper()
	var h http.Handler = ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0)))
	if before != nil {
		h = before(h)
	}
	s := httptest.NewServer(h)
	tb.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// recorder notes the requests that come by.
type recorder struct {
	mu       sync.Mutex
	requests []string
}

func (r *recorder) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.requests = append(r.requests, req.Method+" "+req.URL.Path)
		r.mu.Unlock()
		next.ServeHTTP(w, req)
	})
}

// since gives what came after the first n, without the handshake.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var seen []string
	for _, q := range r.requests {
		if q != "GET /v2/" {
			seen = append(seen, q)
		}
	}
	r.requests = nil
	return seen
}
