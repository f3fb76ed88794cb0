package ociregistry

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// serve opens the registry in dir and serves it for the length of a test.
func serve(t testing.TB, dir string) (*Registry, *httptest.Server) {
	t.Helper()
	r, err := New(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(r)
	t.Cleanup(s.Close)
	return r, s
}

// ref is a reference on a server.
func ref(t testing.TB, s *httptest.Server, path string) name.Reference {
	t.Helper()
	r, err := name.ParseReference(strings.TrimPrefix(s.URL, "http://") + "/" + path)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// image makes an image of two random layers.
func image(t testing.TB) v1.Image {
	t.Helper()
	img, err := random.Image(2048, 2)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func digest(t testing.TB, d interface{ Digest() (v1.Hash, error) }) v1.Hash {
	t.Helper()
	h, err := d.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func push(t testing.TB, to name.Reference, img v1.Image, options ...remote.Option) {
	t.Helper()
	if err := remote.Write(to, img, options...); err != nil {
		t.Fatal(err)
	}
}

// holds checks that an image can be pulled whole.
func holds(t testing.TB, from name.Reference, want v1.Image) {
	t.Helper()
	got, err := remote.Image(from)
	if err != nil {
		t.Fatal(err)
	}
	if digest(t, got) != digest(t, want) {
		t.Errorf("%s is %s, want %s", from, digest(t, got), digest(t, want))
	}
	if err := validate.Image(got); err != nil {
		t.Error(err)
	}
}

// send sends any request.
func send(t testing.TB, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	content, err := io.ReadAll(res.Body)
	if err := errors.Join(err, res.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return res, string(content)
}

// files are all files under a folder of the registry.
func files(t testing.TB, parts ...string) []string {
	t.Helper()
	var found []string
	err := filepath.WalkDir(filepath.Join(parts...), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			found = append(found, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func status(err error) int {
	var e *transport.Error
	if errors.As(err, &e) {
		return e.StatusCode
	}
	return 0
}

func TestPushPullTagDelete(t *testing.T) {
	dir := t.TempDir()
	_, s := serve(t, dir)
	one, two := image(t), image(t)
	push(t, ref(t, s, "acme/hello:1.0.0"), one)
	push(t, ref(t, s, "acme/hello:1.1.0"), two)
	push(t, ref(t, s, "acme/hello:latest"), two)
	push(t, ref(t, s, "acme:v1"), one)
	holds(t, ref(t, s, "acme/hello:1.0.0"), one)
	holds(t, ref(t, s, "acme/hello@"+digest(t, two).String()), two)

	tags, err := remote.List(ref(t, s, "acme/hello").Context())
	if err != nil || !slices.Equal(tags, []string{"1.0.0", "1.1.0", "latest"}) {
		t.Errorf("tags %v %v", tags, err)
	}
	registry := ref(t, s, "acme/hello").Context().Registry
	repos, err := remote.Catalog(t.Context(), registry)
	if err != nil || !slices.Equal(repos, []string{"acme", "acme/hello"}) {
		t.Errorf("catalog %v %v", repos, err)
	}

	if err := remote.Delete(ref(t, s, "acme/hello:latest")); err != nil {
		t.Fatal(err)
	}
	holds(t, ref(t, s, "acme/hello:1.1.0"), two)
	if err := remote.Delete(ref(t, s, "acme/hello@"+digest(t, two).String())); err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Get(ref(t, s, "acme/hello:1.1.0")); status(err) != http.StatusNotFound {
		t.Errorf("the tag outlives its manifest: %v", err)
	}
	if err := remote.Delete(ref(t, s, "acme/hello:latest")); status(err) != http.StatusNotFound {
		t.Errorf("deleted twice: %v", err)
	}
	holds(t, ref(t, s, "acme/hello:1.0.0"), one)
	if left := files(t, dir, "tmp"); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestTagMoves(t *testing.T) {
	_, s := serve(t, t.TempDir())
	one, two := image(t), image(t)
	push(t, ref(t, s, "hello:1"), one)
	push(t, ref(t, s, "hello:1"), two)
	holds(t, ref(t, s, "hello:1"), two)
	holds(t, ref(t, s, "hello@"+digest(t, one).String()), one)
	if err := remote.Tag(ref(t, s, "hello:2").(name.Tag), two); err != nil {
		t.Fatal(err)
	}
	holds(t, ref(t, s, "hello:2"), two)
}

func TestIndex(t *testing.T) {
	_, s := serve(t, t.TempDir())
	index, err := random.Index(512, 1, 3)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref(t, s, "hello:all"), index); err != nil {
		t.Fatal(err)
	}
	got, err := remote.Index(ref(t, s, "hello:all"))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(got); err != nil {
		t.Error(err)
	}
	raw, err := index.RawManifest()
	if err != nil {
		t.Fatal(err)
	}
	res, body := send(t, http.MethodPut, s.URL+"/v2/other/manifests/all", string(raw), "Content-Type", string(types.OCIImageIndex))
	if res.StatusCode != http.StatusNotFound || !strings.Contains(body, codeManifestUnknown) {
		t.Errorf("an index without its images: %d %s", res.StatusCode, body)
	}
}

func TestReferrers(t *testing.T) {
	_, s := serve(t, t.TempDir())
	subject := image(t)
	push(t, ref(t, s, "hello:1"), subject)
	desc, err := remote.Head(ref(t, s, "hello:1"))
	if err != nil {
		t.Fatal(err)
	}
	note := mutate.Subject(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.acme.note"), *desc).(v1.Image)
	push(t, ref(t, s, "hello@"+digest(t, note).String()), note)
	for filter, want := range map[string]int{"": 1, "application/vnd.acme.note": 1, "application/vnd.acme.other": 0} {
		res, body := send(t, http.MethodGet, s.URL+"/v2/hello/referrers/"+desc.Digest.String()+"?artifactType="+filter, "")
		var index v1.IndexManifest
		if err := json.Unmarshal([]byte(body), &index); err != nil {
			t.Fatal(err)
		}
		if len(index.Manifests) != want || res.Header.Get("Content-Type") != string(types.OCIImageIndex) {
			t.Errorf("%q: %s", filter, body)
		}
		if want == 1 && (index.Manifests[0].Digest != digest(t, note) || index.Manifests[0].ArtifactType != "application/vnd.acme.note") {
			t.Errorf("%q: %s", filter, body)
		}
		if applied := res.Header.Get("OCI-Filters-Applied"); (applied != "") != (filter != "") {
			t.Errorf("%q: filters applied %q", filter, applied)
		}
	}
	if res, body := send(t, http.MethodGet, s.URL+"/v2/none/referrers/"+desc.Digest.String(), ""); res.StatusCode != 200 || !strings.Contains(body, `"manifests":[]`) {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestRestartKeepsEverything(t *testing.T) {
	dir := t.TempDir()
	_, s := serve(t, dir)
	one, two := image(t), mutate.MediaType(image(t), types.OCIManifestSchema1)
	push(t, ref(t, s, "acme/hello:1.0.0"), one)
	push(t, ref(t, s, "acme/hello:1.1.0"), two)
	push(t, ref(t, s, "deep/er/still:v1"), two)
	s.Close()
	_, s = serve(t, dir)
	holds(t, ref(t, s, "acme/hello:1.0.0"), one)
	holds(t, ref(t, s, "acme/hello:1.1.0"), two)
	holds(t, ref(t, s, "deep/er/still:v1"), two)
	got, err := remote.Head(ref(t, s, "acme/hello:1.1.0"))
	if err != nil || got.MediaType != types.OCIManifestSchema1 {
		t.Errorf("media type %v %v", got, err)
	}
}

// What a killed process may leave: half an upload, half a manifest, and files
// that a failing disk has damaged.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	_, s := serve(t, dir)
	good, bad := image(t), image(t)
	push(t, ref(t, s, "hello:good"), good)
	push(t, ref(t, s, "hello:bad"), bad)
	push(t, ref(t, s, "hello:badtag"), good)
	s.Close()
	layers, err := good.Layers()
	if err != nil {
		t.Fatal(err)
	}
	layer := digest(t, layers[0])
	for path, content := range map[string]string{
		"tmp/ABCDEF": "half a blob",
		"repositories/hello/_manifests/" + digest(t, bad).Hex: "application/json\n{\"half",
		"repositories/hello/_manifests/stray":                 "what is this",
		"repositories/hello/_manifests/x/y":                   "a folder",
		"repositories/hello/_tags/badtag":                     "../../../etc/passwd",
		"repositories/hello/_tags/dangling":                   "sha256:" + strings.Repeat("0", 64) + "\n",
		"repositories/hello/_tags/.hidden":                    "sha256:",
		"repositories/Stray File":                             "",
		"blobs/sha256/" + layer.Hex:                           "short",
		"blobs/sha256/stray":                                  "",
	} {
		path = filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	log := &lockedLog{}
	r, err := New(dir, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	s = httptest.NewServer(r)
	defer s.Close()
	if left := files(t, dir, "tmp"); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	for _, want := range []string{"manifest is damaged", "tag is damaged", "tag names a manifest that is not there"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log lacks %q:\n%s", want, log)
		}
	}
	for _, reference := range []string{"hello:bad", "hello:badtag", "hello:dangling"} {
		if _, err := remote.Get(ref(t, s, reference)); status(err) != http.StatusNotFound {
			t.Errorf("%s: %v", reference, err)
		}
	}
	if res, _ := send(t, http.MethodHead, s.URL+"/v2/hello/blobs/"+layer.String(), ""); res.StatusCode != http.StatusNotFound {
		t.Errorf("damaged blob: %d", res.StatusCode)
	}
	if !strings.Contains(log.String(), "blob is damaged") {
		t.Error("the damaged blob is not in the log")
	}
	push(t, ref(t, s, "hello:bad"), bad) // pushing again repairs it
	push(t, ref(t, s, "hello:badtag"), good)
	holds(t, ref(t, s, "hello:good"), good)
	holds(t, ref(t, s, "hello:bad"), bad)
	holds(t, ref(t, s, "hello:badtag"), good)
}

func TestFolderCannotBeUsed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := New(file, nil); err == nil || !strings.HasPrefix(err.Error(), "open registry: ") {
		t.Errorf("got %v", err)
	}
}

func TestManifestIsRefused(t *testing.T) {
	dir := t.TempDir()
	_, s := serve(t, dir)
	absent := "sha256:" + strings.Repeat("a", 64)
	layer := func(d string) string {
		return fmt.Sprintf(`{"schemaVersion":2,"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar","size":1,"digest":%q}]}`, d)
	}
	for name, test := range map[string]struct {
		reference, body, contentType string
		status                       int
		code                         string
	}{
		"not JSON":         {"v1", "{", "", 400, codeManifestInvalid},
		"not an object":    {"v1", `[]`, "", 400, codeManifestInvalid},
		"schema 1":         {"v1", `{"schemaVersion":1}`, "", 400, codeManifestInvalid},
		"blob is missing":  {"v1", layer(absent), "", 404, codeManifestBlobUnknown},
		"digest climbs":    {"v1", layer("sha256:../../../../etc/passwd"), "", 400, codeManifestInvalid},
		"digest is empty":  {"v1", layer(""), "", 400, codeManifestInvalid},
		"no digest at all": {"v1", `{"schemaVersion":2,"layers":[{"size":1}]}`, "", 400, codeManifestInvalid},
		"other digest":     {absent, `{"schemaVersion":2}`, "", 400, codeDigestInvalid},
		"sha512":           {"sha512:" + strings.Repeat("a", 128), `{"schemaVersion":2}`, "", 400, codeDigestInvalid},
		"bad tag":          {"-v1", `{"schemaVersion":2}`, "", 400, codeTagInvalid},
		"two lines":        {"v1", `{"schemaVersion":2,"mediaType":"a\nb"}`, "", 400, codeManifestInvalid},
		"too large":        {"v1", strings.Repeat(" ", maxManifest+1), "", 413, codeSizeInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			headers := []string{}
			if test.contentType != "" {
				headers = []string{"Content-Type", test.contentType}
			}
			res, body := send(t, http.MethodPut, s.URL+"/v2/hello/manifests/"+test.reference, test.body, headers...)
			if res.StatusCode != test.status || !strings.Contains(body, `"`+test.code+`"`) {
				t.Errorf("%d %s", res.StatusCode, body)
			}
		})
	}
	if left := append(files(t, dir, "repositories"), files(t, dir, "tmp")...); len(left) > 0 {
		t.Errorf("stored: %v", left)
	}
}

func TestRequestIsRefused(t *testing.T) {
	_, s := serve(t, t.TempDir())
	push(t, ref(t, s, "hello:1"), image(t))
	none := "sha256:" + strings.Repeat("0", 64)
	for _, test := range []struct {
		method, path string
		status       int
		code         string
	}{
		{"GET", "/", 404, codeUnsupported},
		{"GET", "/v2/x", 404, codeUnsupported},
		{"GET", "/v2/hello/manifests/2", 404, codeManifestUnknown},
		{"GET", "/v2/hello/manifests/" + none, 404, codeManifestUnknown},
		{"GET", "/v2/other/tags/list", 404, codeNameUnknown},
		{"GET", "/v2/hello/tags/list?n=x", 400, codeUnsupported},
		{"GET", "/v2/hello/blobs/" + none, 404, codeBlobUnknown},
		{"GET", "/v2/hello/blobs/md5:1", 400, codeDigestInvalid},
		{"DELETE", "/v2/hello/blobs/" + none, 404, codeBlobUnknown},
		{"GET", "/v2/UPPER/tags/list", 400, codeNameInvalid},
		{"GET", "/v2/a/..%2f..%2fetc/manifests/1", 400, codeNameInvalid},
		{"GET", "/v2/hello/manifests/..%2f1", 404, codeUnsupported},
		{"GET", "/v2/hello/referrers/x", 400, codeDigestInvalid},
		{"POST", "/v2/hello/manifests/1", 405, codeUnsupported},
		{"POST", "/v2/hello/blobs/uploads/?digest=x", 400, codeDigestInvalid},
		{"PATCH", "/v2/hello/blobs/uploads/nope", 404, codeBlobUploadUnknown},
		{"PUT", "/v2/hello/blobs/uploads/nope?digest=" + none, 404, codeBlobUploadUnknown},
		{"DELETE", "/v2/hello/blobs/uploads/nope", 404, codeBlobUploadUnknown},
	} {
		res, body := send(t, test.method, s.URL+test.path, "")
		if res.StatusCode != test.status || !strings.Contains(body, `{"errors":[{"code":"`+test.code+`"`) {
			t.Errorf("%s %s: %d %s", test.method, test.path, res.StatusCode, body)
		}
	}
}

func TestTagPages(t *testing.T) {
	_, s := serve(t, t.TempDir())
	img := image(t)
	for _, tag := range []string{"a", "b", "c", "d", "e"} {
		push(t, ref(t, s, "hello:"+tag), img)
	}
	tags, err := remote.List(ref(t, s, "hello").Context(), remote.WithPageSize(2))
	if err != nil || strings.Join(tags, "") != "abcde" {
		t.Errorf("%v %v", tags, err)
	}
	for query, want := range map[string]string{"n=0": `[]`, "last=e": `[]`, "last=bb": `["c","d","e"]`, "n=2&last=b": `["c","d"]`} {
		if _, body := send(t, http.MethodGet, s.URL+"/v2/hello/tags/list?"+query, ""); !strings.Contains(body, `"tags":`+want) {
			t.Errorf("%s: %s", query, body)
		}
	}
}

func TestBlobs(t *testing.T) {
	dir := t.TempDir()
	_, s := serve(t, dir)
	img := image(t)
	push(t, ref(t, s, "hello:1"), img)
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	h := digest(t, layers[0])
	url := s.URL + "/v2/hello/blobs/" + h.String()
	_, whole := send(t, http.MethodGet, url, "")
	for header, want := range map[string]string{"bytes=0-9": whole[:10], "bytes=5-": whole[5:], "bytes=-3": whole[len(whole)-3:]} {
		if res, part := send(t, http.MethodGet, url, "", "Range", header); res.StatusCode != http.StatusPartialContent || part != want {
			t.Errorf("%s: %d, %d bytes", header, res.StatusCode, len(part))
		}
	}
	if res, _ := send(t, http.MethodGet, url, "", "Range", "bytes=999999-"); res.StatusCode != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("got %d", res.StatusCode)
	}
	if res, body := send(t, http.MethodDelete, url, ""); res.StatusCode != http.StatusForbidden || !strings.Contains(body, "needed by hello@") {
		t.Errorf("deleted a blob in use: %d %s", res.StatusCode, body)
	}
	if res, _ := send(t, http.MethodPost, s.URL+"/v2/other/blobs/uploads/?from=hello&mount="+h.String(), ""); res.StatusCode != http.StatusCreated {
		t.Errorf("mount: %d", res.StatusCode)
	}
	if err := remote.Delete(ref(t, s, "hello@"+digest(t, img).String())); err != nil {
		t.Fatal(err)
	}
	if res, _ := send(t, http.MethodDelete, url, ""); res.StatusCode != http.StatusAccepted {
		t.Errorf("delete: %d", res.StatusCode)
	}
	if res, _ := send(t, http.MethodHead, url, ""); res.StatusCode != http.StatusNotFound {
		t.Errorf("after delete: %d", res.StatusCode)
	}
}

// Pushes of the same and of other images at once, with pulls and lists between
// them.
func TestConcurrency(t *testing.T) {
	dir := t.TempDir()
	_, s := serve(t, dir)
	shared := image(t)
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			own, err := mutate.AppendLayers(shared, mustLayer(t))
			if err != nil {
				t.Error(err)
				return
			}
			for _, img := range []v1.Image{shared, own} {
				tag := ref(t, s, fmt.Sprintf("hello:%d", i))
				if err := remote.Write(tag, img); err != nil {
					t.Error(err)
				}
				if err := remote.Write(ref(t, s, "hello:shared"), img); err != nil {
					t.Error(err)
				}
				got, err := remote.Image(tag)
				if err != nil {
					t.Error(err)
					continue
				}
				if err := validate.Image(got); err != nil {
					t.Error(err)
				}
				if _, err := remote.List(tag.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if left := files(t, dir, "tmp"); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func mustLayer(t testing.TB) v1.Layer {
	l, err := random.Layer(4096, types.OCILayer)
	if err != nil {
		t.Error(err)
	}
	return l
}

// begin starts an upload and gives its address.
func begin(t testing.TB, s *httptest.Server) string {
	t.Helper()
	res, body := send(t, http.MethodPost, s.URL+"/v2/hello/blobs/uploads/", "")
	if res.StatusCode != http.StatusAccepted {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	return s.URL + res.Header.Get("Location")
}

func TestChunkedUpload(t *testing.T) {
	dir := t.TempDir()
	_, s := serve(t, dir)
	url := begin(t, s)
	h, _, err := v1.SHA256(strings.NewReader("hello world"))
	if err != nil {
		t.Fatal(err)
	}
	if res, _ := send(t, http.MethodPatch, url, "hello", "Content-Range", "0-4"); res.StatusCode != http.StatusAccepted || res.Header.Get("Range") != "0-4" {
		t.Errorf("%d %q", res.StatusCode, res.Header.Get("Range"))
	}
	if res, _ := send(t, http.MethodPatch, url, "hello", "Content-Range", "0-4"); res.StatusCode != http.StatusRequestedRangeNotSatisfiable || res.Header.Get("Range") != "0-4" {
		t.Errorf("out of order: %d %q", res.StatusCode, res.Header.Get("Range"))
	}
	if res, _ := send(t, http.MethodGet, url, ""); res.StatusCode != http.StatusNoContent || res.Header.Get("Range") != "0-4" {
		t.Errorf("status: %d %q", res.StatusCode, res.Header.Get("Range"))
	}
	if res, body := send(t, http.MethodPut, url+"?digest="+h.String(), " world"); res.StatusCode != http.StatusCreated {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if _, got := send(t, http.MethodGet, s.URL+"/v2/hello/blobs/"+h.String(), ""); got != "hello world" {
		t.Errorf("got %q", got)
	}
	if res, _ := send(t, http.MethodPut, url+"?digest="+h.String(), ""); res.StatusCode != http.StatusNotFound {
		t.Errorf("finished twice: %d", res.StatusCode)
	}
}

func TestUploadLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	r, s := serve(t, dir)
	none := "sha256:" + strings.Repeat("0", 64)
	t.Run("wrong digest", func(t *testing.T) {
		res, body := send(t, http.MethodPost, s.URL+"/v2/hello/blobs/uploads/?digest="+none, "hello")
		if res.StatusCode != http.StatusBadRequest || !strings.Contains(body, codeDigestInvalid) {
			t.Errorf("%d %s", res.StatusCode, body)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		url := begin(t, s)
		if res, _ := send(t, http.MethodDelete, url, ""); res.StatusCode != http.StatusNoContent {
			t.Errorf("got %d", res.StatusCode)
		}
	})
	t.Run("cut off", func(t *testing.T) {
		url := begin(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		pr, pw := io.Pipe()
		req, err := http.NewRequestWithContext(ctx, http.MethodPatch, url, pr)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			_, _ = pw.Write(bytes.Repeat([]byte("x"), 1<<20))
			cancel()
			_ = pw.CloseWithError(context.Canceled)
		}()
		if res, err := http.DefaultClient.Do(req); err == nil {
			_ = res.Body.Close()
			t.Errorf("got %d", res.StatusCode)
		}
		for end := time.Now().Add(10 * time.Second); len(files(t, dir, "tmp")) > 0 && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
		if res, _ := send(t, http.MethodGet, url, ""); res.StatusCode != http.StatusNotFound {
			t.Errorf("got %d", res.StatusCode)
		}
	})
	t.Run("abandoned", func(t *testing.T) {
		url := begin(t, s)
		send(t, http.MethodPatch, url, "hello")
		r.uploads.mu.Lock()
		r.uploads.now = func() time.Time { return time.Now().Add(maxAge + time.Minute) }
		r.uploads.mu.Unlock()
		next := begin(t, s)
		if res, _ := send(t, http.MethodGet, url, ""); res.StatusCode != http.StatusNotFound {
			t.Errorf("got %d", res.StatusCode)
		}
		send(t, http.MethodDelete, next, "")
	})
	if left := append(files(t, dir, "tmp"), files(t, dir, "blobs")...); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	if n := len(r.uploads.open); n > 0 {
		t.Errorf("%d uploads are open", n)
	}
}

func TestLargeBlob(t *testing.T) {
	_, s := serve(t, t.TempDir())
	content := make([]byte, 2<<20)
	_, _ = rand.Read(content)
	h, _, err := v1.SHA256(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	if res, body := send(t, http.MethodPost, s.URL+"/v2/hello/blobs/uploads/?digest="+h.String(), string(content)); res.StatusCode != http.StatusCreated {
		t.Fatalf("%d %s", res.StatusCode, body)
	}
	if _, got := send(t, http.MethodGet, s.URL+"/v2/hello/blobs/"+h.String(), ""); got != string(content) {
		t.Error("it came back different")
	}
}
