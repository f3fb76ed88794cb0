package registry

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/slipway-ci/slipway/deploy"
)

func TestList(t *testing.T) {
	host := serve(t, nil)
	repository := host + "/acme/hello"
	c := impatient()
	if all, err := c.List(t.Context(), repository); err != nil || len(all) > 0 {
		t.Errorf("of nothing: %v, %v", all, err)
	}

	spec := webSpec(folderOf(t, web))
	spec.Created = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	ours, _, err := c.Push(t.Context(), packWith(t, c, spec), repository, "1.4.2+build.5")
	if err != nil {
		t.Fatal(err)
	}
	old := must(mutate.CreatedAt(must(random.Image(1000, 1)), v1.Time{Time: time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)}))
	put(t, repository+":nightly", old)
	index := putIndex(t, repository, "1.5.0-rc.1", multi(t))

	all, err := c.List(t.Context(), repository)
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b Listed) int { return cmp.Compare(a.Version, b.Version) })
	if len(all) != 3 {
		t.Fatalf("got %+v", all)
	}
	if l := all[0]; l.Version != "1.4.2+build.5" || l.Digest != ours.Digest || !l.Created.Equal(spec.Created) || l.Size < 500 {
		t.Errorf("ours: %+v", l)
	}
	parts := []string{}
	for _, m := range must(must(remote.Index(ref(t, repository+":1.5.0-rc.1"))).IndexManifest()).Manifests {
		parts = append(parts, m.Digest.String())
	}
	if l := all[1]; l.Version != "1.5.0-rc.1" || l.Digest != index.Digest || l.Size < 3*(2*20<<10+5<<10) || !l.Created.IsZero() {
		t.Errorf("an index: %+v", l)
	} else if diff := gocmp.Diff(parts, l.Parts); diff != "" {
		t.Error(diff)
	}
	if l := all[2]; l.Version != "nightly" || l.Digest != must(old.Digest()).String() || l.Created.Year() != 2020 {
		t.Errorf("of somebody else: %+v", l)
	}
}

func TestDelete(t *testing.T) {
	host := serve(t, nil)
	repository := host + "/acme/hello"
	gone := putIndex(t, repository, "1.5.0-rc.1", multi(t))
	put(t, repository+":1.5.0-rc.2", must(random.Image(1000, 1)))
	for range 2 { // what is gone is gone
		if err := impatient().Delete(t.Context(), repository, gone.Digest, []string{gone.Version}); err != nil {
			t.Fatal(err)
		}
	}
	if err := impatient().Verify(t.Context(), gone); err == nil {
		t.Error("it can be pulled")
	}
	stored(t, repository+":1.5.0-rc.2")
}

// Some registries want the tags to go before the image.
func TestDeleteTagsFirst(t *testing.T) {
	seen := &recorder{}
	var digest string
	tagged := true
	host := serve(t, func(next http.Handler) http.Handler {
		return seen.middleware(intercept(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodDelete {
				return false
			}
			if r.URL.Path == "/v2/acme/hello/manifests/"+digest && tagged {
				w.WriteHeader(http.StatusBadRequest)
				return true
			}
			tagged = false
			return false
		})(next))
	})
	image := putIndex(t, host+"/acme/hello", "1.5.0-rc.1", multi(t))
	digest = image.Digest
	if err := impatient().Delete(t.Context(), image.Repository, image.Digest, []string{image.Version}); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"DELETE /v2/acme/hello/manifests/" + digest, "DELETE /v2/acme/hello/manifests/1.5.0-rc.1", "DELETE /v2/acme/hello/manifests/" + digest,
	}
	if diff := gocmp.Diff(want, those(seen.take(), "DELETE")); diff != "" {
		t.Error(diff)
	}
}

func TestUndeletable(t *testing.T) {
	host := serve(t, intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodDelete {
			return false
		}
		w.WriteHeader(http.StatusMethodNotAllowed)
		_, _ = w.Write([]byte(`{"errors":[{"code":"UNSUPPORTED","message":"The operation is unsupported."}]}`))
		return true
	}))
	image := putIndex(t, host+"/acme/hello", "1.5.0-rc.1", multi(t))
	err := impatient().Delete(t.Context(), image.Repository, image.Digest, nil)
	var is *Undeletable
	if !errors.As(err, &is) || is.Registry != host || deploy.HintOf(err) == "" {
		t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
	}
}
