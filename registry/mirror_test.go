package registry

import (
	"net/http"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-ci/slipway/deploy"
)

// A base comes from the mirror, and what is built on it is the same as without.
func TestMirror(t *testing.T) {
	origin, mirror := &recorder{}, &recorder{}
	from, nearer := serve(t, origin.middleware), serve(t, mirror.middleware)
	base := distroless(t, v1.Platform{OS: "linux", Architecture: "amd64"})
	put(t, from+"/acme/base:1", base)
	put(t, nearer+"/copies/acme/base:1", base)
	put(t, from+"/acme/other:1", base)
	origin.take()
	mirror.take()

	digest := func(c *Client, base string) string {
		spec := webSpec(folderOf(t, web))
		spec.Build.Base, spec.Build.Platform = base, "linux/amd64"
		return must(packWith(t, c, spec).Digest()).String()
	}
	without := digest(impatient(), from+"/acme/base:1")
	origin.take()
	c := impatient()
	c.Mirrors = map[string]string{from: nearer + "/copies"}
	if with := digest(c, from+"/acme/base:1"); with != without {
		t.Errorf("%s with the mirror, %s without", with, without)
	}
	if seen := origin.take(); len(seen) > 0 {
		t.Errorf("the registry was asked: %v", seen)
	}
	if seen := those(mirror.take(), "GET /v2/copies/acme/base/manifests/1"); len(seen) != 1 {
		t.Errorf("the mirror was asked %d times", len(seen))
	}

	// What the mirror has not comes from the registry.
	digest(c, from+"/acme/other:1")
	if seen := those(origin.take(), "GET /v2/acme/other/manifests/1"); len(seen) != 1 {
		t.Errorf("the registry was asked %d times", len(seen))
	}
}

// A mirror that is not well is done without.
func TestBrokenMirror(t *testing.T) {
	from := serve(t, nil)
	nearer := serve(t, intercept(func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(http.StatusBadGateway)
		return true
	}))
	put(t, from+"/acme/base:1", distroless(t, v1.Platform{OS: "linux", Architecture: "amd64"}))
	c := impatient()
	c.Mirrors = map[string]string{from: nearer}
	spec := webSpec(folderOf(t, web))
	spec.Build = deploy.Build{Base: from + "/acme/base:1", Platform: "linux/amd64"}
	packWith(t, c, spec)
	if _, ok := c.mirrored(ref(t, "ghcr.io/acme/base:1")); ok {
		t.Error("a registry without a mirror has one")
	}
	if at, ok := (&Client{Mirrors: map[string]string{"docker.io": "mirror.gcr.io"}}).mirrored(ref(t, "busybox")); !ok || at.Name() != "mirror.gcr.io/library/busybox:latest" {
		t.Errorf("got %v", at)
	}
}
