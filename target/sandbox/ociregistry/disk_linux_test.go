package ociregistry

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"
)

// smallDisk mounts a file system of so many bytes for the length of a test.
func smallDisk(t *testing.T, size int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d", size)); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes all that is left of a disk, and gives it back on release.
func fill(t *testing.T, dir string) (release func()) {
	t.Helper()
	path := filepath.Join(dir, "filler")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	chunk := make([]byte, 4096)
	for err == nil {
		_, err = f.Write(chunk)
	}
	_ = f.Close()
	return func() { _ = os.Remove(path) }
}

// noSpace checks that a client is told what is wrong.
func noSpace(t *testing.T, status int, text string) {
	t.Helper()
	if status != http.StatusInsufficientStorage || !strings.Contains(text, "UNKNOWN") || !strings.Contains(text, "no space left on device") {
		t.Errorf("got %d %s", status, text)
	}
}

func TestDiskFullDuringBlob(t *testing.T) {
	dir := smallDisk(t, 1<<20)
	_, s := serve(t, dir)
	fits := image(t)
	push(t, ref(t, s, "hello:1"), fits)
	content := make([]byte, 3<<20)
	_, _ = rand.Read(content)
	large, err := mutate.AppendLayers(empty.Image, static.NewLayer(content, types.OCILayer))
	if err != nil {
		t.Fatal(err)
	}
	err = remote.Write(ref(t, s, "hello:2"), large)
	if err == nil {
		t.Fatal("stored more than there is room for")
	}
	noSpace(t, status(err), err.Error())
	if left := files(t, dir, "tmp"); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
	holds(t, ref(t, s, "hello:1"), fits)
	res, body := send(t, http.MethodPost, s.URL+"/v2/hello/blobs/uploads/?digest=sha256:"+strings.Repeat("0", 64), string(content))
	noSpace(t, res.StatusCode, body)
	for _, path := range files(t, dir, "blobs") {
		if info, err := os.Stat(path); err != nil || info.Size() > 4096 {
			t.Errorf("a part of the large blob was stored: %s %v", path, err)
		}
	}
}

func TestDiskFullDuringManifest(t *testing.T) {
	dir := smallDisk(t, 1<<20)
	_, s := serve(t, dir)
	push(t, ref(t, s, "hello:1"), empty.Image)
	before := files(t, dir, "repositories")
	manifest := `{"schemaVersion":2,"annotations":{"a":"` + strings.Repeat("x", 8192) + `"}}`

	release := fill(t, dir)
	res, body := send(t, http.MethodPut, s.URL+"/v2/hello/manifests/2", manifest)
	noSpace(t, res.StatusCode, body)
	res, body = send(t, http.MethodPut, s.URL+"/v2/hello/manifests/1", manifest)
	noSpace(t, res.StatusCode, body)
	holds(t, ref(t, s, "hello:1"), empty.Image)
	check := func(s *httptest.Server) {
		t.Helper()
		if res, _ := send(t, http.MethodGet, s.URL+"/v2/hello/manifests/2", ""); res.StatusCode != http.StatusNotFound {
			t.Errorf("stored after all: %d", res.StatusCode)
		}
		if after := files(t, dir, "repositories"); strings.Join(before, "\n") != strings.Join(after, "\n") {
			t.Errorf("before %v, after %v", before, after)
		}
		if left := files(t, dir, "tmp"); len(left) > 0 {
			t.Errorf("left over: %v", left)
		}
	}
	check(s)
	_, again := serve(t, dir)
	check(again)
	release()
	if res, body := send(t, http.MethodPut, s.URL+"/v2/hello/manifests/2", manifest); res.StatusCode != http.StatusCreated {
		t.Errorf("with room again: %d %s", res.StatusCode, body)
	}
}

// The manifest fits and its tag does not: nothing of the push is to be seen.
func TestDiskFullBetweenManifestAndTag(t *testing.T) {
	dir := smallDisk(t, 64<<10)
	_, s := serve(t, dir)
	push(t, ref(t, s, "hello:1"), empty.Image)
	manifest := []byte(`{"schemaVersion":2,"annotations":{"a":"b"}}`)
	release := fill(t, dir)
	release()
	room := filepath.Join(dir, "filler") // leave one page: the manifest's
	free := freePages(t, dir)
	if err := os.WriteFile(room, bytes.Repeat([]byte{1}, (free-1)*os.Getpagesize()), 0o600); err != nil {
		t.Fatal(err)
	}
	res, body := send(t, http.MethodPut, s.URL+"/v2/hello/manifests/2", string(manifest))
	noSpace(t, res.StatusCode, body)
	if n := len(files(t, dir, "repositories")); n != 2 {
		t.Errorf("%v", files(t, dir, "repositories"))
	}
	if left := files(t, dir, "tmp"); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

// freePages is how many pages are free.
func freePages(t *testing.T, dir string) int {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	return int(st.Bavail) * int(st.Bsize) / os.Getpagesize()
}
