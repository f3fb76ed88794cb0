package registry

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/slipway-ci/slipway/deploy"
)

// committed is when the commit of the tests was made.
var committed = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

// folderOf makes a folder of files: a name that ends with a slash is a folder, a
// content that begins with "-> " a link, and one that begins with "#!" a file
// that may be executed.
func folderOf(tb testing.TB, files map[string]string) string {
	tb.Helper()
	dir := tb.TempDir()
	for name, content := range files {
		write(tb, dir+"/"+name, content)
	}
	return dir
}

// write makes one of them, and the folders above it.
func write(tb testing.TB, path, content string) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatal(err)
	}
	target, isLink := strings.CutPrefix(content, "-> ")
	var err error
	switch {
	case isLink:
		err = os.Symlink(target, path)
	case strings.HasSuffix(path, "/"):
	case strings.HasPrefix(content, "#!"):
		err = os.WriteFile(path, []byte(content), 0o755)
	default:
		err = os.WriteFile(path, []byte(content), 0o644)
	}
	if err != nil {
		tb.Fatal(err)
	}
}

// web is the folder of a small app.
var web = map[string]string{
	"bin/hello":            "#!/bin/true",
	"public/index.html":    "<h1>hello</h1>",
	"public/js/app.js":     "hello()",
	"public/js/app.min.js": "-> app.js",
	"public/about":         "-> ./index.html",
	"public/empty/.keep":   "",
}

// webSpec packs it, on scratch.
func webSpec(dir string) Spec {
	return Spec{
		Dir: dir,
		Build: deploy.Build{
			Files: []deploy.File{
				{From: "bin/hello", To: "/hello"},
				{From: "public", To: "/srv/www", UID: 1000, GID: 1001},
			},
			Entrypoint: []string{"/hello", "--root", "/srv/www"},
			Platform:   "linux/amd64",
		},
		Source: "https://github.com/acme/hello", Revision: strings.Repeat("a1", 20),
		Version: "1.4.2", Title: "hello", Created: committed,
	}
}

func pack(tb testing.TB, spec Spec) *Packed {
	tb.Helper()
	return packWith(tb, impatient(), spec)
}

func packWith(tb testing.TB, c *Client, spec Spec) *Packed {
	tb.Helper()
	p, err := c.Pack(tb.Context(), spec)
	if err != nil {
		tb.Fatalf("%v\nhint: %s", err, deploy.HintOf(err))
	}
	tb.Cleanup(func() {
		if err := p.Close(); err != nil {
			tb.Error(err)
		}
	})
	return p
}

// digestOf packs and forgets.
func digestOf(tb testing.TB, spec Spec) v1.Hash {
	tb.Helper()
	return must(pack(tb, spec).Digest())
}

func chmod(tb testing.TB, path string, mode os.FileMode) {
	tb.Helper()
	if err := os.Chmod(path, mode); err != nil {
		tb.Fatal(err)
	}
}

func TestDigestStays(t *testing.T) {
	for name, spec := range map[string]func(t *testing.T) Spec{
		"in another folder": func(t *testing.T) Spec { return webSpec(folderOf(t, web)) },
		"in a folder reached by a link": func(t *testing.T) Spec {
			link := filepath.Join(t.TempDir(), "link")
			write(t, link, "-> "+folderOf(t, web))
			return webSpec(link)
		},
		"in the current folder": func(t *testing.T) Spec {
			t.Chdir(folderOf(t, web))
			return webSpec("")
		},
		"written the other way round": func(t *testing.T) Spec {
			dir := t.TempDir()
			for _, name := range slices.Backward(slices.Sorted(maps.Keys(web))) {
				write(t, filepath.Join(dir, name), web[name])
			}
			return webSpec(dir)
		},
		"with other times": func(t *testing.T) Spec {
			dir := folderOf(t, web)
			for _, name := range []string{"bin/hello", "public/index.html", "public/js", "public"} {
				old := time.Unix(1, 500)
				if err := os.Chtimes(filepath.Join(dir, name), old, old); err != nil {
					t.Fatal(err)
				}
			}
			return webSpec(dir)
		},
		"with a strict umask": func(t *testing.T) Spec {
			dir := folderOf(t, web)
			chmod(t, filepath.Join(dir, "bin/hello"), 0o700)
			chmod(t, filepath.Join(dir, "public/index.html"), 0o600)
			chmod(t, filepath.Join(dir, "public/js"), 0o700)
			return webSpec(dir)
		},
		"with a lax umask": func(t *testing.T) Spec {
			dir := folderOf(t, web)
			chmod(t, filepath.Join(dir, "bin/hello"), 0o777)
			chmod(t, filepath.Join(dir, "public/index.html"), 0o666)
			chmod(t, filepath.Join(dir, "public"), 0o777|os.ModeSetgid)
			return webSpec(dir)
		},
		"with a file that is not packed": func(t *testing.T) Spec {
			dir := folderOf(t, web)
			write(t, filepath.Join(dir, "secrets.txt"), "hunter2")
			return webSpec(dir)
		},
		"with a path that is written otherwise": func(t *testing.T) Spec {
			spec := webSpec(folderOf(t, web))
			spec.Build.Files[0].From = "./bin//hello"
			return spec
		},
		"with a commit time of another zone and with a fraction": func(t *testing.T) Spec {
			spec := webSpec(folderOf(t, web))
			spec.Created = committed.Add(999 * time.Millisecond).In(time.FixedZone("CET", 3600))
			return spec
		},
	} {
		t.Run(name, func(t *testing.T) {
			want := digestOf(t, webSpec(folderOf(t, web)))
			if got := digestOf(t, spec(t)); got != want {
				t.Errorf("got %s, not %s", got, want)
			}
		})
	}
}

func TestDigestChanges(t *testing.T) {
	for name, change := range map[string]func(t *testing.T, s *Spec){
		"with content": func(t *testing.T, s *Spec) {
			write(t, filepath.Join(s.Dir, "public/index.html"), "<h1>hullo</h1>")
		},
		"with a name": func(t *testing.T, s *Spec) {
			if err := os.Rename(filepath.Join(s.Dir, "public/js/app.js"), filepath.Join(s.Dir, "public/js/App.js")); err != nil {
				t.Fatal(err)
			}
		},
		"with one more empty folder": func(t *testing.T, s *Spec) { write(t, s.Dir+"/public/more/", "") },
		"with what may be executed": func(t *testing.T, s *Spec) {
			chmod(t, filepath.Join(s.Dir, "public/js/app.js"), 0o744)
		},
		"with a link's target": func(t *testing.T, s *Spec) {
			path := filepath.Join(s.Dir, "public/about")
			_ = os.Remove(path)
			write(t, path, "-> index.html")
		},
		"with a mode":     func(_ *testing.T, s *Spec) { s.Build.Files[0].Mode = 0o700 },
		"with an owner":   func(_ *testing.T, s *Spec) { s.Build.Files[0].UID = 1 },
		"with a group":    func(_ *testing.T, s *Spec) { s.Build.Files[0].GID = 1 },
		"with a place":    func(_ *testing.T, s *Spec) { s.Build.Files[0].To = "/bin/hello" },
		"with the order":  func(_ *testing.T, s *Spec) { slices.Reverse(s.Build.Files) },
		"with the start":  func(_ *testing.T, s *Spec) { s.Build.Entrypoint = []string{"/hello"} },
		"with a platform": func(_ *testing.T, s *Spec) { s.Build.Platform = "linux/arm64" },
		"with the time":   func(_ *testing.T, s *Spec) { s.Created = committed.Add(time.Second) },
		"with the commit": func(_ *testing.T, s *Spec) { s.Revision = strings.Repeat("b2", 20) },
		"with a version":  func(_ *testing.T, s *Spec) { s.Version = "1.4.3" },
		"with the source": func(_ *testing.T, s *Spec) { s.Source = "https://github.com/acme/hullo" },
		"with the title":  func(_ *testing.T, s *Spec) { s.Title = "hullo" },
	} {
		t.Run(name, func(t *testing.T) {
			spec := webSpec(folderOf(t, web))
			before := digestOf(t, spec)
			change(t, &spec)
			if digestOf(t, spec) == before {
				t.Error("it is the same")
			}
		})
	}
}

// What an image is may not change with Slipway itself: the first three would make
// every release of an unchanged commit another image. The manifest's digest
// follows from how layers are compressed. It may change with that, and then
// the constant packing has to; a version that was pushed before is recognised
// all the same.
func TestGolden(t *testing.T) {
	p := pack(t, webSpec(folderOf(t, web)))
	for what, c := range map[string]struct {
		got  v1.Hash
		want string
	}{
		"the layer of a file":   {must(p.own[0].DiffID()), "sha256:c479786e841dc0080a42ba2efc5844981bb35feecd6bb5fc4847ac5868a8a8ea"},
		"the layer of a folder": {must(p.own[1].DiffID()), "sha256:5a610cbe939ac85598e80251c6487c3c2673cf60a94bc73d8dee3ed9035b938f"},
		"the configuration":     {must(p.ConfigName()), "sha256:a83a809f58114b012acfa1169fe5b184d93a28a63a5d91c949ac2e3350d43b66"},
		"the manifest":          {must(p.Digest()), "sha256:b43ad1fd0462ce244789237081a86459ce003529b45558cc4e228bf02a824e42"},
	} {
		if c.got.String() != c.want {
			t.Errorf("%s is %s, not %s", what, c.got, c.want)
		}
	}
}

// content lists what a layer holds, one line each.
func content(tb testing.TB, l v1.Layer) []string {
	tb.Helper()
	r, err := l.Uncompressed()
	if err != nil {
		tb.Fatal(err)
	}
	defer r.Close()
	var lines []string
	for t := tar.NewReader(r); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return lines
		}
		if err != nil {
			tb.Fatal(err)
		}
		body := must(io.ReadAll(t))
		line := fmt.Sprintf("%s %d:%d %s", h.FileInfo().Mode(), h.Uid, h.Gid, h.Name)
		if _, own := l.(*layer); own {
			mustHaveTime(tb, h, body)
		}
		if h.Linkname != "" {
			line += " -> " + h.Linkname
		}
		if len(body) > 0 {
			line += fmt.Sprintf(" %q", body)
		}
		if h.Uname+h.Gname != "" || !h.AccessTime.IsZero() || !h.ChangeTime.IsZero() {
			tb.Errorf("%s tells of the machine that packed it: %+v", h.Name, h)
		}
		lines = append(lines, line)
	}
}

// mustHaveTime checks that a time follows from the content alone.
func mustHaveTime(tb testing.TB, h *tar.Header, body []byte) {
	tb.Helper()
	want := time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)
	if h.Typeflag == tar.TypeReg {
		want = want.Add(time.Duration(crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))%(1<<30)) * time.Second)
	}
	if !h.ModTime.Equal(want) {
		tb.Errorf("%s is of %s, not %s", h.Name, h.ModTime, want)
	}
}

func TestLayers(t *testing.T) {
	dir := folderOf(t, web)
	write(t, dir+"/none/", "")
	for _, test := range []struct {
		name string
		file deploy.File
		want []string
	}{
		{"a file", deploy.File{From: "bin/hello", To: "/hello"}, []string{
			`-rwxr-xr-x 0:0 hello "#!/bin/true"`,
		}},
		{"a file in folders", deploy.File{From: "bin/hello", To: "/opt/x/hello", UID: 7, GID: 8}, []string{
			"drwxr-xr-x 0:0 opt/",
			"drwxr-xr-x 0:0 opt/x/",
			`-rwxr-xr-x 7:8 opt/x/hello "#!/bin/true"`,
		}},
		{"a file by a link to it", deploy.File{From: "public/js/app.min.js", To: "/app.js"}, []string{
			`-rw-r--r-- 0:0 app.js "hello()"`,
		}},
		{"a file with a mode", deploy.File{From: "bin/hello", To: "/hello", Mode: 0o4}, []string{
			`-------r-- 0:0 hello "#!/bin/true"`,
		}},
		{"a folder", deploy.File{From: "public", To: "/www", UID: 1 << 30, GID: 3, Mode: 0o640}, []string{
			"drwxr-xr-x 1073741824:3 www/",
			"Lrwxrwxrwx 1073741824:3 www/about -> ./index.html",
			"drwxr-xr-x 1073741824:3 www/empty/",
			"-rw-r----- 1073741824:3 www/empty/.keep",
			`-rw-r----- 1073741824:3 www/index.html "<h1>hello</h1>"`,
			"drwxr-xr-x 1073741824:3 www/js/",
			`-rw-r----- 1073741824:3 www/js/app.js "hello()"`,
			"Lrwxrwxrwx 1073741824:3 www/js/app.min.js -> app.js",
		}},
		{"a folder as the root", deploy.File{From: "public/js", To: "/"}, []string{
			`-rw-r--r-- 0:0 app.js "hello()"`,
			"Lrwxrwxrwx 0:0 app.min.js -> app.js",
		}},
		{"an empty folder as the root", deploy.File{From: "none", To: "/"}, nil},
		{"all of the folder", deploy.File{From: ".", To: "/"}, []string{
			"drwxr-xr-x 0:0 bin/",
			`-rwxr-xr-x 0:0 bin/hello "#!/bin/true"`,
			"drwxr-xr-x 0:0 none/",
			"drwxr-xr-x 0:0 public/",
			"Lrwxrwxrwx 0:0 public/about -> ./index.html",
			"drwxr-xr-x 0:0 public/empty/",
			"-rw-r--r-- 0:0 public/empty/.keep",
			`-rw-r--r-- 0:0 public/index.html "<h1>hello</h1>"`,
			"drwxr-xr-x 0:0 public/js/",
			`-rw-r--r-- 0:0 public/js/app.js "hello()"`,
			"Lrwxrwxrwx 0:0 public/js/app.min.js -> app.js",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := pack(t, Spec{Dir: dir, Created: committed, Build: deploy.Build{Files: []deploy.File{test.file}}})
			if diff := cmp.Diff(test.want, content(t, p.own[0])); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Names that are long, not in ASCII or not even in UTF-8 come back as they are.
func TestUnusualNames(t *testing.T) {
	long := strings.Repeat("d", 120) + "/" + strings.Repeat("f", 200)
	names := []string{"a b", "back\\slash", "ünï", "日本語", "new\nline", "-rf", "bytes\xff\xfe", long, "..."}
	dir := t.TempDir()
	for _, name := range names {
		write(t, filepath.Join(dir, name), "x")
	}
	write(t, filepath.Join(dir, "link"), "-> "+long)
	p := pack(t, Spec{Dir: dir, Build: deploy.Build{Files: []deploy.File{{From: ".", To: "/"}}}})
	got := strings.Join(content(t, p.own[0]), "\n")
	for _, name := range append(names, "link -> "+long) {
		if !strings.Contains(got, "0:0 "+name) {
			t.Errorf("%q is not in\n%s", name, got)
		}
	}
	if err := validate.Image(p); err != nil {
		t.Error(err)
	}
}

func TestLabelsAndAnnotations(t *testing.T) {
	p := pack(t, webSpec(folderOf(t, web)))
	want := map[string]string{
		"org.opencontainers.image.source":   "https://github.com/acme/hello",
		"org.opencontainers.image.revision": strings.Repeat("a1", 20),
		"org.opencontainers.image.version":  "1.4.2",
		"org.opencontainers.image.title":    "hello",
		"org.opencontainers.image.created":  "2024-05-01T12:00:00Z",
	}
	if diff := cmp.Diff(want, must(p.ConfigFile()).Config.Labels); diff != "" {
		t.Errorf("labels: %s", diff)
	}
	want["io.github.slipway-ci.packing"] = packing
	if diff := cmp.Diff(want, must(p.Manifest()).Annotations); diff != "" {
		t.Errorf("annotations: %s", diff)
	}

	bare := webSpec(folderOf(t, web))
	bare.Source, bare.Revision, bare.Version, bare.Title, bare.Created = "", "", "", "", time.Time{}
	want = map[string]string{"org.opencontainers.image.created": "1970-01-01T00:00:00Z", "io.github.slipway-ci.packing": packing}
	if diff := cmp.Diff(want, must(pack(t, bare).Manifest()).Annotations); diff != "" {
		t.Errorf("without commit and version: %s", diff)
	}
}

func TestConfiguration(t *testing.T) {
	spec := webSpec(folderOf(t, web))
	spec.Build.Platform = "linux/arm/v7"
	p := pack(t, spec)
	c := must(p.ConfigFile())
	if c.OS != "linux" || c.Architecture != "arm" || c.Variant != "v7" || !c.Created.Equal(committed) || c.RootFS.Type != "layers" {
		t.Errorf("got %+v", c)
	}
	if diff := cmp.Diff([]string{"/hello", "--root", "/srv/www"}, c.Config.Entrypoint); diff != "" {
		t.Error(diff)
	}
	if len(c.History) != 2 || c.History[1].CreatedBy != "slipway: files to /srv/www" || !c.History[1].Created.Equal(committed) {
		t.Errorf("history %+v", c.History)
	}
	if got := must(p.Manifest()); len(got.Layers) != 2 || got.MediaType != "application/vnd.oci.image.manifest.v1+json" {
		t.Errorf("manifest %+v", got)
	}
	if err := validate.Image(p); err != nil {
		t.Error(err)
	}
	for _, l := range must(p.Layers()) {
		if byID := must(p.LayerByDiffID(must(l.DiffID()))); byID != l {
			t.Errorf("%v is not found by its content", l)
		}
	}
	if _, err := p.LayerByDigest(v1.Hash{Algorithm: "sha256", Hex: strings.Repeat("0", 64)}); err == nil {
		t.Error("a layer that it has not is found")
	}

	spec.Build.Platform = ""
	if c := must(pack(t, spec).ConfigFile()); c.OS != "linux" || c.Architecture != runtime.GOARCH || c.Variant != "" {
		t.Errorf("by default it is for %s/%s/%s", c.OS, c.Architecture, c.Variant)
	}
}

func TestPackInterrupted(t *testing.T) {
	spec := webSpec(folderOf(t, web))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := impatient().Pack(ctx, spec)
	if err == nil || err.Error() != "pack the image: interrupted" || !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	ctx, cancel = context.WithDeadline(t.Context(), time.Now().Add(-time.Hour))
	defer cancel()
	_, err = impatient().Pack(ctx, spec)
	if err == nil || !strings.Contains(err.Error(), "time that was given for it ran out") || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
}

// A pipeline packs under one context and pushes under the next.
func TestImageOutlivesItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	p, err := impatient().Pack(ctx, webSpec(folderOf(t, web)))
	cancel()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.Digest(); err != nil {
		t.Error(err)
	}
}

// However large the files are, packing them ends with its context.
func TestPackIsInterruptedWhileItReads(t *testing.T) {
	dir := folderOf(t, map[string]string{"large": ""})
	if err := os.Truncate(filepath.Join(dir, "large"), 16<<30); err != nil {
		t.Skipf("no files with holes here: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer time.AfterFunc(20*time.Millisecond, cancel).Stop()
	_, err := impatient().Pack(ctx, Spec{Dir: dir, Build: deploy.Build{Files: []deploy.File{{From: "large", To: "/large"}}}})
	if err == nil || err.Error() != "pack the image: interrupted" {
		t.Errorf("got %v", err)
	}
}
