package registry

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/slipway-ci/slipway/deploy"
)

// All that is asked of a registry, asked of those that others wrote.
func TestRealRegistries(t *testing.T) {
	real(t, logins, func(t *testing.T, r *realRegistry) {
		ctx, c := shortly(t), r.client()
		repository := r.host + "/acme/hello"
		if versions, err := c.Versions(ctx, repository); err != nil || len(versions) > 0 {
			t.Errorf("of nothing: %v, %v", versions, err)
		}

		// A push, its repetition, and another image under the same version.
		dir := folderOf(t, web)
		image, sent, err := c.Push(ctx, packWith(t, c, webSpec(dir)), repository, "1.4.2+build.5")
		if err != nil || !sent {
			t.Fatalf("sent %v, %v", sent, err)
		}
		if again, sent, err := c.Push(ctx, packWith(t, c, webSpec(dir)), repository, "1.4.2+build.5"); err != nil || sent || again != image {
			t.Errorf("again: %+v, sent %v, %v", again, sent, err)
		}
		spec := webSpec(dir)
		spec.Revision = "another"
		var is *Taken
		if _, _, err := c.Push(ctx, packWith(t, c, spec), repository, "1.4.2+build.5"); !errors.As(err, &is) {
			t.Errorf("another image: %v", err)
		}
		if found, err := c.Resolve(ctx, repository, "1.4.2+build.5"); err != nil || found != image {
			t.Errorf("found %+v, %v", found, err)
		}
		if err := c.Verify(ctx, image); err != nil {
			t.Error(err)
		}

		// A tag that moves, and what is known of the image by it.
		if err := c.Point(ctx, "1.4", image); err != nil {
			t.Error(err)
		}
		if d, err := c.Describe(ctx, repository, "1.4"); err != nil || d.Digest != image.Digest || d.Version != webSpec(dir).Version {
			t.Errorf("described as %+v, %v", d, err)
		}

		// A copy within the registry, which moves no content.
		promoted, sent, err := c.Copy(ctx, image, r.host+"/prod/hello")
		if err != nil || !sent || promoted.Digest != image.Digest {
			t.Fatalf("copied %+v, sent %v, %v", promoted, sent, err)
		}
		if err := c.Verify(ctx, promoted); err != nil {
			t.Error(err)
		}
		if _, sent, err := c.Copy(ctx, image, r.host+"/prod/hello"); err != nil || sent {
			t.Errorf("sent %v, %v", sent, err)
		}

		// What is there, and what is not any more.
		other, _, err := c.Push(ctx, packWith(t, c, spec), repository, "1.5.0-rc.1")
		if err != nil {
			t.Fatal(err)
		}
		mustHave(t, c, repository, "1.4", "1.4.2+build.5", "1.5.0-rc.1")
		if err := c.Delete(ctx, repository, other.Digest, []string{other.Version}); err != nil {
			t.Error(err)
		}
		mustHave(t, c, repository, "1.4", "1.4.2+build.5")
		if err := c.Verify(ctx, image); err != nil {
			t.Error(err)
		}
		preview, _, err := c.Push(ctx, packWith(t, c, spec), repository, "0.0.0-pr.12.g1a2b3c4")
		if err != nil {
			t.Fatal(err)
		}
		if removed, err := c.Remove(ctx, repository, "0.0.0-pr.12."); err != nil || len(removed) != 1 {
			t.Errorf("removed %v, %v", removed, err)
		}
		if _, err := c.Resolve(ctx, repository, preview.Version); err == nil {
			t.Error("the preview's image is there")
		}
		mustHave(t, c, repository, "1.4", "1.4.2+build.5")
	})
}

// mustHave checks the tags of a repository, by their list and one by one.
func mustHave(t *testing.T, c *Client, repository string, want ...string) {
	t.Helper()
	all, err := c.List(shortly(t), repository)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, l := range all {
		have = append(have, l.Version)
	}
	slices.Sort(have)
	if !slices.Equal(have, want) {
		t.Errorf("there is %v, not %v", have, want)
	}
}

func TestRealRegistriesRefuse(t *testing.T) {
	real(t, []string{"basic", "token"}, func(t *testing.T, r *realRegistry) {
		for name, wrong := range map[string]account{"nobody": {}, "a wrong password": {r.host, "acme", password + "!"}} {
			c := impatient()
			c.Keychain = wrong
			_, _, err := c.Push(shortly(t), packWith(t, c, webSpec(folderOf(t, web))), r.host+"/acme/hello", "1.4.2")
			if err == nil || !strings.Contains(err.Error(), r.host+" wants a login") || !strings.Contains(deploy.HintOf(err), "docker login "+r.host) {
				t.Errorf("%s: %v, hint %q", name, err, deploy.HintOf(err))
			}
			if err != nil && strings.Contains(err.Error(), password) {
				t.Errorf("the password is told: %v", err)
			}
		}
	})
}

// mountsCounted counts what a client asks to mount and what it sends.
type mountsCounted struct{ mounted, sent atomic.Int64 }

func (m *mountsCounted) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err == nil && r.Method == http.MethodPost && r.URL.Query().Get("mount") != "" && answer.StatusCode == http.StatusCreated {
		m.mounted.Add(1)
	}
	if r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/blobs/") {
		m.sent.Add(1)
	}
	return answer, err
}

// Between registries an index goes with all its images; within one, its blobs
// are mounted.
func TestRealCopies(t *testing.T) {
	real(t, []string{"open"}, func(t *testing.T, r *realRegistry) {
		elsewhere := serve(t, nil)
		image := putIndex(t, elsewhere+"/acme/hello", "1.4.2", multi(t))
		copied, _, err := r.client().Copy(shortly(t), image, r.host+"/acme/hello")
		if err != nil {
			t.Fatal(err)
		}
		if err := r.client().Verify(shortly(t), copied); err != nil {
			t.Error(err)
		}
		if index, err := remote.Index(ref(t, r.host+"/acme/hello:1.4.2")); err != nil || must(index.Digest()) != must(v1.NewHash(image.Digest)) {
			t.Errorf("the index is another: %v", err)
		}
		way := &mountsCounted{}
		c := r.client()
		c.Transport = way
		if _, _, err := c.Copy(shortly(t), copied, r.host+"/prod/hello"); err != nil {
			t.Fatal(err)
		}
		if mounted, sent := way.mounted.Load(), way.sent.Load(); mounted != 10 || sent != 0 {
			t.Errorf("%d blobs were mounted and %d sent, of 10", mounted, sent)
		}
	})
}
