package registry

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func TestRemoveRemovesTheVersionsOfAPrefixAlone(t *testing.T) {
	// Some registries remove tags, others manifests alone.
	noTags := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodDelete && !strings.Contains(r.URL.Path, "sha256:") {
				w.WriteHeader(http.StatusMethodNotAllowed)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
	for kind, before := range map[string]func(http.Handler) http.Handler{"tags": nil, "manifests": noTags} {
		t.Run(kind, func(t *testing.T) {
			repository := serve(t, before) + "/acme/hello"
			for _, version := range []string{"1.0.0", "0.0.0-pr.1.gaaaaaaa", "0.0.0-pr.1.gbbbbbbb", "0.0.0-pr.12.gaaaaaaa"} {
				tagged(t, repository, version)
			}
			gone := repository + ":0.0.0-pr.1.gaaaaaaa"
			if kind == "manifests" { // the server of these tests leaves the tag of a manifest that is gone
				gone = repository + "@" + stored(t, gone).String()
			}
			removed, err := impatient().Remove(t.Context(), repository, "0.0.0-pr.1.")
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{"0.0.0-pr.1.gaaaaaaa", "0.0.0-pr.1.gbbbbbbb"}, removed); diff != "" {
				t.Errorf("removed (-want +got):\n%s", diff)
			}
			for _, version := range []string{"1.0.0", "0.0.0-pr.12.gaaaaaaa"} {
				if _, err := impatient().Resolve(t.Context(), repository, version); err != nil {
					t.Errorf("%s: %v", version, err)
				}
			}
			if _, err := remote.Head(ref(t, gone)); err == nil {
				t.Errorf("%s is there still", gone)
			}
		})
	}
}

func tagged(t *testing.T, repository, version string) {
	t.Helper()
	img, err := random.Image(64, 1)
	if err != nil {
		t.Fatal(err)
	}
	put(t, repository+":"+version, img)
}

func TestRemoveOfNothing(t *testing.T) {
	host := serve(t, nil)
	if removed, err := impatient().Remove(t.Context(), host+"/acme/none", "0.0.0-pr.1."); err != nil || len(removed) > 0 {
		t.Errorf("a repository that is not there: %v, %v", removed, err)
	}
	if _, err := impatient().Remove(t.Context(), host+"/acme/hello", ""); err == nil {
		t.Error("an empty prefix would remove everything, and is taken")
	}
}

func TestRemoveExplainsARefusal(t *testing.T) {
	host := serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodDelete {
				w.WriteHeader(http.StatusForbidden)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	tagged(t, host+"/acme/hello", "0.0.0-pr.1.gaaaaaaa")
	_, err := impatient().Remove(t.Context(), host+"/acme/hello", "0.0.0-pr.1.")
	if err == nil || !strings.Contains(err.Error(), "0.0.0-pr.1.gaaaaaaa") {
		t.Errorf("got %v", err)
	}
}
