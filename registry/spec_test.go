package registry

import (
	"archive/tar"
	"bytes"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-ci/slipway/deploy"
)

// mustBeUsage checks an error that its reader has to mend: what is wrong, and a
// hint that says what to write instead.
func mustBeUsage(tb testing.TB, err error, says, hints string) {
	tb.Helper()
	switch {
	case err == nil:
		tb.Error("it is taken")
	case !deploy.IsUsage(err):
		tb.Errorf("%v is no usage error", err)
	case !strings.Contains(err.Error(), says):
		tb.Errorf("%q does not say %q", err, says)
	case !strings.Contains(deploy.HintOf(err), hints):
		tb.Errorf("%q: the hint %q does not say %q", err, deploy.HintOf(err), hints)
	}
}

func TestBuildIsRefused(t *testing.T) {
	dir := folderOf(t, web)
	hello := deploy.File{From: "bin/hello", To: "/hello"}
	with := func(change func(f *deploy.File)) deploy.Build {
		f := hello
		change(&f)
		return deploy.Build{Files: []deploy.File{hello, f}}
	}
	from := func(from string) deploy.Build { return with(func(f *deploy.File) { f.From = from }) }
	to := func(to string) deploy.Build { return with(func(f *deploy.File) { f.To = to }) }
	for name, test := range map[string]struct {
		build      deploy.Build
		says, hint string
	}{
		"nothing to pack":       {deploy.Build{}, "build.files is empty", "files: ["},
		"no from":               {from(""), `build.files[1]: from is empty`, "relative to the folder"},
		"an absolute from":      {from("/etc/passwd"), `from "/etc/passwd" is absolute`, "bin/hello"},
		"a from that climbs":    {from("../secrets"), `from "../secrets" leaves`, "below the folder"},
		"a from that dips out":  {from("bin/../../x"), "leaves the folder", "below the folder"},
		"a from with NUL":       {from("a\x00b"), "NUL", "remove it"},
		"a relative to":         {to("srv/app"), `to "srv/app" is not absolute`, "/srv/app"},
		"no to":                 {to(""), `to "" is not absolute`, "/"},
		"a to that climbs":      {to("/srv/../../etc"), "not a clean path", "write /etc"},
		"a to with a slash":     {to("/srv/"), "not a clean path", "write /srv"},
		"a to with NUL":         {to("/a\x00b"), "NUL", "remove it"},
		"a to that is too long": {to(strings.Repeat("/abcdefg", 600)), "too long", "4095"},
		"a name that is too long": {
			to("/" + strings.Repeat("x", 256)), "has 256 bytes", "255",
		},
		"a to that deletes": {to("/srv/.wh.app"), `".wh.app" means`, "rename it"},
		"a file as the root": {
			deploy.Build{Files: []deploy.File{{From: "bin/hello", To: "/"}}}, "to is the root folder", "/hello",
		},
		"a mode with more than permissions": {with(func(f *deploy.File) { f.Mode = fs.ModeSetuid | 0o755 }), "more than permissions", "0755"},
		"a negative user":                   {with(func(f *deploy.File) { f.UID = -1 }), "owner -1:0", "from 0 to 2147483647"},
		"a group that is too high":          {with(func(f *deploy.File) { f.GID = 1 << 31 }), "owner 0:2147483648", "from 0 to 2147483647"},
		"a platform of one part":            {deploy.Build{Files: []deploy.File{hello}, Platform: "linux"}, `build.platform "linux"`, "linux/arm/v7"},
		"a platform of four parts":          {deploy.Build{Files: []deploy.File{hello}, Platform: "a/b/c/d"}, "is not a platform", "linux/amd64"},
		"a platform with a gap":             {deploy.Build{Files: []deploy.File{hello}, Platform: "linux//v7"}, "is not a platform", "linux/amd64"},
		"a platform in capitals":            {deploy.Build{Files: []deploy.File{hello}, Platform: "Linux/AMD64"}, "is not a platform", "linux/amd64"},
		"two files at one place": {
			deploy.Build{Files: []deploy.File{hello, {From: "public/index.html", To: "/hello", UID: 5}}},
			"/hello is wanted by build.files[0] (a file of owner 0:0) and by build.files[1] (a file of owner 5:0)", "a path of its own",
		},
		"a file where a folder is": {
			deploy.Build{Files: []deploy.File{{From: "public", To: "/srv"}, {From: "bin/hello", To: "/srv/js"}}},
			"/srv/js is wanted by build.files[0] (a folder of owner 0:0) and by build.files[1] (a file", "a path of its own",
		},
		"a folder below a file": {
			deploy.Build{Files: []deploy.File{hello, {From: "public", To: "/hello/www"}}},
			"/hello is wanted by", "a path of its own",
		},
		"a file below a link": {
			deploy.Build{Files: []deploy.File{{From: "public", To: "/srv"}, {From: "bin/hello", To: "/srv/about/x"}}},
			"(a link of owner 0:0)", "a path of its own",
		},
		"a folder of two owners": {
			deploy.Build{Files: []deploy.File{{From: "public", To: "/srv", UID: 1}, {From: "bin", To: "/srv", UID: 2}}},
			"/srv is wanted by build.files[0] (a folder of owner 1:0) and by build.files[1] (a folder of owner 2:0)", "a path of its own",
		},
		"a base that is no image": {deploy.Build{Base: "Gcr.io/UPPER"}, `build.base "Gcr.io/UPPER"`, "gcr.io/distroless/static"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := impatient().Pack(t.Context(), Spec{Dir: dir, Build: test.build})
			mustBeUsage(t, err, test.says, test.hint)
		})
	}
}

// Entries may share folders: the one that names a folder says who owns it,
// whatever the order, and in every layer.
func TestEntriesShareFolders(t *testing.T) {
	dir := folderOf(t, web)
	files := []deploy.File{
		{From: "bin/hello", To: "/srv/bin/hello"},
		{From: "public", To: "/srv", UID: 5},
		{From: "public/js", To: "/srv/js/more", UID: 5},
	}
	p := pack(t, Spec{Dir: dir, Build: deploy.Build{Files: files}})
	for i, want := range [][]string{
		{"5:0 srv/", "0:0 srv/bin/", "0:0 srv/bin/hello"},
		{"5:0 srv/", "5:0 srv/about", "5:0 srv/empty/", "5:0 srv/empty/.keep", "5:0 srv/index.html", "5:0 srv/js/", "5:0 srv/js/app.js", "5:0 srv/js/app.min.js"},
		{"5:0 srv/", "5:0 srv/js/", "5:0 srv/js/more/", "5:0 srv/js/more/app.js", "5:0 srv/js/more/app.min.js"},
	} {
		var got []string
		for _, line := range content(t, p.own[i]) {
			fields := strings.Fields(line)
			got = append(got, fields[1]+" "+fields[2])
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("layer %d: got %q, want %q", i, got, want)
		}
	}
}

// FuzzFile holds what is said of a file in an image against what images can
// hold: it is refused with a hint, or comes back from an archive as it is.
func FuzzFile(f *testing.F) {
	f.Add("bin/hello", "/hello", uint32(0o755), 0, 0)
	f.Add("../x", "/a/../b", uint32(1<<31), -1, 1<<31)
	f.Add("a\x00", "/.wh.x", uint32(0), 1<<30, 1000)
	f.Add(".", "/", uint32(0o7777), 0, 0)
	f.Add("日本", "/ü/\xff", uint32(0o4), 0, 0)
	f.Fuzz(func(t *testing.T, from, to string, mode uint32, uid, gid int) {
		file := deploy.File{From: from, To: to, Mode: fs.FileMode(mode), UID: uid, GID: gid}
		if err := validateFile(file); err != nil {
			if !deploy.IsUsage(err) || deploy.HintOf(err) == "" {
				t.Errorf("%v is no usage error with a hint", err)
			}
			return
		}
		if !filepath.IsLocal(from) || path.Clean(to) != to || !path.IsAbs(to) {
			t.Errorf("from %q to %q is taken", from, to)
		}
		if to == "/" {
			return
		}
		it := item{path: to[1:], kind: folder, mode: int64(file.Mode), uid: uid, gid: gid}
		var archived bytes.Buffer
		a := archive{items: []item{it}}
		if err := a.write(t.Context(), &archived); err != nil {
			t.Fatal(err)
		}
		h, err := tar.NewReader(&archived).Next()
		if err != nil {
			t.Fatal(err)
		}
		if h.Name != it.path+"/" || h.Mode != it.mode || h.Uid != uid || h.Gid != gid || !h.ModTime.Equal(epoch) {
			t.Errorf("%+v came back as %+v", it, h)
		}
	})
}

func FuzzPlatform(f *testing.F) {
	for _, seed := range []string{"", "linux/amd64", "linux/arm/v7", "linux", "a/b/c/d", "Linux/amd64", "linux/amd64\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Spec{Build: deploy.Build{Platform: text}}.platform()
		if err != nil {
			if !deploy.IsUsage(err) || deploy.HintOf(err) == "" {
				t.Errorf("%v is no usage error with a hint", err)
			}
			return
		}
		if text != "" && p.String() != text {
			t.Errorf("%q is read as %q", text, p.String())
		}
		if again, err := v1.ParsePlatform(p.String()); err != nil || !again.Equals(p) {
			t.Errorf("%q is %v to others: %v", text, again, err)
		}
	})
}

// FuzzLink follows links by hand: none that is taken leaves its tree.
func FuzzLink(f *testing.F) {
	f.Add("../x", 1)
	f.Add("a/../../x", 2)
	f.Add("/etc", 0)
	f.Add("./../..//./x/", 2)
	f.Fuzz(func(t *testing.T, target string, depth int) {
		depth = min(max(depth, 0), 50)
		if staysInside(target, depth) != nil {
			return
		}
		at := "/tree" + strings.Repeat("/d", depth)
		if path.IsAbs(target) || !strings.HasPrefix(path.Join(at, target)+"/", "/tree/") {
			t.Errorf("from %s, %q leads to %s", at, target, path.Join(at, target))
		}
	})
}

// The archive of nothing is one that others can read.
func TestEmptyArchive(t *testing.T) {
	var archived bytes.Buffer
	if err := (archive{}).write(t.Context(), &archived); err != nil {
		t.Fatal(err)
	}
	if _, err := tar.NewReader(&archived).Next(); err != io.EOF {
		t.Errorf("got %v", err)
	}
}
