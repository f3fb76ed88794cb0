package registry

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/slipway-ci/slipway/deploy"
)

// multi is an index of two images and, like those that BuildKit makes, of what
// was noted about a build.
func multi(tb testing.TB) v1.ImageIndex {
	tb.Helper()
	shared := must(random.Layer(5<<10, "application/vnd.oci.image.layer.v1.tar+gzip"))
	index := v1.ImageIndex(empty.Index)
	for _, platform := range []v1.Platform{
		{OS: "linux", Architecture: "amd64"},
		{OS: "linux", Architecture: "arm", Variant: "v7"},
		{OS: "unknown", Architecture: "unknown"},
	} {
		img := must(mutate.AppendLayers(must(random.Image(20<<10, 2)), shared))
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &platform}})
	}
	return index
}

// putIndex brings an index to a registry by other means than the client's.
func putIndex(tb testing.TB, repository, version string, index v1.ImageIndex) deploy.Image {
	tb.Helper()
	if err := remote.WriteIndex(ref(tb, repository+":"+version), index); err != nil {
		tb.Fatal(err)
	}
	return deploy.Image{Repository: repository, Version: version, Digest: must(index.Digest()).String()}
}

func TestCopy(t *testing.T) {
	there, here := &recorder{}, &recorder{}
	from, to := serve(t, there.middleware), serve(t, here.middleware)
	image := putIndex(t, from+"/acme/hello", "1.4.2", multi(t))

	c := impatient()
	copied, sent, err := c.Copy(t.Context(), image, to+"/prod/hello")
	if err != nil || !sent {
		t.Fatalf("sent %v, %v", sent, err)
	}
	if want := (deploy.Image{Repository: to + "/prod/hello", Version: "1.4.2", Digest: image.Digest}); copied != want {
		t.Errorf("got %+v", copied)
	}
	if err := c.Verify(t.Context(), copied); err != nil {
		t.Error(err)
	}
	if now := stored(t, to+"/prod/hello:1.4.2"); now.String() != image.Digest {
		t.Errorf("the tag names %s", now)
	}
	// Three images of two layers of their own, one layer that they share, and a
	// configuration each.
	if n := len(those(here.take(), "PUT /v2/prod/hello/blobs/uploads/")); n != 10 {
		t.Errorf("%d blobs were sent", n)
	}

	there.take()
	again, sent, err := impatient().Copy(t.Context(), image, to+"/prod/hello")
	if err != nil || sent || again != copied {
		t.Errorf("got %+v, sent %v, %v", again, sent, err)
	}
	if seen := append(there.take(), here.take()...); len(seen) != 1 || seen[0] != "HEAD /v2/prod/hello/manifests/1.4.2" {
		t.Errorf("to find that it is there took %v", seen)
	}
}

// apart makes a registry of which all repositories share their blobs one that
// keeps those of a repository apart, as long as they are asked for.
func apart(repository string) func(http.Handler) http.Handler {
	return intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodHead || !strings.HasPrefix(r.URL.Path, "/v2/"+repository+"/blobs/") {
			return false
		}
		w.WriteHeader(http.StatusNotFound)
		return true
	})
}

// mounts answers for a registry whose repositories share their blobs, as one does
// that can mount.
func mounts(next http.Handler) http.Handler {
	return intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPost || r.URL.Query().Get("mount") == "" {
			return false
		}
		w.WriteHeader(http.StatusCreated)
		return true
	})(next)
}

// What the target has is not sent again, and what its registry has is mounted.
func TestCopySendsWhatIsMissing(t *testing.T) {
	seen := &recorder{}
	host := serve(t, func(next http.Handler) http.Handler { return seen.middleware(mounts(apart("prod/hello")(next))) })
	image := putIndex(t, host+"/acme/hello", "1.4.2", multi(t))
	seen.take()

	if _, sent, err := impatient().Copy(t.Context(), image, host+"/prod/hello"); err != nil || !sent {
		t.Fatalf("sent %v, %v", sent, err)
	}
	requests := seen.take()
	if mounted := those(requests, "POST /v2/prod/hello/blobs/uploads/?from=acme%2Fhello&mount=sha256"); len(mounted) != 10 {
		t.Errorf("%d blobs were mounted", len(mounted))
	}
	if moved := append(those(requests, "GET /v2/acme/hello/blobs/"), those(requests, "PUT /v2/prod/hello/blobs/")...); len(moved) > 0 {
		t.Errorf("content was moved: %v", moved)
	}

	image.Version = "1.4.3"
	if _, sent, err := impatient().Copy(t.Context(), image, host+"/prod/hello"); err != nil || !sent {
		t.Fatalf("sent %v, %v", sent, err)
	}
	if changed := changes(seen.take()); len(changed) != 1 || changed[0] != "PUT /v2/prod/hello/manifests/1.4.3" {
		t.Errorf("another tag took %v", changed)
	}
}

// A registry that cannot mount is sent the content, whatever it says to that.
func TestCopyWithoutMount(t *testing.T) {
	seen := &recorder{}
	refusing := intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Query().Get("mount") == "" {
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		return true
	})
	host := serve(t, func(next http.Handler) http.Handler { return seen.middleware(refusing(apart("prod/hello")(next))) })
	image := putIndex(t, host+"/acme/hello", "1.4.2", multi(t))
	if _, _, err := impatient().Copy(t.Context(), image, host+"/prod/hello"); err != nil {
		t.Fatal(err)
	}
	if sent := those(seen.take(), "PUT /v2/prod/hello/blobs/"); len(sent) != 10 {
		t.Errorf("%d blobs were sent", len(sent))
	}
}

func TestCopyKeepsTags(t *testing.T) {
	from, to := serve(t, nil), serve(t, nil)
	image := putIndex(t, from+"/acme/hello", "1.4.2", multi(t))
	other := putIndex(t, to+"/acme/hello", "1.4.2", multi(t))
	_, _, err := impatient().Copy(t.Context(), image, to+"/acme/hello")
	mustBeTaken(t, err, to+"/acme/hello:1.4.2", must(v1.NewHash(other.Digest)), image.Digest)
}

// breakOff cuts a connection in the middle of an answer.
func breakOff(w http.ResponseWriter, content string) {
	w.Header().Set("Content-Length", "100000")
	_, _ = w.Write([]byte(content))
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// cutting breaks the first few requests of a kind.
func cutting(method, part string, times int32) func(http.Handler) http.Handler {
	var seen atomic.Int32
	return intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != method || !strings.Contains(r.URL.Path, part) || seen.Add(1) > times {
			return false
		}
		if method == http.MethodPut {
			panic(http.ErrAbortHandler)
		}
		breakOff(w, "the beginning of something")
		return true
	})
}

// A blob that breaks is sent anew; one that breaks again and again leaves no
// tag.
func TestCopyOverBrokenConnections(t *testing.T) {
	for name, test := range map[string]struct {
		from, to func(int32) func(http.Handler) http.Handler
		says     string
	}{
		"reading": {
			from: func(n int32) func(http.Handler) http.Handler { return cutting(http.MethodGet, "/blobs/", n) },
			to:   func(int32) func(http.Handler) http.Handler { return nil },
			says: "the connection to FROM broke, again and again",
		},
		"writing": {
			from: func(int32) func(http.Handler) http.Handler { return nil },
			to:   func(n int32) func(http.Handler) http.Handler { return cutting(http.MethodPut, "/blobs/", n) },
			says: "the connection to TO broke, again and again",
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, times := range []int32{attempts - 1, 1000} {
				from, to := serve(t, test.from(times)), serve(t, test.to(times))
				image := putIndex(t, from+"/acme/hello", "1.4.2", multi(t))
				copied, _, err := impatient().Copy(t.Context(), image, to+"/acme/hello")
				if times < attempts {
					if err != nil {
						t.Errorf("after %d breaks: %v", times, err)
					} else if err := impatient().Verify(t.Context(), copied); err != nil {
						t.Errorf("after %d breaks: %v", times, err)
					}
					continue
				}
				says := strings.NewReplacer("FROM", from, "TO", to).Replace(test.says)
				if err == nil || !strings.Contains(err.Error(), says) {
					t.Errorf("got %v, want %q", err, says)
				}
				mustBeFree(t, to+"/acme/hello", "1.4.2")
			}
		})
	}
}

// mustBeFree checks that a tag names nothing.
func mustBeFree(t *testing.T, repository, version string) {
	t.Helper()
	_, err := impatient().Resolve(t.Context(), repository, version)
	var missing *NotFound
	if !errors.As(err, &missing) {
		t.Errorf("%s:%s is there, or: %v", repository, version, err)
	}
}

func TestCopyFindsNothing(t *testing.T) {
	from, to := serve(t, nil), serve(t, nil)
	image := deploy.Image{Repository: from + "/acme/hello", Version: "1.4.2", Digest: "sha256:" + strings.Repeat("a", 64)}
	_, _, err := impatient().Copy(t.Context(), image, to+"/acme/hello")
	var missing *NotFound
	if !errors.As(err, &missing) || missing.Repository != image.Repository {
		t.Errorf("got %v", err)
	}
}

// Half an image is not copied.
func TestCopyHalfAnImage(t *testing.T) {
	for name, part := range map[string]string{"a layer": "/blobs/", "an image of the index": "/manifests/sha256:"} {
		t.Run(name, func(t *testing.T) {
			var armed atomic.Bool
			var top atomic.Value
			top.Store("")
			from := serve(t, intercept(func(w http.ResponseWriter, r *http.Request) bool {
				digest, _ := top.Load().(string)
				if !armed.Load() || !strings.Contains(r.URL.Path, part) || strings.HasSuffix(r.URL.Path, digest) {
					return false
				}
				w.WriteHeader(http.StatusNotFound)
				return true
			}))
			to := serve(t, nil)
			image := putIndex(t, from+"/acme/hello", "1.4.2", multi(t))
			top.Store(image.Digest)
			armed.Store(true)
			_, _, err := impatient().Copy(t.Context(), image, to+"/acme/hello")
			if !errors.Is(err, ErrIncomplete) {
				t.Errorf("got %v", err)
			}
			mustBeFree(t, to+"/acme/hello", "1.4.2")
		})
	}
}

func TestCopyIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	from := serve(t, nil)
	to := serve(t, intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut {
			cancel()
			panic(http.ErrAbortHandler)
		}
		return false
	}))
	image := putIndex(t, from+"/acme/hello", "1.4.2", multi(t))
	_, _, err := impatient().Copy(ctx, image, to+"/acme/hello")
	if err == nil || !strings.HasSuffix(err.Error(), "interrupted") {
		t.Errorf("got %v", err)
	}
	mustBeFree(t, to+"/acme/hello", "1.4.2")
}

// A registry elsewhere cannot make a runner ask the addresses around it.
func TestNoWayInside(t *testing.T) {
	for to, want := range map[string]bool{
		"https://storage.example.com/blob": true, "https://ghcr.io/x": true, "https://10.0.0.1/": false,
		"http://169.254.169.254/latest": false, "http://127.0.0.1:5000/": false, "https://[fe80::1]/": false, "https://8.8.8.8/": true,
	} {
		err := mayGo(must(http.NewRequest(http.MethodGet, "https://ghcr.io/v2/", nil)).URL, must(http.NewRequest(http.MethodGet, to, nil)).URL)
		if (err == nil) != want {
			t.Errorf("%s: %v", to, err)
		}
	}
}
