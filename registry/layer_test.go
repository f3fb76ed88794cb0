package registry

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

// temporary makes a folder of temporary files for the length of a test.
func temporary(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	return dir
}

// mustBeEmpty checks that nothing is left in a folder.
func mustBeEmpty(tb testing.TB, dir string) {
	tb.Helper()
	for _, e := range must(os.ReadDir(dir)) {
		tb.Errorf("%s is left over", e.Name())
	}
}

// Between the two times that a file is read, it may change.
func TestFileChangesWhileItIsPacked(t *testing.T) {
	for name, test := range map[string]struct {
		change func(t *testing.T, path string)
		says   string
	}{
		"other content of the same size": {func(t *testing.T, path string) { write(t, path, "HELLO") }, "a file changed while it was being packed"},
		"longer":                         {func(t *testing.T, path string) { write(t, path, "hello, world") }, "www/a changed while it was being packed"},
		"shorter":                        {func(t *testing.T, path string) { write(t, path, "h") }, "www/a changed while it was being packed"},
		"empty":                          {func(t *testing.T, path string) { write(t, path, "") }, "www/a changed while it was being packed"},
		"gone":                           {remove, `from "www/a": file does not exist`},
		"a folder": {func(t *testing.T, path string) {
			remove(t, path)
			write(t, path+"/", "")
		}, "is a directory"},
		"a link out": {func(t *testing.T, path string) {
			remove(t, path)
			write(t, path, "-> /etc/hostname")
		}, "leads through a link out of"},
	} {
		t.Run(name, func(t *testing.T) {
			changesBetween(t, test.change, test.says)
		})
	}
}

// changesBetween changes a file after it was packed and before it is pushed:
// then no manifest is.
func changesBetween(t *testing.T, change func(t *testing.T, path string), says string) {
	t.Helper()
	tmp := temporary(t)
	seen := &recorder{}
	host := serve(t, seen.middleware)
	dir := folderOf(t, map[string]string{"www/a": "hello", "www/b": "b"})
	c := impatient()
	p := packWith(t, c, Spec{Dir: dir, Build: deploy.Build{Files: []deploy.File{{From: "www", To: "/www"}}}})
	change(t, filepath.Join(dir, "www/a"))
	_, _, err := c.Push(t.Context(), p, host+"/acme/hello", "1.0.0")
	if err == nil || !strings.HasPrefix(err.Error(), "pack "+host+"/acme/hello:1.0.0: build.files[0]: ") || !strings.Contains(err.Error(), says) {
		t.Errorf("got %v", err)
	}
	if sent := those(seen.take(), "PUT /v2/acme/hello/manifests/"); len(sent) > 0 {
		t.Errorf("sent %v", sent)
	}
	mustBeEmpty(t, tmp)
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// openFiles counts what the process has open, where the system tells.
func openFiles(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(open)
}

func TestCloseLeavesNothing(t *testing.T) {
	tmp := temporary(t)
	spec := webSpec(folderOf(t, web))
	before := openFiles(t)
	p, err := impatient().Pack(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Digest(); err != nil {
		t.Fatal(err)
	}
	layers := must(p.Layers())
	for range 2 {
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
	mustBeEmpty(t, tmp)
	if after := openFiles(t); after > before {
		t.Errorf("%d files are open, %d were", after, before)
	}
	if r, err := layers[0].Compressed(); err == nil {
		if _, err := io.ReadAll(r); !errors.Is(err, os.ErrClosed) {
			t.Errorf("reading a closed image: %v", err)
		}
	}

	p, err = impatient().Pack(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Digest(); !errors.Is(err, errClosed) {
		t.Errorf("compressing a closed image: %v", err)
	}
	mustBeEmpty(t, tmp)
}

func TestNoRoomForTemporaryFiles(t *testing.T) {
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "missing"))
	p := pack(t, webSpec(folderOf(t, web)))
	if _, err := p.Digest(); !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "make a temporary file") {
		t.Errorf("got %v", err)
	}
}

// A layer is asked for its parts in any order, and by several at once.
func TestLayerIsCompressedOnce(t *testing.T) {
	p := pack(t, webSpec(folderOf(t, web)))
	var wg sync.WaitGroup
	contents := make([][]byte, 8)
	for i := range contents {
		wg.Go(func() {
			r, err := p.own[1].Compressed()
			if err != nil {
				t.Error(err)
				return
			}
			if contents[i], err = io.ReadAll(r); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, c := range contents {
		if !bytes.Equal(c, contents[0]) {
			t.Error("two readers got different bytes")
		}
	}
	if size := must(p.own[1].Size()); size != int64(len(contents[0])) {
		t.Errorf("%d bytes, and it says %d", len(contents[0]), size)
	}
}

// A file of any size passes through buffers of one size.
func TestLargeFilesAreNotHeldInMemory(t *testing.T) {
	if racing {
		t.Skip("under the race detector buffers that could be used again are dropped at random (sync.Pool)")
	}
	const size, limit = 256 << 20, 32 << 20
	dir := t.TempDir()
	path := filepath.Join(dir, "large")
	write(t, path, "")
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	c := impatient()
	host := serve(t, nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	p := packWith(t, c, Spec{Dir: dir, Build: deploy.Build{Files: []deploy.File{{From: "large", To: "/large"}}}})
	if _, _, err := c.Push(t.Context(), p, host+"/acme/large", "1.0.0"); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	// All that was allocated, not what is left: no collection can hide it.
	if used := after.TotalAlloc - before.TotalAlloc; used > limit {
		t.Errorf("%d MB were allocated for a file of %d MB", used>>20, size>>20)
	}
}

// How many CPUs there are shows in the time alone.
func TestCompressionDoesNotDependOnCPUs(t *testing.T) {
	dir := t.TempDir()
	var lines strings.Builder
	for i := range 400_000 { // several stripes
		fmt.Fprintf(&lines, "line %d of the same file\n", i)
	}
	write(t, filepath.Join(dir, "large"), lines.String())
	spec := Spec{Dir: dir, Build: deploy.Build{Files: []deploy.File{{From: "large", To: "/large"}}}}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	want := digestOf(t, spec)
	for _, cpus := range []int{2, 7} {
		runtime.GOMAXPROCS(cpus)
		if got := digestOf(t, spec); got != want {
			t.Errorf("with %d CPUs it is %s, with one %s", cpus, got, want)
		}
	}
}
