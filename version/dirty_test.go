package version

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestDirty(t *testing.T) {
	tests := []struct {
		name   string
		change func(r *testRepo)
		want   bool
	}{
		{"nothing", func(*testRepo) {}, false},
		{"a file that git does not know", func(r *testRepo) { r.write("bin/new", "x") }, false},
		{"other content of another size", func(r *testRepo) { r.write("a", "longer") }, true},
		{"other content of the same size and time", func(r *testRepo) {
			info := must(os.Stat(r.path("a")))
			r.write("a", "2")
			r.touch("a", info.ModTime())
			r.touch(".git/index", info.ModTime()) // written within the same tick
		}, true},
		{"only the time", func(r *testRepo) { r.touch("a", time.Now().Add(-time.Hour)) }, false},
		{"times of a copy", func(r *testRepo) {
			for _, f := range []string{"a", "dir/b", "run.sh"} {
				r.touch(f, time.Unix(1, 0))
			}
		}, false},
		{"a deleted file", func(r *testRepo) { r.remove("a") }, true},
		{"a folder that became a file", func(r *testRepo) {
			r.remove("dir/b")
			r.remove("dir")
			r.write("dir", "x")
		}, true},
		{"a file that became a folder", func(r *testRepo) {
			r.remove("a")
			r.write("a/x", "x")
		}, true},
		{"a file that became executable", func(r *testRepo) { r.chmod("a", 0o755) }, true},
		{"other permissions that git does not keep", func(r *testRepo) { r.chmod("a", 0o600) }, false},
		{"a link that leads elsewhere", func(r *testRepo) {
			r.remove("link")
			r.link("dir", "link")
		}, true},
		{"a link that became a file", func(r *testRepo) {
			r.remove("link")
			r.write("link", "other")
		}, true},
		{"a link that became a folder", func(r *testRepo) {
			r.remove("link")
			r.write("link/x", "x")
		}, true},
		{"a staged change", func(r *testRepo) {
			r.write("a", "staged")
			r.add("a")
		}, true},
		{"a staged change undone in the file alone", func(r *testRepo) {
			r.write("a", "staged")
			r.add("a")
			r.write("a", "1")
		}, true},
		{"a staged file", func(r *testRepo) {
			r.write("c", "3")
			r.add("c")
		}, true},
		{"a staged deletion", func(r *testRepo) { _, _ = r.tree().Remove("a") }, true},
		{"another commit than the index", func(r *testRepo) {
			r.write(".git/refs/heads/main", r.first+"\n")
		}, true},
		{"no index", func(r *testRepo) { r.remove(".git/index") }, true},
		{"line endings that git converts", func(r *testRepo) {
			config := string(must(os.ReadFile(r.path(".git/config"))))
			r.write(".git/config", config+"[core]\n\tautocrlf = true\n")
			r.write("text", "x\r\ny\r\n")
			r.add("text")
		}, true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRepo(t)
			r.first = r.commits(1).String()
			r.write("a", "1")
			r.write("dir/b", "2")
			r.write("run.sh", "#!/bin/sh")
			r.chmod("run.sh", 0o755)
			r.link("a", "link")
			r.add("a", "dir/b", "run.sh", "link")
			r.commits(1)
			if r.read().Dirty {
				t.Fatal("dirty from the beginning")
			}
			test.change(r)
			if got := r.read().Dirty; got != test.want {
				t.Errorf("dirty is %v", got)
			}
		})
	}
}

// A checkout by git on a system that ends lines with CR and LF leaves files
// that differ from what is under version control, byte by byte.
func TestConvertedLines(t *testing.T) {
	r := newRepo(t)
	r.write("text", "x\ny\n")
	r.add("text")
	r.commits(1)
	config := string(must(os.ReadFile(r.path(".git/config"))))
	r.write(".git/config", config+"[core]\n\tautocrlf = true\n")
	r.write("text", "x\r\ny\r\n")
	idx := must(r.Storer.Index())
	idx.Entries[0].Size = 6 // of the file, as git writes it
	if err := r.Storer.SetIndex(idx); err != nil {
		t.Fatal(err)
	}
	if r.read().Dirty {
		t.Error("converted lines are no change")
	}
	r.write("text", "x\r\nz\r\n")
	if !r.read().Dirty {
		t.Error("another letter is")
	}
}

func TestSkippedAndSubmodules(t *testing.T) {
	sub := newRepo(t)
	at := sub.commits(1)
	r := newRepo(t)
	r.write("a", "1")
	r.add("a")
	r.commits(1)
	idx := must(r.Storer.Index())
	module := idx.Add("module")
	module.Hash, module.Mode = at, 0o160000
	if err := r.Storer.SetIndex(idx); err != nil {
		t.Fatal(err)
	}
	r.commits(1)
	if r.read().Dirty {
		t.Error("a submodule that is not checked out is no change")
	}
	if err := os.Rename(sub.dir, r.path("module")); err != nil {
		t.Fatal(err)
	}
	sub.dir = r.path("module")
	if r.read().Dirty {
		t.Error("the submodule is where it should be")
	}
	sub.write(".git/refs/heads/main", must(r.Head()).Hash().String()+"\n")
	if !r.read().Dirty {
		t.Error("the submodule has moved")
	}
}

func (r *testRepo) touch(name string, at time.Time) {
	r.Helper()
	if err := os.Chtimes(r.path(name), at, at); err != nil {
		r.Fatal(err)
	}
}

func (r *testRepo) remove(name string) {
	r.Helper()
	if err := os.Remove(r.path(name)); err != nil {
		r.Fatal(err)
	}
}

func (r *testRepo) chmod(name string, mode os.FileMode) {
	r.Helper()
	if err := os.Chmod(r.path(name), mode); err != nil {
		r.Fatal(err)
	}
}

func (r *testRepo) link(target, name string) {
	r.Helper()
	if err := os.Symlink(target, filepath.Join(r.dir, name)); err != nil {
		r.Fatal(err)
	}
}
