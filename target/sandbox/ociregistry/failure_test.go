package ociregistry

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// replace puts a file where the registry has a folder, for the length of a test.
func replace(t *testing.T, path string) {
	t.Helper()
	aside := path + ".aside"
	if err := errors.Join(os.Rename(path, aside), os.WriteFile(path, nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(os.Remove(path), os.Rename(aside, path)); err != nil {
			t.Error(err)
		}
	})
}

// Something else may write to the registry's folder while it runs. The client
// is told that it is the registry's fault, and what, but not where.
func TestFolderBreaksWhileItServes(t *testing.T) {
	dir := t.TempDir()
	log := &lockedLog{}
	r, err := New(dir, log.logger())
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(r)
	defer s.Close()
	img, other := image(t), image(t)
	push(t, ref(t, s, "acme/hello:1"), img)
	push(t, ref(t, s, "acme/hello:other"), other)
	blob, _, err := v1.SHA256(strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	const manifest = `{"schemaVersion":2}`
	byDigest := "/v2/acme/hello/manifests/" + digest(t, img).String()
	for name, test := range map[string]struct{ broken, method, path, body string }{
		"a manifest is read":     {"repositories/acme/hello/_manifests", http.MethodGet, byDigest, ""},
		"a manifest is removed":  {"repositories/acme/hello/_manifests", http.MethodDelete, "/v2/acme/hello/manifests/" + digest(t, other).String(), ""},
		"a manifest is stored":   {"repositories/acme/hello/_manifests", http.MethodPut, "/v2/acme/hello/manifests/2", manifest},
		"a repository is made":   {"repositories", http.MethodPut, "/v2/acme/new/manifests/1", manifest},
		"a tag is read":          {"repositories/acme/hello/_tags", http.MethodGet, "/v2/acme/hello/manifests/1", ""},
		"a tag is removed":       {"repositories/acme/hello/_tags", http.MethodDelete, "/v2/acme/hello/manifests/1", ""},
		"a tag is stored":        {"repositories/acme/hello/_tags", http.MethodPut, "/v2/acme/hello/manifests/2", manifest},
		"tags are listed":        {"repositories/acme/hello/_tags", http.MethodGet, "/v2/acme/hello/tags/list", ""},
		"a repository is listed": {"repositories/acme/hello", http.MethodGet, "/v2/acme/hello/tags/list", ""},
		"referrers are listed":   {"repositories/acme/hello", http.MethodGet, "/v2/acme/hello/referrers/" + blob.String(), ""},
		"a blob is read":         {"blobs/sha256", http.MethodGet, "/v2/acme/hello/blobs/" + blob.String(), ""},
		"a blob is removed":      {"blobs/sha256", http.MethodDelete, "/v2/acme/hello/blobs/" + blob.String(), ""},
		"a blob is needed":       {"blobs/sha256", http.MethodPut, "/v2/acme/hello/manifests/2", `{"schemaVersion":2,"layers":[{"mediaType":"` + string(types.OCILayer) + `","size":1,"digest":"` + blob.String() + `"}]}`},
		"a blob is stored":       {"blobs/sha256", http.MethodPost, "/v2/acme/hello/blobs/uploads/?digest=" + blob.String(), "hello"},
		"an upload is begun":     {"tmp", http.MethodPost, "/v2/acme/hello/blobs/uploads/", ""},
	} {
		t.Run(name, func(t *testing.T) {
			replace(t, filepath.Join(dir, filepath.FromSlash(test.broken)))
			res, body := send(t, test.method, s.URL+test.path, test.body)
			if res.StatusCode != http.StatusInternalServerError || !strings.Contains(body, "not a directory in the registry's folder") {
				t.Errorf("%d %s", res.StatusCode, body)
			}
			if strings.Contains(body, dir) {
				t.Errorf("it tells where: %s", body)
			}
			if !strings.Contains(log.String(), filepath.Join(dir, filepath.FromSlash(test.broken))) {
				t.Errorf("the log does not tell where:\n%s", log)
			}
		})
	}
	holds(t, ref(t, s, "acme/hello:1"), img) // and all is well again
	if left := files(t, dir, "tmp"); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

// A folder in place of a blob cannot be read, and counts as absent.
func TestBlobCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	r, s := serve(t, dir)
	push(t, ref(t, s, "hello:1"), image(t))
	h, _, err := v1.SHA256(strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(r.store.blobPath(h), 0o700); err != nil {
		t.Fatal(err)
	}
	if res, body := send(t, http.MethodGet, s.URL+"/v2/hello/blobs/"+h.String(), ""); res.StatusCode != http.StatusNotFound || !strings.Contains(body, codeBlobUnknown) {
		t.Errorf("%d %s", res.StatusCode, body)
	}
}

func TestRefusalKeepsItsCause(t *testing.T) {
	err := refusalOf(&os.PathError{Op: "open", Path: "/secret", Err: syscall.EACCES})
	if !errors.Is(err, syscall.EACCES) || !strings.Contains(err.Error(), "/secret") || strings.Contains(err.message, "/secret") {
		t.Errorf("got %q for the log, %q for the client", err, err.message)
	}
	if err := refusalOf(errors.New("strange")); err.status != http.StatusInternalServerError || strings.Contains(err.message, "strange") {
		t.Errorf("got %d %q", err.status, err.message)
	}
}

func TestUploadIsRefused(t *testing.T) {
	dir := t.TempDir()
	r, s := serve(t, dir)
	for name, test := range map[string]struct {
		method, query, contentRange string
		status                      int
		code                        string
	}{
		"a range in words":                     {http.MethodPatch, "", "all of it", 416, codeBlobUploadInvalid},
		"a range that ends before it begins":   {http.MethodPatch, "", "5-4", 416, codeBlobUploadInvalid},
		"a chunk that leaves a gap":            {http.MethodPatch, "", "5-9", 416, codeBlobUploadInvalid},
		"a last chunk that leaves a gap":       {http.MethodPut, "?digest=sha256:" + strings.Repeat("0", 64), "5-9", 416, codeBlobUploadInvalid},
		"an end without a digest":              {http.MethodPut, "", "", 400, codeDigestInvalid},
		"an end with a digest of another kind": {http.MethodPut, "?digest=md5:00", "", 400, codeDigestInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			url := begin(t, s)
			headers := []string{}
			if test.contentRange != "" {
				headers = []string{"Content-Range", test.contentRange}
			}
			res, body := send(t, test.method, url+test.query, "hello", headers...)
			if res.StatusCode != test.status || !strings.Contains(body, test.code) {
				t.Errorf("%d %s", res.StatusCode, body)
			}
			if res, _ := send(t, http.MethodGet, url, ""); res.StatusCode != http.StatusNoContent {
				t.Errorf("the upload is gone: %d", res.StatusCode) // it may go on rightly
			}
			send(t, http.MethodDelete, url, "")
		})
	}
	other := strings.Replace(begin(t, s), "/hello/", "/other/", 1)
	if res, body := send(t, http.MethodPatch, other, "hello"); res.StatusCode != http.StatusNotFound || !strings.Contains(body, codeBlobUploadUnknown) {
		t.Errorf("an upload of another repository: %d %s", res.StatusCode, body)
	}
	r.uploads.mu.Lock()
	defer r.uploads.mu.Unlock()
	if n := len(r.uploads.open); n != 1 {
		t.Errorf("%d uploads are open", n)
	}
}

// A client that goes away in the middle of a manifest leaves nothing of it.
func TestManifestIsCutOff(t *testing.T) {
	dir := t.TempDir()
	_, s := serve(t, dir)
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, err = io.WriteString(conn, "PUT /v2/hello/manifests/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{\"schemaVersion\":2")
	if err := errors.Join(err, conn.(*net.TCPConn).CloseWrite()); err != nil {
		t.Fatal(err)
	}
	answer, _ := io.ReadAll(conn)
	if !strings.Contains(string(answer), "manifest was cut off") {
		t.Errorf("got %q", answer)
	}
	if left := append(files(t, dir, "repositories"), files(t, dir, "tmp")...); len(left) > 0 {
		t.Errorf("stored: %v", left)
	}
}

// Clients that send no type get one from the manifest itself.
func TestTypeOfManifest(t *testing.T) {
	_, s := serve(t, t.TempDir())
	for body, want := range map[string]types.MediaType{
		`{"schemaVersion":2}`:                types.OCIManifestSchema1,
		`{"schemaVersion":2,"manifests":[]}`: types.OCIImageIndex,
		`{"schemaVersion":2,"mediaType":"` + string(types.DockerManifestSchema2) + `"}`:                                        types.DockerManifestSchema2,
		`{"schemaVersion":2,"manifests":[{"mediaType":"application/json","digest":"sha256:` + strings.Repeat("0", 64) + `"}]}`: types.OCIImageIndex,
	} {
		if res, said := send(t, http.MethodPut, s.URL+"/v2/hello/manifests/1", body); res.StatusCode != http.StatusCreated {
			t.Errorf("%s: %d %s", body, res.StatusCode, said)
		}
		res, got := send(t, http.MethodGet, s.URL+"/v2/hello/manifests/1", "")
		if res.Header.Get("Content-Type") != string(want) || got != body {
			t.Errorf("%s: got %s %s", body, res.Header.Get("Content-Type"), got)
		}
	}
}

func TestCatalogPages(t *testing.T) {
	_, s := serve(t, t.TempDir())
	for _, repository := range []string{"a", "b/c", "d"} {
		push(t, ref(t, s, repository+":1"), image(t))
	}
	res, body := send(t, http.MethodGet, s.URL+"/v2/_catalog?n=2", "")
	if strings.TrimSpace(body) != `{"repositories":["a","b/c"]}` || res.Header.Get("Link") != `</v2/_catalog?last=b%2Fc&n=2>; rel="next"` {
		t.Errorf("%s %q", body, res.Header.Get("Link"))
	}
	if _, body := send(t, http.MethodGet, s.URL+"/v2/_catalog?last=b%2Fc&n=2", ""); strings.TrimSpace(body) != `{"repositories":["d"]}` {
		t.Errorf("%s", body)
	}
	if res, _ := send(t, http.MethodGet, s.URL+"/v2/_catalog?n=-1", ""); res.StatusCode != http.StatusBadRequest {
		t.Errorf("%d", res.StatusCode)
	}
}

// On a full disk a folder cannot be made again, so the one for uploads stays.
func TestStartEmptiesTheFolderForUploads(t *testing.T) {
	dir := t.TempDir()
	r, _ := serve(t, dir)
	before, err := os.Stat(r.store.tmp())
	if err != nil {
		t.Fatal(err)
	}
	for _, left := range []string{"half", "folder/in/it"} {
		path := filepath.Join(r.store.tmp(), left)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	serve(t, dir)
	after, err := os.Stat(r.store.tmp())
	if err != nil || !os.SameFile(before, after) {
		t.Errorf("the folder is another: %v", err)
	}
	if left := files(t, dir, "tmp"); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}
