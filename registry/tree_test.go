package registry

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

// refused packs files that cannot be packed, and checks what is said of it.
func refused(t *testing.T, dir string, file deploy.File, says, hints string) error {
	t.Helper()
	p, err := impatient().Pack(t.Context(), Spec{Dir: dir, Build: deploy.Build{Files: []deploy.File{file}}})
	if err == nil {
		_ = p.Close()
		t.Fatal("it is packed")
	}
	if !strings.HasPrefix(err.Error(), "pack the image: build.files[0]: from ") || !strings.Contains(err.Error(), says) {
		t.Errorf("%q does not say %q", err, says)
	}
	if !strings.Contains(deploy.HintOf(err), hints) {
		t.Errorf("%q: the hint %q does not say %q", err, deploy.HintOf(err), hints)
	}
	return err
}

func TestWhatIsNotThere(t *testing.T) {
	dir := folderOf(t, map[string]string{"bin/hello": "#!", "dangling": "-> nowhere", "loop": "-> loop"})
	err := refused(t, dir, deploy.File{From: "bin/hullo", To: "/x"}, `from "bin/hullo": file does not exist in `+dir, "build it before")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%v is not fs.ErrNotExist", err)
	}
	refused(t, dir, deploy.File{From: "none/hello", To: "/x"}, `from "none/hello": file does not exist`, "build it before")
	refused(t, dir, deploy.File{From: "bin/hello/x", To: "/x"}, `from "bin/hello/x" goes through something that is no folder`, "correct the path")
	refused(t, dir, deploy.File{From: "dangling", To: "/x"}, `from "dangling": file does not exist`, "build it before")
	refused(t, dir, deploy.File{From: "loop", To: "/x"}, `from "loop": statat loop: too many levels of symbolic links`, "")

	_, err = impatient().Pack(t.Context(), Spec{Dir: filepath.Join(dir, "none"), Build: deploy.Build{Files: []deploy.File{{From: "x", To: "/x"}}}})
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "open the folder of the build: ") {
		t.Errorf("got %v", err)
	}
}

func TestLinksThatLeaveTheTree(t *testing.T) {
	outside := folderOf(t, map[string]string{"secret": "hunter2", "more/secret": "hunter2"})
	for name, test := range map[string]struct {
		files       map[string]string
		from        string
		says, hints string
	}{
		"a file by a link out":        {map[string]string{"x": "-> " + outside + "/secret"}, "x", "leads through a link out of", "copy what it leads to"},
		"a folder by a link out":      {map[string]string{"x": "-> " + outside}, "x", "leads through a link out of", "copy what it leads to"},
		"through a folder that leads": {map[string]string{"x": "-> " + outside}, "x/more/secret", "leads through a link out of", "copy what it leads to"},
		"a link out to nothing":       {map[string]string{"x": "-> ../../../nowhere"}, "x", "leads through a link out of", "copy what it leads to"},
		"absolute, though within":     {map[string]string{"a": "1", "x": "-> SELF/a"}, "x", "leads through a link out of", "make the link relative"},
		"a chain of links out":        {map[string]string{"x": "-> y", "y": "-> z", "z": "-> .."}, "x", "leads through a link out of", "copy what it leads to"},

		"in a folder, absolute":        {map[string]string{"t/x": "-> /etc/passwd"}, "t", `from "t/x": the link to "/etc/passwd" is absolute`, "relative link to something within t"},
		"in a folder, above it":        {map[string]string{"a": "1", "t/x": "-> ../a"}, "t", `the link to "../a" leaves its folder`, "relative link to something within t"},
		"in a folder, far above it":    {map[string]string{"t/d/x": "-> ../../../a"}, "t", `the link to "../../../a" leaves its folder`, "within t"},
		"in a folder, through another": {map[string]string{"t/d": "-> .", "t/x": "-> d/../../a"}, "t", "goes up after it went down", "within t"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for path, content := range test.files {
				write(t, filepath.Join(dir, path), strings.ReplaceAll(content, "SELF", dir))
			}
			err := refused(t, dir, deploy.File{From: test.from, To: "/x"}, test.says, test.hints)
			if strings.Contains(err.Error(), "hunter2") {
				t.Error("it tells what it should not have read")
			}
		})
	}
}

// Links that stay are kept as they are; those on the way to a folder are
// followed.
func TestLinksThatStay(t *testing.T) {
	dir := folderOf(t, map[string]string{
		"real/d/e/f": "1", "real/d/e/up": "-> ../../g", "real/g": "2", "real/self": "-> .", "real/later": "-> not/yet",
		"alias": "-> real",
	})
	p := pack(t, Spec{Dir: dir, Build: deploy.Build{Files: []deploy.File{{From: "alias", To: "/x"}, {From: "alias/d/../g", To: "/g"}}}})
	got := strings.Join(content(t, p.own[0]), "\n")
	for _, want := range []string{"x/d/e/up -> ../../g", "x/self -> .", "x/later -> not/yet"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in\n%s", want, got)
		}
	}
	if got := content(t, p.own[1]); len(got) != 1 || !strings.HasSuffix(got[0], `g "2"`) {
		t.Errorf("got %q", got)
	}
}

func TestNamesThatLayersCannotHold(t *testing.T) {
	dir := folderOf(t, map[string]string{"t/d/.wh.x": ""})
	err := refused(t, dir, deploy.File{From: "t", To: "/x"}, `from "t/d/.wh.x": the name ".wh.x" means in a layer that a file is deleted`, "rename it")
	if !deploy.IsUsage(err) {
		t.Errorf("%v is no usage error", err)
	}
	deep := t.TempDir()
	if err := os.MkdirAll(filepath.Join(deep, strings.Repeat("0123456789/", 30), "t"), 0o755); err != nil {
		t.Fatal(err)
	}
	to := "/" + strings.TrimSuffix(strings.Repeat("abcdefghi/", 400), "/")
	_, err = impatient().Pack(t.Context(), Spec{Dir: deep, Build: deploy.Build{Files: []deploy.File{{From: ".", To: to}}}})
	mustBeUsage(t, err, "too long for an image", "shorten it to 4095 bytes")
}
