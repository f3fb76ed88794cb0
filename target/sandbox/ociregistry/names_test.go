package ociregistry

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
)

func TestParseRoute(t *testing.T) {
	for path, want := range map[string]route{
		"/v2":                                   {kindVersion, "", ""},
		"/v2/":                                  {kindVersion, "", ""},
		"/v2/_catalog":                          {kindCatalog, "", ""},
		"/v2/hello/manifests/1.0":               {kindManifest, "hello", "1.0"},
		"/v2/a/b/c/manifests/sha256:00":         {kindManifest, "a/b/c", "sha256:00"},
		"/v2/manifests/manifests/manifests":     {kindManifest, "manifests", "manifests"},
		"/v2/blobs/uploads/blobs/uploads/":      {kindUploads, "blobs/uploads", ""},
		"/v2/hello/blobs/uploads":               {kindUploads, "hello", ""},
		"/v2/hello/blobs/uploads/ABC":           {kindUpload, "hello", "ABC"},
		"/v2/hello/blobs/sha256:00":             {kindBlob, "hello", "sha256:00"},
		"/v2/tags/list/tags/list":               {kindTags, "tags/list", ""},
		"/v2/hello/referrers/sha256:00":         {kindReferrers, "hello", "sha256:00"},
		"/v2/a.b_c__d---e/f0/manifests/x":       {kindManifest, "a.b_c__d---e/f0", "x"},
		"/v2/hello/blobs/uploads/manifests/tag": {kindManifest, "hello/blobs/uploads", "tag"},
	} {
		if got, err := parseRoute(path); err != nil || got != want {
			t.Errorf("%s: %+v %v, want %+v", path, got, err, want)
		}
	}
	for _, path := range []string{
		"", "/", "/v1/", "/v2x", "/v2/hello", "/v2//manifests/1", "/v2/../manifests/1", "/v2/a/../b/manifests/1",
		"/v2/a//b/manifests/1", "/v2/./manifests/1", "/v2/a./manifests/1", "/v2/.a/manifests/1", "/v2/_tags/manifests/1",
		"/v2/a/_manifests/manifests/1", "/v2/A/manifests/1", "/v2/a b/manifests/1", "/v2/a\x00/manifests/1", "/v2/a\n/manifests/1",
		"/v2/" + strings.Repeat("a", maxName+1) + "/manifests/1",
	} {
		if got, err := parseRoute(path); err == nil {
			t.Errorf("%q: %+v", path, got)
		}
	}
}

// No request leaves the folder or is answered with a failure of the registry,
// and every refusal is one.
func FuzzReference(f *testing.F) {
	for _, seed := range []string{
		"/v2/hello/manifests/1.0", "/v2/../../etc/manifests/passwd", "/v2/a/manifests/..", "/v2/a/manifests/.",
		"/v2/a/blobs/sha256:../../x", "/v2/a/blobs/uploads/../../x", "/v2/a/manifests/sha256:", "/v2/a\\b/manifests/c:d",
		"/v2/a/referrers/sha256:" + strings.Repeat("0", 64), "/v2/a/tags/list", "/v2/_catalog", "/v2/%2e%2e/manifests/1",
	} {
		f.Add(seed)
	}
	dir := filepath.Join(f.TempDir(), "registry")
	r, err := New(dir, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, path string) {
		to, err := parseRoute(path)
		var refused *refusal
		if err != nil && !errors.As(err, &refused) {
			t.Fatalf("%q: %T", path, err)
		}
		if err == nil && to.name != "" {
			within(t, dir, r.store.repoPath(to.name))
			if validTag(to.target) {
				within(t, dir, r.store.tagPath(to.name, to.target))
			}
			if h, err := parseDigest(to.target); err == nil {
				within(t, dir, r.store.manifestPath(to.name, h))
				within(t, dir, r.store.blobPath(h))
			}
		}
		for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodPut} {
			w := httptest.NewRecorder()
			r.ServeHTTP(w, &http.Request{Method: method, URL: &url.URL{Path: path}, Body: http.NoBody, Header: http.Header{}})
			if w.Code >= http.StatusInternalServerError {
				t.Fatalf("%s %q: %d %s", method, path, w.Code, w.Body)
			}
		}
	})
}

// within checks that a path is below a folder and clean.
func within(t *testing.T, dir, path string) {
	t.Helper()
	rel, err := filepath.Rel(dir, path)
	if err != nil || !filepath.IsLocal(rel) || rel == "." || filepath.Clean(path) != path {
		t.Fatalf("%q is not in the registry", path)
	}
}
