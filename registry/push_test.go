package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/slipway-ci/slipway/deploy"
)

func TestPush(t *testing.T) {
	seen := &recorder{}
	host := serve(t, seen.middleware)
	repository := host + "/acme/hello"
	c := impatient()
	p := packWith(t, c, webSpec(folderOf(t, web)))
	image, sent, err := c.Push(t.Context(), p, repository, "1.4.2")
	if err != nil {
		t.Fatal(err)
	}
	want := deploy.Image{Repository: repository, Digest: must(p.Digest()).String(), Version: "1.4.2"}
	if image != want || !sent {
		t.Errorf("got %+v, sent %v", image, sent)
	}
	// The tag comes last: it never names half an image.
	puts := those(seen.take(), "PUT /v2/acme/hello/manifests/")
	if diff := cmp.Diff([]string{"PUT /v2/acme/hello/manifests/" + image.Digest, "PUT /v2/acme/hello/manifests/1.4.2"}, puts); diff != "" {
		t.Error(diff)
	}
	for _, reference := range []string{repository + ":1.4.2", image.Reference()} {
		pulled, err := remote.Image(ref(t, reference))
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(pulled); err != nil {
			t.Errorf("%s: %v", reference, err)
		}
		if got := must(pulled.Digest()).String(); got != image.Digest {
			t.Errorf("%s is %s", reference, got)
		}
	}
	if err := c.Verify(t.Context(), image); err != nil {
		t.Error(err)
	}
	if resolved, err := c.Resolve(t.Context(), repository, "1.4.2"); resolved != image || err != nil {
		t.Errorf("got %+v, %v", resolved, err)
	}
}

// The same content again costs one question: nothing is sent, and nothing even
// compressed.
func TestPushTheSame(t *testing.T) {
	seen := &recorder{}
	host := serve(t, seen.middleware)
	dir := folderOf(t, web)
	c := impatient()
	first, _, err := c.Push(t.Context(), packWith(t, c, webSpec(dir)), host+"/acme/hello", "1.4.2")
	if err != nil {
		t.Fatal(err)
	}
	seen.take()
	tmp := temporary(t)
	t.Setenv("TMPDIR", filepath.Join(tmp, "missing")) // nothing can be compressed
	c = impatient()
	again, sent, err := c.Push(t.Context(), packWith(t, c, webSpec(folderOf(t, web))), host+"/acme/hello", "1.4.2")
	if err != nil || sent || again != first {
		t.Errorf("got %+v, sent %v, %v", again, sent, err)
	}
	if diff := cmp.Diff([]string{"GET /v2/acme/hello/manifests/1.4.2"}, seen.take()); diff != "" {
		t.Error(diff)
	}
}

// A layer that was compressed otherwise has the same content: what is there
// stays, and is what is deployed.
func TestPushTheSameCompressedOtherwise(t *testing.T) {
	host := serve(t, nil)
	spec := webSpec(folderOf(t, web))
	p := pack(t, spec)
	other := *must(p.Manifest())
	other.Layers = append([]v1.Descriptor{}, other.Layers...)
	other.Layers[0].Digest = v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)}
	before := rawManifest(t, host+"/acme/hello:1.4.2", types.OCIManifestSchema1, must(json.Marshal(other)))

	image, sent, err := impatient().Push(t.Context(), pack(t, spec), host+"/acme/hello", "1.4.2")
	if err != nil || sent || image.Digest != before.String() {
		t.Errorf("got %+v, sent %v, %v; there is %s", image, sent, err, before)
	}
}

// rawManifest puts any bytes at a reference.
func rawManifest(t *testing.T, reference string, mediaType types.MediaType, content []byte) v1.Hash {
	t.Helper()
	pusher := must(remote.NewPusher())
	if err := pusher.Put(t.Context(), ref(t, reference), manifest{content, mediaType}); err != nil {
		t.Fatal(err)
	}
	return stored(t, reference)
}

// manifest is one that has no layers to be sent with it.
type manifest struct {
	content   []byte
	mediaType types.MediaType
}

func (m manifest) RawManifest() ([]byte, error)        { return m.content, nil }
func (m manifest) MediaType() (types.MediaType, error) { return m.mediaType, nil }

// mustBeTaken checks that a push was refused with both digests, and that the tag
// names what it named.
func mustBeTaken(t *testing.T, err error, reference string, have v1.Hash, want string) {
	t.Helper()
	var is *Taken
	if !errors.As(err, &is) {
		t.Fatalf("got %v", err)
	}
	repository, version, _ := cutLast(reference, ":")
	if diff := cmp.Diff(Taken{Repository: repository, Version: version, Have: have.String(), Want: want}, *is); diff != "" {
		t.Error(diff)
	}
	for _, part := range []string{"version " + version + " is taken", have.String(), want} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	if !strings.Contains(deploy.HintOf(err), "promote --version "+version) {
		t.Errorf("hint %q", deploy.HintOf(err))
	}
	if now := stored(t, reference); now != have {
		t.Errorf("the tag has moved to %s", now)
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	return s[:i], s[i+1:], i >= 0
}

func TestTagIsTaken(t *testing.T) {
	seen := &recorder{}
	host := serve(t, seen.middleware)
	reference := host + "/acme/hello:1.4.2"
	for name, occupy := range map[string]func(t *testing.T){
		"by another build": func(t *testing.T) {
			spec := webSpec(folderOf(t, web))
			spec.Revision = strings.Repeat("b2", 20)
			put(t, reference, pack(t, spec))
		},
		"by a foreign image": func(t *testing.T) { put(t, reference, distroless(t, amd64)) },
		"by an index": func(t *testing.T) {
			if err := remote.WriteIndex(ref(t, reference), index(t, distroless(t, amd64))); err != nil {
				t.Fatal(err)
			}
		},
		"by an image of the oldest format": func(t *testing.T) {
			rawManifest(t, reference, types.DockerManifestSchema1, []byte(`{"schemaVersion":1}`))
		},
	} {
		t.Run(name, func(t *testing.T) {
			occupy(t)
			have := stored(t, reference)
			seen.take()
			p := pack(t, webSpec(folderOf(t, web)))
			_, sent, err := impatient().Push(t.Context(), p, host+"/acme/hello", "1.4.2")
			if got := changes(seen.take()); len(got) > 0 || sent {
				t.Errorf("sent %v", got)
			}
			mustBeTaken(t, err, reference, have, must(p.Digest()).String())
		})
	}
}

// Somebody else may claim the tag while this build is on its way.
func TestTagIsTakenMeanwhile(t *testing.T) {
	for name, moment := range map[string]string{
		"before it is claimed":         "PUT /v2/acme/hello/manifests/sha256:",
		"while it is claimed":          "PUT /v2/acme/hello/manifests/1.4.2",
		"before its layers are there":  "POST /v2/acme/hello/blobs/uploads/",
		"after it was looked at first": "GET /v2/acme/hello/tags/list",
	} {
		t.Run(name, func(t *testing.T) {
			behind := newRegistry()
			backdoor := serveHandler(t, behind)
			foreign := distroless(t, amd64)
			var once sync.Once
			host := serveHandler(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				behind.ServeHTTP(w, r)
				if strings.HasPrefix(r.Method+" "+r.URL.Path, moment) {
					once.Do(func() {
						if err := remote.Write(ref(t, backdoor+"/acme/hello:1.4.2"), foreign); err != nil {
							t.Error(err)
						}
					})
				}
			}))
			p := pack(t, webSpec(folderOf(t, web)))
			_, _, err := impatient().Push(t.Context(), p, host+"/acme/hello", "1.4.2")
			mustBeTaken(t, err, host+"/acme/hello:1.4.2", must(foreign.Digest()), must(p.Digest()).String())
		})
	}
}

// Two builds of the same commit at once are one image, and no error.
func TestTheSameIsPushedTwiceAtOnce(t *testing.T) {
	host := serve(t, nil)
	spec := webSpec(folderOf(t, web))
	var wg sync.WaitGroup
	for range 4 {
		p := pack(t, spec)
		wg.Go(func() {
			if _, _, err := impatient().Push(t.Context(), p, host+"/acme/hello", "1.4.2"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// What has not changed since the last version is not sent again.
func TestOnlyChangedLayersAreSent(t *testing.T) {
	seen := &recorder{}
	host := serve(t, seen.middleware)
	spec := webSpec(folderOf(t, web))
	c := impatient()
	push := func(version string) int {
		t.Helper()
		spec.Version = version
		if _, sent, err := c.Push(t.Context(), packWith(t, c, spec), host+"/acme/hello", version); err != nil || !sent {
			t.Fatalf("sent %v, %v", sent, err)
		}
		return len(those(seen.take(), "PATCH "))
	}
	if n := push("1.0.0"); n != 3 {
		t.Errorf("of a new image %d blobs are sent, not 2 layers and a configuration", n)
	}
	if n := push("1.0.1"); n != 1 {
		t.Errorf("of the same files %d blobs are sent, not the configuration alone", n)
	}
	write(t, filepath.Join(spec.Dir, "public/index.html"), "<h1>hullo</h1>")
	if n := push("1.1.0"); n != 2 {
		t.Errorf("of one changed layer %d blobs are sent, not a layer and a configuration", n)
	}
}

// What arrived before a push broke off is not sent again, and no tag names it.
func TestPushGoesOn(t *testing.T) {
	seen := &recorder{}
	var broken atomic.Bool
	host := serve(t, func(next http.Handler) http.Handler {
		return seen.middleware(intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if !broken.Load() || r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/manifests/") {
				return false
			}
			http.Error(w, "", http.StatusServiceUnavailable)
			return true
		})(next))
	})
	broken.Store(true)
	c := impatient()
	p := packWith(t, c, webSpec(folderOf(t, web)))
	_, _, err := c.Push(t.Context(), p, host+"/acme/hello", "1.4.2")
	if err == nil || !strings.Contains(err.Error(), "it answered 503 again and again") || !strings.Contains(deploy.HintOf(err), "not sent twice") {
		t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
	}
	if _, err := c.Resolve(t.Context(), host+"/acme/hello", "1.4.2"); !isNotFound(err) {
		t.Errorf("half an image has a tag: %v", err)
	}
	broken.Store(false)
	seen.take()
	if _, sent, err := c.Push(t.Context(), p, host+"/acme/hello", "1.4.2"); err != nil || !sent {
		t.Errorf("sent %v, %v", sent, err)
	}
	if again := those(seen.take(), "PATCH "); len(again) > 0 {
		t.Errorf("sent again: %v", again)
	}
}

func isNotFound(err error) bool {
	var missing *NotFound
	return errors.As(err, &missing)
}

// places are the requests of a push, in order.
var places = map[string]string{
	"handshake": "GET /v2/",
	"lookup":    "GET /v2/acme/hello/manifests/1.4.2",
	"blob":      "HEAD /v2/acme/hello/blobs/",
	"upload":    "POST /v2/acme/hello/blobs/uploads/",
	"content":   "PATCH /v2/acme/hello/blobs/uploads/",
	"commit":    "PUT /v2/acme/hello/blobs/uploads/",
	"manifest":  "PUT /v2/acme/hello/manifests/sha256:",
	"look":      "HEAD /v2/acme/hello/manifests/1.4.2",
	"tag":       "PUT /v2/acme/hello/manifests/1.4.2",
}

func isAt(r *http.Request, place string) bool {
	request := r.Method + " " + r.URL.Path
	if place == "handshake" {
		return request == places[place]
	}
	return strings.HasPrefix(request, places[place])
}

// mustBeTried checks how often each request was sent. The blobs of an image
// travel together: when one fails, others may not get to their last try.
func mustBeTried(t *testing.T, requests []string, times int) {
	t.Helper()
	most, counts := 0, map[string]int{}
	for _, r := range requests {
		if _, upload, ok := strings.Cut(r, "/blobs/uploads/"); ok {
			r = "an upload of three" // whose address is new each time
			if _, digest, ok := strings.Cut(upload, "digest="); ok {
				r = digest
			}
		}
		counts[r]++
		most = max(most, counts[r])
	}
	limit := times
	if counts["an upload of three"] > 0 {
		limit *= 3
	}
	if most < times || most > limit {
		t.Errorf("sent %d times, not %d: %v", most, times, requests)
	}
}

func TestRegistryRefuses(t *testing.T) {
	p := pack(t, webSpec(folderOf(t, web)))
	for _, test := range []struct {
		status      int
		body        string
		says, hints string
		// tries is how often the same request is sent.
		tries int
		// but names the places where the answer means something else.
		but string
	}{
		{401, `{"errors":[{"code":"UNAUTHORIZED","message":"token has expired"}]}`, "HOST wants a login: token has expired", "docker login HOST", 1, "handshake"},
		{403, `{"errors":[{"code":"DENIED","message":"you may not write here"}]}`, "HOST does not allow it: you may not write here", "push to HOST/acme/hello", 1, "lookup"},
		{404, `{"errors":[{"code":"NAME_UNKNOWN"}]}`, "HOST has no repository acme/hello: NAME_UNKNOWN", "created before the first push", 1, "lookup blob look handshake"},
		{413, "", "HOST refuses a layer of this size", "raise the limit", 1, ""},
		{418, `<html>` + strings.Repeat("teapot ", 1000), "HOST answered 418", "registry's log", 1, ""},
		{429, `{"errors":[{"code":"TOOMANYREQUESTS","message":"slow\n\tdown"}]}`, "HOST limits how much may be asked of it: slow down", "wait a few minutes", attempts, ""},
		{500, "", "HOST is not well: it answered 500 again and again", "registry's status", attempts, ""},
		{503, "busy", "HOST is not well: it answered 503 again and again", "registry's status", attempts, ""},
		{507, `{"errors":[{"code":"UNKNOWN","message":"no space left on device"}]}`, "HOST has no room left: no space left on device", "make room on its disk", 1, ""},
	} {
		for place := range places {
			if strings.Contains(test.but, place) || test.status == 413 && place != "content" {
				continue
			}
			t.Run(fmt.Sprintf("%d at %s", test.status, place), func(t *testing.T) {
				seen := &recorder{}
				host := serve(t, intercept(func(w http.ResponseWriter, r *http.Request) bool {
					if !isAt(r, place) {
						return false
					}
					seen.note(r)
					w.WriteHeader(test.status)
					if r.Method != http.MethodHead {
						_, _ = io.WriteString(w, test.body)
					}
					return true
				}))
				_, sent, err := impatient().Push(t.Context(), p, host+"/acme/hello", "1.4.2")
				if err == nil || sent {
					t.Fatalf("sent %v, %v", sent, err)
				}
				says := strings.ReplaceAll(test.says, "HOST", host)
				if strings.HasPrefix(places[place], "HEAD ") { // an answer without a reason
					says, _, _ = strings.Cut(says, ": ")
				}
				if !strings.HasPrefix(err.Error(), "push "+host+"/acme/hello:1.4.2: ") || !strings.Contains(err.Error(), says) || len(err.Error()) > 500 {
					t.Errorf("%q does not say %q", err, says)
				}
				if hints := strings.ReplaceAll(test.hints, "HOST", host); !strings.Contains(deploy.HintOf(err), hints) {
					t.Errorf("the hint %q does not say %q", deploy.HintOf(err), hints)
				}
				if place != "handshake" { // of which there are several
					mustBeTried(t, seen.take(), test.tries)
				}
			})
		}
	}
}

// A registry that is not well for a moment is asked again.
func TestRegistryRecovers(t *testing.T) {
	for place := range places {
		t.Run(place, func(t *testing.T) {
			var failures atomic.Int32
			host := serve(t, intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if !isAt(r, place) || failures.Add(1) >= attempts {
					return false
				}
				if failures.Load()%2 == 0 {
					hangUp(t, w)
				} else {
					w.WriteHeader(http.StatusBadGateway)
				}
				return true
			}))
			c := impatient()
			if _, sent, err := c.Push(t.Context(), packWith(t, c, webSpec(folderOf(t, web))), host+"/acme/hello", "1.4.2"); err != nil || !sent {
				t.Errorf("sent %v, %v", sent, err)
			}
		})
	}
}

// hangUp ends a connection in the middle of an answer.
func hangUp(t *testing.T, w http.ResponseWriter) {
	conn, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	_, _ = buffered.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n")
	_ = buffered.Flush()
	_ = conn.Close()
}

func TestConnectionBreaks(t *testing.T) {
	for place := range places {
		if place == "look" { // asked again in another way
			continue
		}
		t.Run(place, func(t *testing.T) {
			host := serve(t, intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if isAt(r, place) {
					hangUp(t, w)
				}
				return isAt(r, place)
			}))
			c := impatient()
			_, _, err := c.Push(t.Context(), packWith(t, c, webSpec(folderOf(t, web))), host+"/acme/hello", "1.4.2")
			if err == nil || !strings.Contains(err.Error(), "the connection to "+host+" broke, again and again") || !strings.Contains(deploy.HintOf(err), "run it again") {
				t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
			}
		})
	}
}

// A registry may take a request and never answer: the push ends with its
// context, and says how it ended.
func TestPushIsInterrupted(t *testing.T) {
	for place := range places {
		t.Run(place, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			release := make(chan struct{})
			host := serve(t, intercept(func(_ http.ResponseWriter, r *http.Request) bool {
				if !isAt(r, place) {
					return false
				}
				cancel()
				<-release
				return true
			}))
			defer close(release)
			c := impatient()
			_, sent, err := c.Push(ctx, packWith(t, c, webSpec(folderOf(t, web))), host+"/acme/hello", "1.4.2")
			if err == nil || err.Error() != "push "+host+"/acme/hello:1.4.2: interrupted" || !errors.Is(err, context.Canceled) || sent {
				t.Errorf("got %v, sent %v", err, sent)
			}
		})
	}
}

func TestPushTakesTooLong(t *testing.T) {
	release := make(chan struct{})
	host := serve(t, intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if isAt(r, "lookup") {
			<-release
		}
		return false
	}))
	defer close(release)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	c := impatient()
	_, _, err := c.Push(ctx, packWith(t, c, webSpec(folderOf(t, web))), host+"/acme/hello", "1.4.2")
	if err == nil || !strings.Contains(err.Error(), ": the time that was given for it ran out") || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// Where the push is interrupted while it still packs, the files are read no
// further.
func TestPushIsInterruptedWhilePacking(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	host := serve(t, intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if isAt(r, "lookup") {
			cancel()
			<-r.Context().Done()
		}
		return false
	}))
	c := impatient()
	p := packWith(t, c, webSpec(folderOf(t, web)))
	if _, _, err := c.Push(ctx, p, host+"/acme/hello", "1.4.2"); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if _, err := p.Digest(); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("it is still packed: %v", err)
	}
}

func TestPushWhatCannotBePushed(t *testing.T) {
	p := pack(t, webSpec(folderOf(t, web)))
	for name, test := range map[string]struct{ repository, version, says, hints string }{
		"capitals":           {"ghcr.io/Acme/Hello", "1.0.0", `image repository "ghcr.io/Acme/Hello"`, "ghcr.io/acme/hello"},
		"a tag as well":      {"ghcr.io/acme/hello:1", "1.0.0", `image repository "ghcr.io/acme/hello:1"`, "without a tag"},
		"no repository":      {"", "1.0.0", `image repository ""`, "ghcr.io/acme/hello"},
		"no semver":          {"ghcr.io/acme/hello", "1.0+b1", `"1.0+b1" cannot be the tag`, "1.4.2"},
		"no version":         {"ghcr.io/acme/hello", "", `"" cannot be the tag`, "1.4.2"},
		"a dash first":       {"ghcr.io/acme/hello", "-rc", `"-rc" cannot be the tag`, "begins with none"},
		"too long":           {"ghcr.io/acme/hello", strings.Repeat("1", 129), "cannot be the tag", "128"},
		"more than one line": {"ghcr.io/acme/hello", "1.0.0\n", "cannot be the tag", "1.4.2"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := impatient().Push(t.Context(), p, test.repository, test.version)
			mustBeUsage(t, err, test.says, test.hints)
			_, err = impatient().Resolve(t.Context(), test.repository, test.version)
			mustBeUsage(t, err, test.says, test.hints)
		})
	}
}

// A page of something before the registry is no image that takes the tag.
func TestPageInsteadOfARegistry(t *testing.T) {
	host := serve(t, always(http.StatusOK, "<html>welcome to our network</html>"))
	c := impatient()
	_, _, err := c.Push(t.Context(), packWith(t, c, webSpec(folderOf(t, web))), host+"/acme/hello", "1.4.2")
	if err == nil || !strings.Contains(err.Error(), `answered with "text/html; charset=utf-8" and not with a manifest`) || !strings.Contains(deploy.HintOf(err), "proxy") {
		t.Errorf("got %v", err)
	}
	if _, err := c.Resolve(t.Context(), host+"/acme/hello", "1.4.2"); err == nil || !strings.Contains(err.Error(), "not with a manifest") {
		t.Errorf("got %v", err)
	}
	if err := c.Verify(t.Context(), deploy.Image{Repository: host + "/acme/hello", Digest: must(pack(t, webSpec(folderOf(t, web))).Digest()).String()}); err == nil {
		t.Error("a page is verified")
	}
}
