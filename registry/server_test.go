package registry

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// newRegistry is a whole registry that forgets at its end.
func newRegistry() http.Handler { return ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))) }

// serve starts a registry on loopback, with something before it, and gives its
// host.
func serve(tb testing.TB, before func(http.Handler) http.Handler) string {
	tb.Helper()
	h := newRegistry()
	if before != nil {
		h = before(h)
	}
	return serveHandler(tb, h)
}

func serveHandler(tb testing.TB, h http.Handler) string {
	tb.Helper()
	s := httptest.NewServer(h)
	tb.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return strings.TrimPrefix(s.URL, "http://")
}

// impatient is a client that repeats what failed, but does not wait for long.
func impatient() *Client {
	return &Client{Retry: remote.Backoff{Duration: time.Millisecond, Factor: 1, Steps: attempts}}
}

// attempts is how often an impatient client tries.
const attempts = 3

// recorder notes the requests that come by.
type recorder struct {
	mu       sync.Mutex
	requests []string
}

func (r *recorder) middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.note(req)
		next.ServeHTTP(w, req)
	})
}

func (r *recorder) note(req *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests = append(r.requests, req.Method+" "+req.URL.RequestURI())
}

// take gives what came since it was last called, without the handshake.
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

// those are the requests that begin so.
func those(requests []string, prefix string) []string {
	var found []string
	for _, r := range requests {
		if strings.HasPrefix(r, prefix) {
			found = append(found, r)
		}
	}
	return found
}

// changes are the requests that are not only questions.
func changes(requests []string) []string {
	var found []string
	for _, r := range requests {
		if !strings.HasPrefix(r, "GET ") && !strings.HasPrefix(r, "HEAD ") {
			found = append(found, r)
		}
	}
	return found
}

// intercept puts a handler before the registry, which says whether it has
// answered.
func intercept(answer func(w http.ResponseWriter, r *http.Request) bool) func(http.Handler) http.Handler {
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !answer(w, r) {
				next.ServeHTTP(w, r)
			}
		})
	}
}

// ref is a reference at a test's registry.
func ref(tb testing.TB, reference string) name.Reference {
	tb.Helper()
	r, err := name.ParseReference(reference)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// must is for what does not fail in a sound test.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

// put brings an image, such as a base, to a registry by other means than the
// client's.
func put(tb testing.TB, reference string, img v1.Image) {
	tb.Helper()
	if err := remote.Write(ref(tb, reference), img); err != nil {
		tb.Fatal(err)
	}
}

// stored is what a tag names now.
func stored(tb testing.TB, reference string) v1.Hash {
	tb.Helper()
	d, err := remote.Head(ref(tb, reference))
	if err != nil {
		tb.Fatal(err)
	}
	return d.Digest
}
