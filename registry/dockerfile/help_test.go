package dockerfile_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/moby/buildkit/client"
)

// one is a file system with one file, which is called busybox.
type one struct{ path string }

// Open implements fs.FS.
func (o *one) Open(name string) (fs.File, error) {
	if name == "." {
		return os.Open(filepath.Dir(o.path))
	}
	return os.Open(o.path)
}

// ReadDir implements fs.ReadDirFS: the file alone.
func (o *one) ReadDir(string) ([]fs.DirEntry, error) {
	info, err := os.Stat(o.path)
	if err != nil {
		return nil, err
	}
	return []fs.DirEntry{fs.FileInfoToDirEntry(info)}, nil
}

// forget empties the cache of the builder.
func (r real) forget(t *testing.T) {
	t.Helper()
	if !r.layouts {
		if !required() {
			t.Skip("the cache of a Docker engine that somebody uses stays (SLIPWAY_REQUIRE_BUILDKIT=1 empties it)")
		}
		if out, err := exec.CommandContext(t.Context(), "docker", "builder", "prune", "--all", "--force").CombinedOutput(); err != nil {
			t.Fatalf("empty the cache: %v: %s", err, out)
		}
		return
	}
	c, err := client.New(t.Context(), r.address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.Prune(t.Context(), nil, client.PruneAll); err != nil {
		t.Fatal(err)
	}
}
