//go:build unix

package registry

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

// FuzzTree packs real files and links of any names. Whatever is not refused with
// a hint comes back under its own name, below where it was to go, once; and no
// link leads out of there.
func FuzzTree(f *testing.F) {
	f.Add("a/b", "content", "c", "a/b")
	f.Add("new\nline", "", "-rf", "./new\nline")
	f.Add("case/File", "1", "case/file", "File")
	f.Add("../escape", "1", "a", "../../../etc/passwd")
	f.Add(".wh.gone", "1", "x", "/etc/shadow")
	f.Add("d/\xff\xfe", "1", "d/e/l", "../../d")
	f.Add(strings.Repeat("d/", 60)+strings.Repeat("f", 200), "1", "l", strings.Repeat("d/", 40))
	f.Add("a=b 12 path=/etc/passwd", "1", "con/nul/..x", "a/../..")
	f.Fuzz(func(t *testing.T, file, content, link, target string) {
		dir := t.TempDir()
		made := map[string]bool{}
		if plant(dir, file, func(at string) error { return os.WriteFile(at, []byte(content), 0o644) }) {
			made[path.Clean(file)] = true
		}
		if plant(dir, link, func(at string) error { return os.Symlink(target, at) }) {
			made[path.Clean(link)] = true
		}
		p, err := impatient().Pack(t.Context(), Spec{Dir: dir, Build: deploy.Build{Files: []deploy.File{{From: ".", To: "/srv"}}}})
		if err != nil {
			if deploy.HintOf(err) == "" {
				t.Errorf("%v has no hint", err)
			}
			return
		}
		defer p.Close()
		for _, l := range p.own {
			mustStayBelow(t, l, "srv", made)
		}
		if len(made) > 0 {
			t.Errorf("not in the image: %v", made)
		}
	})
}

// plant makes something below a folder, if the system can.
func plant(dir, name string, make func(at string) error) bool {
	if !filepath.IsLocal(name) || strings.ContainsRune(name, 0) {
		return false
	}
	root, err := os.OpenRoot(dir) // never elsewhere, whatever was planted before
	if err != nil {
		return false
	}
	defer root.Close()
	if err := root.MkdirAll(path.Dir(path.Clean(name)), 0o755); err != nil {
		return false
	}
	if real, err := filepath.EvalSymlinks(filepath.Join(dir, path.Dir(path.Clean(name)))); err != nil || real != filepath.Join(dir, path.Dir(path.Clean(name))) {
		return false
	}
	return make(filepath.Join(dir, path.Clean(name))) == nil
}

// mustStayBelow reads a layer as others do, and takes what it finds from what
// was made.
func mustStayBelow(t *testing.T, l *layer, top string, made map[string]bool) {
	t.Helper()
	var archived bytes.Buffer
	if err := l.write(t.Context(), &archived); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for r := tar.NewReader(&archived); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		at := strings.TrimSuffix(h.Name, "/")
		if !filepath.IsLocal(at) || path.Clean(at) != at || seen[at] || at != top && !strings.HasPrefix(at, top+"/") {
			t.Errorf("%q is in the layer", h.Name)
		}
		seen[at] = true
		delete(made, strings.TrimPrefix(at, top+"/"))
		switch h.Typeflag {
		case tar.TypeReg, tar.TypeDir:
		case tar.TypeSymlink:
			if to := path.Join("/", path.Dir(at), h.Linkname); path.IsAbs(h.Linkname) || to != "/"+top && !strings.HasPrefix(to, "/"+top+"/") {
				t.Errorf("%q leads to %q", at, h.Linkname)
			}
		default:
			t.Errorf("%q is of the type %q", at, h.Typeflag)
		}
	}
}

// Names that differ in their case alone are two files where they are packed, and
// where they run.
func TestNamesThatDifferInCase(t *testing.T) {
	dir := folderOf(t, map[string]string{"README": "1", "readme": "2"})
	if len(must(os.ReadDir(dir))) != 2 {
		t.Skip("this file system does not tell them apart")
	}
	p := pack(t, Spec{Dir: dir, Build: deploy.Build{Files: []deploy.File{{From: ".", To: "/srv"}}}})
	if got := content(t, p.own[0]); !slices.ContainsFunc(got, hasSuffix(`srv/README "1"`)) || !slices.ContainsFunc(got, hasSuffix(`srv/readme "2"`)) {
		t.Errorf("got %q", got)
	}
}

func hasSuffix(suffix string) func(string) bool {
	return func(s string) bool { return strings.HasSuffix(s, suffix) }
}

// Paths are as long as Linux opens them, and no longer. What lies deeper on disk
// than the system opens by one path is found all the same, and told.
func TestLongestPaths(t *testing.T) {
	dir := t.TempDir()
	deep(t, dir, 4095-len("srv/"))
	p := pack(t, Spec{Dir: dir, Build: deploy.Build{Files: []deploy.File{{From: ".", To: "/srv"}}}})
	lines := content(t, p.own[0])
	last := lines[len(lines)-1]
	if name := strings.Fields(last)[2]; len(name) != 4095 || !strings.HasSuffix(last, ` "deep"`) {
		t.Errorf("the last is of %d bytes: %.40q…", len(name), last)
	}

	dir = t.TempDir()
	deep(t, dir, 4096-len("srv/"))
	_, err := impatient().Pack(t.Context(), Spec{Dir: dir, Build: deploy.Build{Files: []deploy.File{{From: ".", To: "/srv"}}}})
	mustBeUsage(t, err, "too long for an image", "shorten it to 4095 bytes")
}

// deep makes a file whose path below a folder has so many bytes.
func deep(t *testing.T, dir string, length int) {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	for length > 201 {
		name := strings.Repeat("d", min(200, length-2))
		if err := root.Mkdir(name, 0o755); err != nil {
			t.Fatal(err)
		}
		below, err := root.OpenRoot(name)
		if err != nil {
			t.Fatal(err)
		}
		_ = root.Close()
		root, length = below, length-len(name)-1
	}
	defer root.Close()
	if err := root.WriteFile(strings.Repeat("f", length), []byte("deep"), 0o644); err != nil {
		t.Fatal(err)
	}
}
