package process

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// mounts is what Unpack adds to an empty image.
const mounts = "dev/ etc/ etc/hosts etc/resolv.conf proc/ run/ tmp/ var/ var/tmp/"

// unpacked unpacks layers below a folder of its own, and holds that nothing is
// written beside the root.
func unpacked(t testing.TB, layers ...v1.Layer) (string, error) {
	t.Helper()
	parent := t.TempDir()
	dir := filepath.Join(parent, "root")
	err := Unpack(context.Background(), image(t, layers...), dir)
	want := 1
	if err != nil {
		want = 0
	}
	if left, _ := os.ReadDir(parent); len(left) != want {
		t.Errorf("%v is beside the root", left)
	}
	return dir, err
}

// tree lists a folder: "name" for files, "name/" for folders, "name -> link"
// for links; what every image gets is left out.
func tree(t testing.TB, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		name, _ := filepath.Rel(dir, path)
		switch {
		case err != nil || path == dir:
			return err
		case e.IsDir():
			name += "/"
		case e.Type()&fs.ModeSymlink != 0:
			link, _ := os.Readlink(path)
			name += " -> " + link
		case e.Type() != 0:
			name += " " + e.Type().String()
		}
		if !strings.Contains(" "+mounts+" ", " "+name+" ") {
			all = append(all, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, ", ")
}

func TestUnpack(t *testing.T) {
	const d, l, h = tar.TypeDir, tar.TypeSymlink, tar.TypeLink
	long := strings.Repeat("x", 300)
	for _, c := range []struct {
		name   string
		layers [][]entry
		want   string            // the tree
		bodies map[string]string // of files
		err    string
	}{
		{name: "nothing", want: ""},
		{name: "an ordinary image", layers: [][]entry{{
			{name: "./", kind: d, mode: 0o755}, {name: "./usr/", kind: d, mode: 0o755}, {name: "./usr/a", body: "a"}, {name: "b", kind: l, link: "usr/a"},
		}}, want: "b -> usr/a, usr/, usr/a", bodies: map[string]string{"usr/a": "a"}},
		{name: "parents are made", layers: [][]entry{{{name: "a/b/c/d"}}}, want: "a/, a/b/, a/b/c/, a/b/c/d"},
		{name: "names that climb out", layers: [][]entry{{
			{name: "../../../x"}, {name: "/abs/../../y"}, {name: "a/../../../z"}, {name: "..", kind: d}, {name: "/", kind: d}, {name: ".", kind: d}, {name: "a/..", kind: l, link: "/"},
		}}, want: "x, y, z"},
		{name: "write through an absolute link", layers: [][]entry{{
			{name: "out", kind: l, link: "/etc"}, {name: "out/passwd", body: "mine"},
		}}, want: "etc/passwd, out -> /etc", bodies: map[string]string{"etc/passwd": "mine"}},
		{name: "write through a link that climbs", layers: [][]entry{{
			{name: "a/out", kind: l, link: "../../../../../../etc"}, {name: "a/out/passwd"},
		}}, want: "a/, a/out -> ../../../../../../etc, etc/passwd"},
		{name: "write through a link to nowhere", layers: [][]entry{{
			{name: "out", kind: l, link: "/no/where"}, {name: "out/x"},
		}}, want: "no/, no/where/, no/where/x, out -> /no/where"},
		{name: "write onto a link", layers: [][]entry{{
			{name: "passwd", kind: l, link: "/etc/passwd"}, {name: "passwd", body: "mine"},
		}}, want: "passwd", bodies: map[string]string{"passwd": "mine"}},
		{name: "a folder in place of a link", layers: [][]entry{{
			{name: "out", kind: l, link: "/etc"}, {name: "out/", kind: d}, {name: "out/x"},
		}}, want: "out/, out/x"},
		{name: "links in a circle", layers: [][]entry{{
			{name: "a", kind: l, link: "b"}, {name: "b", kind: l, link: "a"}, {name: "a/x"},
		}}, err: "more than 40 links"},
		{
			name: "hard link", layers: [][]entry{{{name: "a", body: "1"}, {name: "d/b", kind: h, link: "/a"}}},
			want: "a, d/, d/b", bodies: map[string]string{"d/b": "1"},
		},
		{name: "hard link to a lower layer, whose file is replaced above", layers: [][]entry{
			{{name: "a", body: "old"}}, {{name: "b", kind: h, link: "a"}}, {{name: "a", body: "new"}},
		}, want: "a, b", bodies: map[string]string{"a": "new", "b": "old"}},
		{name: "hard link out", layers: [][]entry{{{name: "b", kind: h, link: "../../../../../../etc/passwd"}}}, err: "not in the image"},
		{name: "hard link out through a link", layers: [][]entry{{
			{name: "out", kind: l, link: "/etc"}, {name: "b", kind: h, link: "out/passwd"},
		}}, err: "not in the image"},
		{name: "hard link to a link", layers: [][]entry{{
			{name: "out", kind: l, link: "/etc/passwd"}, {name: "b", kind: h, link: "out"}, {name: "b", body: "mine"},
		}}, want: "b, out -> /etc/passwd", bodies: map[string]string{"b": "mine"}},
		{name: "hard link to the root", layers: [][]entry{{{name: "b", kind: h, link: "/"}}}, err: "hard link to the root"},
		{name: "hard link to itself", layers: [][]entry{{{name: "b"}, {name: "b", kind: h, link: "b"}}}, err: "not in the image"},
		{name: "devices and pipes", layers: [][]entry{{
			{name: "sda", kind: tar.TypeBlock}, {name: "null", kind: tar.TypeChar}, {name: "pipe", kind: tar.TypeFifo}, {name: "x"},
		}}, want: "x"},
		{name: "the same name again", layers: [][]entry{{
			{name: "a", body: "1"}, {name: "a", body: "2"}, {name: "d/x"}, {name: "d", body: "3"}, {name: "f"}, {name: "f/x"},
		}}, want: "a, d, f/, f/x", bodies: map[string]string{"a": "2", "d": "3"}},
		{name: "a name too long", layers: [][]entry{{{name: "a/" + long}}}, err: "name too long"},
		{name: "a path too long", layers: [][]entry{{{name: strings.Repeat("d/", 2048) + "x"}}}, err: "name too long"},
		{
			name: "a long path", layers: [][]entry{{{name: strings.Repeat("d/", 100) + "x"}}},
			want: deep(100) + strings.Repeat("d/", 100) + "x",
		},
		{name: "whiteouts", layers: [][]entry{
			{{name: "a"}, {name: "b"}, {name: "d/x"}, {name: "d/y"}, {name: "e/x"}},
			{{name: ".wh.a"}, {name: "d/.wh.x"}, {name: ".wh.e"}, {name: ".wh.nothing"}, {name: "no/.wh.where"}, {name: ".wh..wh.plnk/", kind: d}},
		}, want: "b, d/, d/y"},
		{name: "whiteouts spare their own layer", layers: [][]entry{
			{{name: "d/old"}, {name: "d/sub/old"}, {name: "f/old"}},
			{{name: "d/new"}, {name: "d/sub/new"}, {name: "d/.wh..wh..opq"}, {name: "f/new"}, {name: ".wh.f"}},
		}, want: "d/, d/new, d/sub/, d/sub/new, f/, f/new"},
		{name: "whiteout through a link", layers: [][]entry{
			{{name: "lib", kind: l, link: "usr/lib"}, {name: "usr/lib/x"}, {name: "usr/lib/y"}}, {{name: "lib/.wh.x"}},
		}, want: "lib -> usr/lib, usr/, usr/lib/, usr/lib/y"},
		{name: "whiteout of a link spares what it names", layers: [][]entry{
			{{name: "lib", kind: l, link: "usr/lib"}, {name: "usr/lib/x"}}, {{name: ".wh.lib"}},
		}, want: "usr/, usr/lib/, usr/lib/x"},
		{name: "whiteout that climbs out", layers: [][]entry{{{name: "a/x"}, {name: "a/.wh..."}}}, err: "whiteout of no name"},
		{name: "whiteout of the folder", layers: [][]entry{{{name: "a/x"}, {name: "a/.wh.."}}}, err: "whiteout of no name"},
		{name: "whiteout of nothing", layers: [][]entry{{{name: "a/x"}, {name: "a/.wh."}}}, err: "whiteout of no name"},
		{name: "mount points in the way", layers: [][]entry{{
			{name: "dev", kind: l, link: "/x"}, {name: "proc", body: "file"}, {name: "tmp", kind: l, link: "var/tmp"}, {name: "run", body: "file"},
		}}, want: "tmp -> var/tmp"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var layers []v1.Layer
			for _, entries := range c.layers {
				layers = append(layers, layer(t, entries...))
			}
			dir, err := unpacked(t, layers...)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("got %v, want %s", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := tree(t, dir); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			for name, want := range c.bodies {
				if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
					t.Errorf("%s holds %q (%v), want %q", name, got, err, want)
				}
			}
		})
	}
}

// deep lists n folders, each in the other.
func deep(n int) string {
	var b strings.Builder
	for i := 1; i <= n; i++ {
		b.WriteString(strings.Repeat("d/", i) + ", ")
	}
	return b.String()
}

func TestUnpackModesAndTimes(t *testing.T) {
	dir, err := unpacked(t, layer(t,
		entry{name: "locked/", kind: tar.TypeDir, mode: 0o555}, entry{name: "locked/none", mode: 0o001},
		entry{name: "su", mode: 0o6755}, entry{name: "sticky/", kind: tar.TypeDir, mode: 0o7777}, entry{name: "plain", mode: 0o640},
	))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{
		".": fs.ModeDir | 0o755, "locked": fs.ModeDir | 0o755, "locked/none": 0o401, "su": 0o755,
		"sticky": fs.ModeDir | fs.ModeSticky | 0o777, "plain": 0o640,
	} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode() != want {
			t.Errorf("%s is %v (%v), want %v", name, info.Mode(), err, want)
		}
	}
	if info, _ := os.Stat(filepath.Join(dir, "plain")); !info.ModTime().Equal(time.Unix(1700000000, 0)) {
		t.Errorf("its time is %s", info.ModTime())
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Errorf("it cannot be removed: %v", err)
	}
}

// TestUnpackAgreesWithExtract compares with the flattened archive that
// go-containerregistry makes of the same layers.
func TestUnpackAgreesWithExtract(t *testing.T) {
	img := image(t,
		layer(t, entry{name: "a", body: "1"}, entry{name: "d/x", body: "x"}, entry{name: "d/y", body: "y"}, entry{name: "e/z"}, entry{name: "o/1"}, entry{name: "l", kind: tar.TypeSymlink, link: "a"}),
		layer(t, entry{name: "a", body: "2"}, entry{name: "d/.wh.x"}, entry{name: "e", body: "file"}, entry{name: "o/.wh..wh..opq"}, entry{name: "o/2"}),
		layer(t, entry{name: ".wh.l"}, entry{name: "n/", kind: tar.TypeDir}, entry{name: "n/m", body: "m"}),
	)
	dir := filepath.Join(t.TempDir(), "root")
	if err := Unpack(context.Background(), img, dir); err != nil {
		t.Fatal(err)
	}
	flat := mutate.Extract(img)
	defer func() { _ = flat.Close() }()
	archive, files := tar.NewReader(flat), 0
	for {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		files++
		want, _ := io.ReadAll(archive)
		if got, err := os.ReadFile(filepath.Join(dir, h.Name)); err != nil || string(got) != string(want) {
			t.Errorf("%s holds %q (%v), want %q", h.Name, got, err, want)
		}
	}
	if got := strings.Count(tree(t, dir)+", ", ", ") - strings.Count(tree(t, dir), "/, "); got < files {
		t.Errorf("%d files of %d: %s", got, files, tree(t, dir))
	}
}

func TestUnpackTwice(t *testing.T) {
	img := image(t, layer(t, entry{name: "a", body: strings.Repeat("x", 1<<20)}))
	dir := filepath.Join(t.TempDir(), "root")
	var group sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		group.Go(func() { errs[i] = Unpack(context.Background(), img, dir) })
	}
	group.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, fs.ErrExist) {
			t.Error(err)
		}
	}
	if left, _ := os.ReadDir(filepath.Dir(dir)); won != 1 || len(left) != 1 {
		t.Errorf("%d have won, %v is left", won, left)
	}
}

func TestUnpackInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	parent := t.TempDir()
	err := Unpack(ctx, image(t, layer(t, entry{name: "a"})), filepath.Join(parent, "root"))
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "interrupted") {
		t.Error(err)
	}
	if left, _ := os.ReadDir(parent); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

// torn is a layer that breaks in the middle, or says so at its end.
type torn struct {
	v1.Layer
	keep int64
}

func (l torn) Uncompressed() (io.ReadCloser, error) {
	whole, err := l.Layer.Uncompressed()
	if err != nil {
		return nil, err
	}
	return io.NopCloser(io.MultiReader(io.LimitReader(whole, l.keep), broken{})), nil
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("digest mismatch") }

func TestUnpackOfABrokenLayer(t *testing.T) {
	whole := layer(t, entry{name: "a", body: strings.Repeat("x", 4096)})
	for _, keep := range []int64{0, 100, 2000, 6656} { // the last is all of it
		if _, err := unpacked(t, torn{whole, keep}); err == nil || !strings.Contains(err.Error(), "layer 1 of 1") {
			t.Errorf("%d bytes: %v", keep, err)
		}
	}
}

func TestUnpackWithoutParent(t *testing.T) {
	err := Unpack(context.Background(), image(t), filepath.Join(t.TempDir(), "no", "root"))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// FuzzUnpack unpacks three entries of any names, beside a file that no image
// may change.
func FuzzUnpack(f *testing.F) {
	f.Add("a", "/etc", byte('2'), "a/b", byte('0'), "../x", "a/../../x", byte('1'))
	f.Add("a", "../..", byte('2'), "a/victim", byte('0'), ".wh.victim", "", byte('0'))
	f.Add("d/.wh..wh..opq", "", byte('0'), "a/.wh...", byte('0'), "victim", "../victim", byte('1'))
	f.Add("a\x00b", "\\..\\", byte('2'), "a\\b", byte('5'), "…", "a", byte('1'))
	f.Add("dev", "..", byte('2'), "dev/../victim", byte('0'), "dev/victim", "dev", byte('2'))
	f.Fuzz(func(t *testing.T, name1, link1 string, kind1 byte, name2 string, kind2 byte, name3, link3 string, kind3 byte) {
		img, err := fuzzed([]entry{
			{name: name1, link: link1, kind: kind1}, {name: name2, link: link1, kind: kind2, body: "x"}, {name: name3, link: link3, kind: kind3},
		})
		if err != nil {
			t.Skip(err)
		}
		parent := t.TempDir()
		victim := filepath.Join(parent, "victim")
		if err := os.WriteFile(victim, []byte("untouched"), 0o600); err != nil {
			t.Fatal(err)
		}
		before, _ := os.Stat(victim)
		err = Unpack(context.Background(), img, filepath.Join(parent, "root"))
		if got, readErr := os.ReadFile(victim); readErr != nil || string(got) != "untouched" {
			t.Fatalf("the file outside holds %q (%v)", got, readErr)
		}
		if after, _ := os.Stat(victim); after.Mode() != before.Mode() || !after.ModTime().Equal(before.ModTime()) {
			t.Fatal("the file outside is changed")
		}
		left, _ := os.ReadDir(parent)
		if want := map[bool]int{true: 2, false: 1}[err == nil]; len(left) != want {
			t.Fatalf("%v is left (%v)", left, err)
		}
	})
}

// fuzzed is an image of entries that an archive can express.
func fuzzed(entries []entry) (v1.Image, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		if e.kind != tar.TypeReg {
			e.body = ""
		}
		h := &tar.Header{Name: e.name, Linkname: e.link, Typeflag: e.kind, Mode: 0o644, Size: int64(len(e.body))}
		if err := w.WriteHeader(h); err != nil {
			return nil, err
		}
		if _, err := io.WriteString(w, e.body); err != nil {
			return nil, err
		}
	}
	return mutate.AppendLayers(empty.Image, static.NewLayer(b.Bytes(), types.OCIUncompressedLayer))
}

// BenchmarkUnpack unpacks an image of 2000 files.
func BenchmarkUnpack(b *testing.B) {
	var entries []entry
	for i := range 2000 {
		entries = append(entries, entry{name: fmt.Sprintf("usr/share/%d/%x", i%50, sha256.Sum256([]byte{byte(i), byte(i >> 8)})), body: strings.Repeat("x", 4096)})
	}
	img, parent, n := image(b, layer(b, entries...)), b.TempDir(), 0
	for b.Loop() {
		n++
		if err := Unpack(context.Background(), img, filepath.Join(parent, fmt.Sprint(n))); err != nil {
			b.Fatal(err)
		}
	}
}
