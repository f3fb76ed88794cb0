package version

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"

	"github.com/slipway-ci/slipway/deploy"
)

func TestVersion(t *testing.T) {
	tests := []struct {
		name  string
		build func(r *testRepo)
		want  string // SHORT stands for the commit
	}{
		{"a tag at the commit", func(r *testRepo) {
			r.tag("v1.4.2", r.commits(3))
		}, "1.4.2"},
		{"an annotated tag", func(r *testRepo) {
			r.annotate("v1.4.2", r.commits(3))
		}, "1.4.2"},
		{"a tag without v", func(r *testRepo) {
			r.tag("1.4.2", r.commits(1))
		}, "1.4.2"},
		{"the highest of several", func(r *testRepo) {
			at := r.commits(1)
			for _, name := range []string{"v1.9.0", "v1.10.0", "v1.10.0-rc.1", "v1.2.0"} {
				r.tag(name, at)
			}
		}, "1.10.0"},
		{"commits after a tag", func(r *testRepo) {
			r.tag("v1.4.2", r.commits(3))
			r.commits(17)
		}, "1.4.3-main.17.gSHORT"},
		{"commits after an annotated tag", func(r *testRepo) {
			r.annotate("v1.4.2", r.commits(3))
			r.commits(2)
		}, "1.4.3-main.2.gSHORT"},
		{"the highest before, not the nearest", func(r *testRepo) {
			r.tag("v2.0.0", r.commits(1))
			r.tag("v1.9.9", r.commits(1))
			r.commits(1)
		}, "2.0.1-main.2.gSHORT"},
		{"after a pre-release", func(r *testRepo) {
			r.tag("v1.5.0-rc.1", r.commits(1))
			r.commits(3)
		}, "1.5.0-rc.1.main.3.gSHORT"},
		{"no tag", func(r *testRepo) { r.commits(4) }, "0.1.0-main.4.gSHORT"},
		{"tags that are no versions", func(r *testRepo) {
			at := r.commits(1)
			for _, name := range []string{"other/v1.0.0", "v1", "v1.2", "latest", "v01.2.3", "v" + strings.Repeat("1", 20) + ".0.0", "v1.0.0-" + strings.Repeat("x", 80)} {
				r.tag(name, at)
			}
		}, "0.1.0-main.1.gSHORT"},
		{"a tag elsewhere", func(r *testRepo) {
			base := r.commits(2)
			r.tag("v3.0.0", r.commit())
			r.checkout(&git.CheckoutOptions{Hash: base})
		}, "0.1.0-detached.2.gSHORT"},
		{"a tag of a tree", func(r *testRepo) {
			c := must(r.CommitObject(r.commits(1)))
			r.tag("v3.0.0", c.TreeHash)
		}, "0.1.0-main.1.gSHORT"},
		{"a tag whose object is not here", func(r *testRepo) {
			r.commits(1)
			r.write(".git/refs/tags/v3.0.0", strings.Repeat("a", 40)+"\n")
		}, "0.1.0-main.1.gSHORT"},
		{"packed refs", func(r *testRepo) {
			at := r.commits(1)
			r.write(".git/packed-refs", "# pack-refs with: peeled fully-peeled sorted\n"+at.String()+" refs/tags/v1.0.0\n")
			r.commits(1)
		}, "1.0.1-main.1.gSHORT"},
		{"a feature branch", func(r *testRepo) {
			r.commits(2)
			r.checkout(&git.CheckoutOptions{Branch: "refs/heads/feature/x_y", Create: true})
		}, "0.1.0-feature-x-y.2.gSHORT"},
		{"a changed file", func(r *testRepo) {
			r.write("a", "1")
			r.add("a")
			r.tag("v1.4.2", r.commits(1))
			r.write("a", "22")
		}, "1.4.3-main.0.gSHORT.dirty"},
		{"both sides of a merge count", func(r *testRepo) {
			base := r.commits(1)
			r.tag("v1.0.0", base)
			left := r.commits(2)
			right := r.commit(base)
			r.commit(left, right)
		}, "1.0.1-main.4.gSHORT"},
		{"a tag on a merged branch", func(r *testRepo) {
			base := r.commits(1)
			left := r.commits(2)
			right := r.commit(base)
			r.tag("v1.0.0", right)
			r.commit(left, right)
		}, "1.0.1-main.3.gSHORT"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			r := newRepo(t)
			test.build(r)
			s := r.read()
			got := must(s.Version())
			if want := strings.ReplaceAll(test.want, "SHORT", s.Short); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
			mustBeUsable(t, got)
		})
	}
}

// mustBeUsable checks what is promised of every version.
func mustBeUsable(tb testing.TB, v string) {
	tb.Helper()
	if _, err := semver.StrictNewVersion(v); err != nil {
		tb.Errorf("%q is not semantic: %v", v, err)
	}
	if !imageTag.MatchString(deploy.TagOf(v)) {
		tb.Errorf("%q is not an image tag", v)
	}
}

func TestReadSource(t *testing.T) {
	r := newRepo(t)
	r.origin("git@github.com:acme/hello.git")
	at := r.commits(3)
	r.tag("v1.4.2", at)
	sub := r.path("deep/er")
	if err := os.MkdirAll(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	s := must(Read(t.Context(), sub))
	want := Source{
		Commit: at.String(), Short: at.String()[:7], Branch: "main", Tag: "v1.4.2",
		Time: time.Date(2024, 5, 1, 12, 3, 0, 0, time.UTC), Remote: "https://github.com/acme/hello",
		Base: semver.MustParse("1.4.2"),
	}
	if !s.Base.Equal(want.Base) || s.Stable != s.Base {
		t.Errorf("base is %s, the stable one %s", s.Base, s.Stable)
	}
	s.Base, s.Stable = want.Base, nil
	if s != want {
		t.Errorf("got  %+v\nwant %+v", s, want)
	}
}

func TestReadNothing(t *testing.T) {
	empty := t.TempDir()
	if _, err := Read(t.Context(), empty); !errors.Is(err, ErrNoRepository) || deploy.HintOf(err) == "" {
		t.Errorf("no repository: %v", err)
	}
	if err := os.Mkdir(filepath.Join(empty, ".git"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(t.Context(), empty); !errors.Is(err, ErrNoRepository) {
		t.Errorf("an empty .git: %v", err)
	}
	if _, err := Read(t.Context(), filepath.Join(empty, "missing")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that is not there: %v", err)
	}
	if _, err := Read(t.Context(), newRepo(t).dir); !errors.Is(err, ErrNoCommit) || deploy.HintOf(err) == "" {
		t.Errorf("no commit: %v", err)
	}
}

func TestReadInterrupted(t *testing.T) {
	r := newRepo(t)
	r.commits(3)
	ctx, cancel := contextCancelled(t)
	defer cancel()
	if _, err := Read(ctx, r.dir); err == nil || !strings.Contains(err.Error(), "interrupted") {
		t.Errorf("got %v", err)
	}
}

func TestReadDamaged(t *testing.T) {
	tests := map[string]func(r *testRepo){
		"a .git file that points nowhere": func(r *testRepo) {
			if err := os.Rename(r.path(".git"), r.path("moved")); err != nil {
				r.Fatal(err)
			}
			r.write(".git", "nonsense")
		},
		"objects of another format": func(r *testRepo) {
			r.write(".git/config", "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tobjectformat = sha256\n")
		},
		"refs of another format": func(r *testRepo) {
			r.write(".git/config", "[core]\n\trepositoryformatversion = 1\n[extensions]\n\trefstorage = reftable\n")
		},
		"a broken index": func(r *testRepo) { r.write(".git/index", "nonsense") },
		"a broken tag": func(r *testRepo) {
			o := r.Storer.NewEncodedObject()
			o.SetType(plumbing.TagObject)
			_, err := must(o.Writer()).Write([]byte("object nonsense\n"))
			if err != nil {
				r.Fatal(err)
			}
			r.write(".git/refs/tags/v1.0.0", must(r.Storer.SetEncodedObject(o)).String()+"\n")
		},
		"a missing parent": func(r *testRepo) {
			head := must(r.Head())
			c := must(r.CommitObject(head.Hash()))
			p := c.ParentHashes[0].String()
			if err := os.Remove(r.path(".git/objects/" + p[:2] + "/" + p[2:])); err != nil {
				r.Fatal(err)
			}
		},
	}
	for name, damage := range tests {
		t.Run(name, func(t *testing.T) {
			r := newRepo(t)
			r.commits(2)
			damage(r)
			if s, err := Read(t.Context(), r.dir); err == nil {
				t.Errorf("no error: %+v", s)
			}
		})
	}
}

func TestShallow(t *testing.T) {
	r := newRepo(t)
	first := r.commits(1)
	r.tag("v1.0.0", first)
	cut := r.commits(2)
	r.commits(3)
	r.cut(cut)
	if err := os.Remove(r.path(".git/objects/" + first.String()[:2] + "/" + first.String()[2:])); err != nil {
		t.Fatal(err)
	}

	s := r.read()
	if s.Commit == "" || s.Base != nil || !errors.Is(s.Unknown, ErrShallow) {
		t.Errorf("got %+v", s)
	}
	_, err := s.Version()
	if !errors.Is(err, ErrShallow) || !strings.Contains(deploy.HintOf(err), "fetch-depth: 0") {
		t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
	}
	if v, err := s.On("refs/tags/v1.4.2").Version(); v != "1.4.2" || err != nil {
		t.Errorf("a tag at the commit: %s, %v", v, err)
	}

	r.tag("v1.1.0", r.commits(1))
	if v := r.version(); v != "1.1.0" {
		t.Errorf("a tag at the commit: %s", v)
	}
	r.commits(2)
	if s := r.read(); s.Distance != 2 || s.Unknown != nil {
		t.Errorf("a tag this side of the cut: %+v", s)
	}
}

// A tag on one side of a merge says nothing of a cut on the other.
func TestShallowBesideATag(t *testing.T) {
	r := newRepo(t)
	root := r.commits(1)
	left, right := r.commit(root), r.commit(root)
	r.tag("v1.0.0", left)
	r.commit(left, right)
	r.cut(right)
	if s := r.read(); !errors.Is(s.Unknown, ErrShallow) {
		t.Errorf("got %+v", s)
	}
}

func TestWorktree(t *testing.T) {
	r := newRepo(t)
	r.write("a", "1")
	r.add("a")
	at := r.commits(1)
	r.tag("v1.0.0", at)
	linked := t.TempDir()
	own := r.path(".git/worktrees/linked")
	index := must(os.ReadFile(r.path(".git/index")))
	for name, content := range map[string]string{
		"HEAD":      "ref: refs/heads/other\n",
		"commondir": "../..\n",
		"gitdir":    filepath.Join(linked, ".git") + "\n",
		"index":     string(index),
	} {
		r.write(".git/worktrees/linked/"+name, content)
	}
	r.write(".git/refs/heads/other", at.String()+"\n")
	if err := os.WriteFile(filepath.Join(linked, ".git"), []byte("gitdir: "+own+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(linked, "a"), []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := must(Read(t.Context(), linked))
	if s.Branch != "other" || s.Tag != "v1.0.0" || s.Dirty {
		t.Errorf("got %+v", s)
	}
}

// Runners set these by sparse checkouts and partial clones.
func TestExtensions(t *testing.T) {
	r := newRepo(t)
	r.commits(1)
	r.write(".git/config", "[core]\n\trepositoryformatversion = 1\n[extensions]\n\tworktreeConfig = true\n\tpartialClone = origin\n")
	if v := r.version(); !strings.HasPrefix(v, "0.1.0-main.1.g") {
		t.Errorf("got %s", v)
	}
}

func TestOn(t *testing.T) {
	base := Source{Branch: "main", Tag: "v1.0.0"}
	tests := []struct{ ref, branch, tag string }{
		{"", "main", "v1.0.0"},
		{"develop", "develop", "v1.0.0"},
		{"refs/heads/feature/x", "feature/x", "v1.0.0"},
		{"refs/pull/12/merge", "pull-12", "v1.0.0"},
		{"refs/tags/v1.4.2", "main", "v1.4.2"},
		{"refs/tags/nightly", "main", "v1.0.0"},
		{"refs/notes/commits", "main", "v1.0.0"},
	}
	for _, test := range tests {
		if got := base.On(test.ref); got.Branch != test.branch || got.Tag != test.tag {
			t.Errorf("%q: branch %s, tag %s", test.ref, got.Branch, got.Tag)
		}
	}
}

func TestIdentifier(t *testing.T) {
	tests := []struct {
		branch string
		limit  int
		want   string
	}{
		{"main", 40, "main"},
		{"feature/x_y", 40, "feature-x-y"},
		{"", 40, "detached"},
		{"007", 40, "b007"},
		{"1/2", 40, "1-2"},
		{"-x-", 40, "x"},
		{"日本", 40, "branch"},
		{"dependabot/go_modules/github.com/google/go-containerregistry-1", 40, "dependabot-go-modules-github-com-google"},
		{"123-abc", 3, "b23"},
		{"main", 1, "m"},
	}
	for _, test := range tests {
		if got := identifier(test.branch, test.limit); got != test.want {
			t.Errorf("%q: got %q, want %q", test.branch, got, test.want)
		}
	}
}

func TestWebAddress(t *testing.T) {
	tests := []struct{ remote, want string }{
		{"https://github.com/acme/hello", "https://github.com/acme/hello"},
		{"https://github.com/acme/hello.git/", "https://github.com/acme/hello"},
		{"https://user:ghp_secret@github.com/acme/hello.git", "https://github.com/acme/hello"},
		{"https://x-access-token:secret@git.example.com:8443/a/b?token=secret#secret", "https://git.example.com:8443/a/b"},
		{"http://git.example.com/a/b.git", "https://git.example.com/a/b"},
		{"git@github.com:acme/hello.git", "https://github.com/acme/hello"},
		{"github.com:acme/hello", "https://github.com/acme/hello"},
		{"ssh://git@github.com:22/acme/hello.git", "https://github.com/acme/hello"},
		{"git://example.com/a.git", "https://example.com/a"},
		{"/srv/git/hello.git", ""},
		{"../hello", ""},
		{"file:///srv/git/hello.git", ""},
		{"./a:b", ""},
		{"", ""},
		{"https://", ""},
		{"https://%zz", ""},
	}
	for _, test := range tests {
		if got := webAddress(test.remote); got != test.want {
			t.Errorf("%q: got %q, want %q", test.remote, got, test.want)
		}
	}
}

func FuzzWebAddress(f *testing.F) {
	f.Add("https://u:hunter2@h/p")
	f.Add("git@h:p")
	f.Fuzz(func(t *testing.T, remote string) {
		got := webAddress(remote)
		if got != "" && !strings.HasPrefix(got, "https://") {
			t.Errorf("%q: %q", remote, got)
		}
		if rest := strings.TrimPrefix(got, "https://"); strings.Contains(strings.SplitN(rest, "/", 2)[0], "@") {
			t.Errorf("%q: credentials in %q", remote, got)
		}
	})
}

func TestNoSecretOfARemote(t *testing.T) {
	r := newRepo(t)
	r.origin("https://x-access-token:ghs_hunter2@github.com/acme/hello")
	r.commits(1)
	if s := r.read(); s.Remote != "https://github.com/acme/hello" {
		t.Errorf("got %s", s.Remote)
	}
}
