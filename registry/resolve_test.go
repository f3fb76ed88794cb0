package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/slipway-ci/slipway/deploy"
)

func TestResolveFindsNothing(t *testing.T) {
	host := serve(t, nil)
	put(t, host+"/acme/hello:1.0.0", distroless(t, amd64))
	for _, repository := range []string{host + "/acme/hello", host + "/acme/none"} {
		_, err := impatient().Resolve(t.Context(), repository, "2.0.0")
		var missing *NotFound
		if !errors.As(err, &missing) || *missing != (NotFound{repository, "2.0.0"}) {
			t.Errorf("got %v", err)
		}
		if err.Error() != repository+" has no image 2.0.0" || !strings.Contains(deploy.HintOf(err), "slipway build --push") {
			t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
		}
	}
}

// Some registries do not answer HEAD, others not with a digest.
func TestResolveWithoutHead(t *testing.T) {
	for name, head := range map[string]func(w http.ResponseWriter){
		"not allowed":      func(w http.ResponseWriter) { w.WriteHeader(http.StatusMethodNotAllowed) },
		"without a digest": func(w http.ResponseWriter) { w.Header().Set("Content-Type", string(types.OCIManifestSchema1)) },
	} {
		t.Run(name, func(t *testing.T) {
			host := serve(t, intercept(func(w http.ResponseWriter, r *http.Request) bool {
				if r.Method != http.MethodHead || !strings.Contains(r.URL.Path, "/manifests/") {
					return false
				}
				head(w)
				return true
			}))
			img := distroless(t, amd64)
			if err := remote.Put(ref(t, host+"/acme/hello:1.0.0"), img); err != nil {
				t.Fatal(err)
			}
			got, err := impatient().Resolve(t.Context(), host+"/acme/hello", "1.0.0")
			if err != nil || got.Digest != must(img.Digest()).String() {
				t.Errorf("got %+v, %v", got, err)
			}
			if _, err := impatient().Resolve(t.Context(), host+"/acme/hello", "2.0.0"); name == "not allowed" && !isNotFound(err) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestLookupsFail(t *testing.T) {
	digest := "sha256:" + strings.Repeat("ab", 32)
	for name, test := range map[string]struct {
		host        func(t *testing.T) string
		says, hints string
	}{
		"unauthorized":       {func(t *testing.T) string { return serve(t, always(401, "")) }, "HOST wants a login", "docker login HOST"},
		"forbidden":          {func(t *testing.T) string { return serve(t, always(403, "")) }, "HOST does not allow it", "HOST/acme/hello"},
		"limited":            {func(t *testing.T) string { return serve(t, always(429, "")) }, "HOST limits", "wait"},
		"broken":             {func(t *testing.T) string { return serve(t, always(500, "")) }, "HOST is not well", "log"},
		"connection refused": {refusesConnections, "nothing answers at HOST", "runs"},
	} {
		t.Run(name, func(t *testing.T) {
			host := test.host(t)
			fill := func(s string) string { return strings.ReplaceAll(s, "HOST", host) }
			_, resolving := impatient().Resolve(t.Context(), host+"/acme/hello", "1.0.0")
			verifying := impatient().Verify(t.Context(), deploy.Image{Repository: host + "/acme/hello", Digest: digest})
			for operation, err := range map[string]error{
				"find HOST/acme/hello:1.0.0: ":            resolving,
				"verify HOST/acme/hello@" + digest + ": ": verifying,
			} {
				if err == nil || err.Error()[:len(fill(operation))] != fill(operation) || !strings.Contains(err.Error(), fill(test.says)) || !strings.Contains(deploy.HintOf(err), fill(test.hints)) {
					t.Errorf("%v, hint %q", err, deploy.HintOf(err))
				}
			}
		})
	}
}

func TestLookupsAreInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	release := make(chan struct{})
	host := serve(t, intercept(func(http.ResponseWriter, *http.Request) bool {
		cancel()
		<-release
		return false
	}))
	defer close(release)
	if _, err := impatient().Resolve(ctx, host+"/acme/hello", "1.0.0"); err == nil || err.Error() != "find "+host+"/acme/hello:1.0.0: interrupted" {
		t.Errorf("got %v", err)
	}
	digest := "sha256:" + strings.Repeat("ab", 32)
	if err := impatient().Verify(ctx, deploy.Image{Repository: host + "/acme/hello", Digest: digest}); err == nil || !strings.HasSuffix(err.Error(), digest+": interrupted") {
		t.Errorf("got %v", err)
	}
}

func TestVerifyRefuses(t *testing.T) {
	for name, image := range map[string]deploy.Image{
		"no digest":            {Repository: "ghcr.io/acme/hello"},
		"a digest cut short":   {Repository: "ghcr.io/acme/hello", Digest: "sha256:abc"},
		"a digest in capitals": {Repository: "ghcr.io/acme/hello", Digest: "sha256:" + strings.Repeat("AB", 32)},
		"another hash":         {Repository: "ghcr.io/acme/hello", Digest: "md5:" + strings.Repeat("ab", 16)},
	} {
		t.Run(name, func(t *testing.T) {
			mustBeUsage(t, impatient().Verify(t.Context(), image), "image digest", "64 hexadecimal digits")
		})
	}
	mustBeUsage(t, impatient().Verify(t.Context(), deploy.Image{Repository: "UPPER"}), `image repository "UPPER"`, "ghcr.io/acme/hello")
}

// forget takes a blob away, as garbage collection that goes wrong does.
func forget(t *testing.T, repository, digest string) {
	t.Helper()
	repo, err := name.NewRepository(repository)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, "http://"+repo.RegistryStr()+"/v2/"+repo.RepositoryStr()+"/"+digest, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusAccepted {
		t.Fatalf("%s: %s", req.URL, res.Status)
	}
}

func TestVerify(t *testing.T) {
	one, two := distroless(t, amd64), distroless(t, arm64)
	foreign := must(mutate.Append(one, mutate.Addendum{
		Layer: static.NewLayer([]byte("not to be distributed"), types.OCIRestrictedLayer), MediaType: types.OCIRestrictedLayer,
	}))
	ix := index(t, one, two)
	layer := func(img v1.Image) string { return "blobs/" + must(must(img.Layers())[0].Digest()).String() }
	config := func(img v1.Image) string { return "blobs/" + must(img.ConfigName()).String() }
	for name, test := range map[string]struct {
		what interface {
			Digest() (v1.Hash, error)
		}
		lose string
	}{
		"an image": {one, ""},
		"an image with a layer that is elsewhere": {foreign, ""},
		"an index":                             {ix, ""},
		"an image without a layer":             {one, layer(one)},
		"an image without its configuration":   {one, config(one)},
		"an index of an image without a layer": {ix, layer(two)},
		"an index without an image":            {ix, "manifests/" + must(two.Digest()).String()},
	} {
		t.Run(name, func(t *testing.T) {
			repository := serve(t, nil) + "/acme/hello"
			put(t, repository+":image", one)
			put(t, repository+":foreign", foreign)
			if err := remote.WriteIndex(ref(t, repository+":index"), ix); err != nil {
				t.Fatal(err)
			}
			if test.lose != "" {
				forget(t, repository, test.lose)
			}
			err := impatient().Verify(t.Context(), deploy.Image{Repository: repository, Digest: must(test.what.Digest()).String()})
			if test.lose == "" && err != nil {
				t.Error(err)
			}
			if test.lose == "" {
				return
			}
			_, digest, _ := strings.Cut(test.lose, "/")
			if !errors.Is(err, ErrIncomplete) || !strings.Contains(err.Error(), digest+" is missing") || !strings.Contains(deploy.HintOf(err), "under a new version") {
				t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
			}
		})
	}
}

func TestVerifyFindsNothing(t *testing.T) {
	repository := serve(t, nil) + "/acme/hello"
	unknown := "sha256:" + strings.Repeat("ab", 32)
	if err := impatient().Verify(t.Context(), deploy.Image{Repository: repository, Digest: unknown}); !isNotFound(err) || !strings.Contains(err.Error(), unknown) {
		t.Errorf("got %v", err)
	}
}

// A registry that answers with another manifest than was asked for.
func TestVerifyAnotherManifest(t *testing.T) {
	host := serve(t, intercept(func(_ http.ResponseWriter, r *http.Request) bool {
		if before, _, ok := strings.Cut(r.URL.Path, "/manifests/sha256:"); ok {
			r.URL.Path = before + "/manifests/other"
		}
		return false
	}))
	put(t, host+"/acme/hello:other", distroless(t, arm64))
	err := impatient().Verify(t.Context(), deploy.Image{Repository: host + "/acme/hello", Digest: must(distroless(t, amd64).Digest()).String()})
	if err == nil || isNotFound(err) || !strings.Contains(err.Error(), "does not match") {
		t.Errorf("got %v", err)
	}
}

// A manifest of the right digest may still be no manifest.
func TestVerifyNonsense(t *testing.T) {
	for mediaType, content := range map[types.MediaType]string{
		types.OCIManifestSchema1: `{"layers":7}`,
		types.OCIImageIndex:      `{"manifests":[{"digest":"sha256:zz"}]}`,
	} {
		digest, _, err := v1.SHA256(strings.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		host := serve(t, intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/manifests/") {
				return false
			}
			w.Header().Set("Content-Type", string(mediaType))
			_, _ = io.WriteString(w, content)
			return true
		}))
		err = impatient().Verify(t.Context(), deploy.Image{Repository: host + "/acme/hello", Digest: digest.String()})
		if err == nil || !strings.Contains(err.Error(), digest.String()) {
			t.Errorf("%s: got %v", mediaType, err)
		}
	}
}
