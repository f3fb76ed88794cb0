package version

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// gitProgram runs the git that people and runners have, which makes repositories as
// this package has to read them.
type gitProgram struct {
	testing.TB
	path string
	env  []string
}

func newGit(tb testing.TB) *gitProgram {
	tb.Helper()
	path, err := exec.LookPath("git")
	if err != nil {
		tb.Skip("git is not installed")
	}
	return &gitProgram{TB: tb, path: path, env: append(os.Environ(),
		"GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C",
		"GIT_AUTHOR_NAME=Tester", "GIT_AUTHOR_EMAIL=tester@example.com",
		"GIT_COMMITTER_NAME=Tester", "GIT_COMMITTER_EMAIL=tester@example.com",
		"GIT_CONFIG_COUNT=2", "GIT_CONFIG_KEY_0=protocol.file.allow", "GIT_CONFIG_VALUE_0=always",
		"GIT_CONFIG_KEY_1=init.defaultBranch", "GIT_CONFIG_VALUE_1=main",
	)}
}

// run runs git in a folder, and gives what it prints.
func (g *gitProgram) run(dir string, args ...string) string {
	g.Helper()
	out, err := g.try(dir, args...)
	if err != nil {
		g.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func (g *gitProgram) try(dir string, args ...string) (string, error) {
	cmd := exec.CommandContext(g.Context(), g.path, args...)
	cmd.Dir, cmd.Env = dir, g.env
	out, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// file writes a file and commits it.
func (g *gitProgram) file(dir, name, content string) {
	g.Helper()
	path := filepath.Join(dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
		g.Fatal(err)
	}
	g.run(dir, "add", name)
	g.run(dir, "commit", "-q", "-m", "write "+name)
}

// origin is a repository with a version, two commits after it, and a tag that
// is no version.
func (g *gitProgram) origin() string {
	g.Helper()
	dir := g.TempDir()
	g.run(dir, "init", "-q")
	g.file(dir, "src/a", "1\n")
	g.file(dir, "docs/b", "1\n")
	g.run(dir, "tag", "-a", "v1.0.0", "-m", "first")
	g.file(dir, "src/a", "2\n")
	g.file(dir, "src/c", "3\n")
	g.run(dir, "tag", "nightly")
	g.run(dir, "config", "uploadpack.allowFilter", "true")
	g.run(dir, "config", "uploadpack.allowAnySHA1InWant", "true")
	return dir
}

// clone clones it, as with a server between.
func (g *gitProgram) clone(origin string, options ...string) string {
	g.Helper()
	dir := filepath.Join(g.TempDir(), "clone")
	g.run(g.TempDir(), append(append([]string{"clone", "-q"}, options...), "file://"+origin, dir)...)
	return dir
}

// checkout does what a runner does to check out one commit under a name.
func (g *gitProgram) checkout(origin, commit, name string) string {
	g.Helper()
	dir := g.TempDir()
	g.run(dir, "init", "-q")
	g.run(dir, "remote", "add", "origin", "file://"+origin)
	g.run(dir, "fetch", "-q", "--no-tags", "--depth=1", "origin", "+"+commit+":"+name)
	g.run(dir, "checkout", "-q", "--force", name)
	return dir
}

// touched makes files look newer than the index, as those of a copy do, so that
// they have to be read.
func (g *gitProgram) touched(dir string) string {
	g.Helper()
	later := time.Now().Add(time.Hour)
	for _, name := range strings.Split(g.run(dir, "ls-files"), "\n") {
		if err := os.Chtimes(filepath.Join(dir, name), later, later); err != nil {
			g.Fatal(err)
		}
	}
	return dir
}

// largeFile commits a file as Git LFS does.
func (g *gitProgram) largeFile(origin string) (dir string) {
	g.Helper()
	dir = g.clone(origin)
	g.file(dir, "large", "version https://git-lfs.github.com/spec/v1\noid sha256:"+
		"d35c416a85b807e9b5384915d6ebb4a9f7352713efd89857b45a242f473728a9\nsize 5\n")
	if err := os.WriteFile(filepath.Join(dir, "large"), []byte("large"), 0o600); err != nil {
		g.Fatal(err)
	}
	g.run(dir, "update-index", "--cacheinfo", "100644,"+g.run(dir, "rev-parse", "HEAD:large")+",large")
	return dir
}

func TestRepositoriesThatGitMakes(t *testing.T) {
	origin := newGit(t).origin()
	for name, test := range map[string]struct {
		make func(g *gitProgram, origin string) (dir string)
		want string // SHORT stands for the commit
	}{
		"as it is": {func(_ *gitProgram, origin string) string { return origin }, "1.0.1-main.2.gSHORT"},
		"a clone":  {func(g *gitProgram, origin string) string { return g.clone(origin) }, "1.0.1-main.2.gSHORT"},
		"a folder in it": {func(g *gitProgram, origin string) string {
			return filepath.Join(g.clone(origin), "src")
		}, "1.0.1-main.2.gSHORT"},
		"a folder in it by a link": {func(g *gitProgram, origin string) string {
			link := filepath.Join(g.TempDir(), "link")
			if err := os.Symlink(filepath.Join(g.clone(origin), "src"), link); err != nil {
				g.Fatal(err)
			}
			return link
		}, "1.0.1-main.2.gSHORT"},
		"a shallow clone that has the tag": {func(g *gitProgram, origin string) string {
			return g.clone(origin, "--depth=3")
		}, "1.0.1-main.2.gSHORT"},
		"a clone made whole afterwards": {func(g *gitProgram, origin string) string {
			dir := g.clone(origin, "--depth=1")
			g.run(dir, "fetch", "-q", "--unshallow", "--tags")
			return dir
		}, "1.0.1-main.2.gSHORT"},
		"a clone without files": {func(g *gitProgram, origin string) string {
			return g.clone(origin, "--filter=blob:none")
		}, "1.0.1-main.2.gSHORT"},
		"a clone that borrows objects": {func(g *gitProgram, origin string) string {
			return g.clone(origin, "--reference", origin)
		}, "1.0.1-main.2.gSHORT"},
		"a sparse checkout": {func(g *gitProgram, origin string) string {
			dir := g.clone(origin)
			g.run(dir, "sparse-checkout", "set", "docs")
			return dir
		}, "1.0.1-main.2.gSHORT"},
		"everything packed": {func(g *gitProgram, origin string) string {
			dir := g.clone(origin)
			g.run(dir, "pack-refs", "--all")
			g.run(dir, "gc", "-q", "--aggressive")
			g.run(dir, "commit-graph", "write", "--reachable")
			return dir
		}, "1.0.1-main.2.gSHORT"},
		"an index of the fourth version": {func(g *gitProgram, origin string) string {
			dir := g.clone(origin)
			g.run(dir, "update-index", "--index-version", "4")
			return dir
		}, "1.0.1-main.2.gSHORT"},
		"files and repository apart": {func(g *gitProgram, origin string) string {
			return g.clone(origin, "--separate-git-dir", filepath.Join(g.TempDir(), "apart"))
		}, "1.0.1-main.2.gSHORT"},
		"a tag checked out by a runner": {func(g *gitProgram, origin string) string {
			return g.checkout(origin, g.run(origin, "rev-parse", "v1.0.0^{commit}"), "refs/tags/v1.0.0")
		}, "1.0.0"},
		"a detached head": {func(g *gitProgram, origin string) string {
			dir := g.clone(origin)
			g.run(dir, "checkout", "-q", "--detach", "HEAD~1")
			return dir
		}, "1.0.1-detached.1.gSHORT"},
		"a linked worktree": {func(g *gitProgram, origin string) string {
			dir := filepath.Join(g.TempDir(), "linked")
			g.run(g.clone(origin), "worktree", "add", "-q", "-b", "feature/x", dir)
			return dir
		}, "1.0.1-feature-x.2.gSHORT"},
		"a submodule": {func(g *gitProgram, origin string) string {
			outer := g.clone(origin)
			g.run(outer, "submodule", "--quiet", "add", "file://"+origin, "module")
			return filepath.Join(outer, "module", "docs")
		}, "1.0.1-main.2.gSHORT"},
		"a repository with a submodule": {func(g *gitProgram, origin string) string {
			outer := g.clone(origin)
			g.run(outer, "submodule", "--quiet", "add", "file://"+origin, "module")
			g.run(outer, "commit", "-q", "-m", "add a module")
			return outer
		}, "1.0.1-main.3.gSHORT"},
		"a submodule that has moved on": {func(g *gitProgram, origin string) string {
			outer := g.clone(origin)
			g.run(outer, "submodule", "--quiet", "add", "file://"+origin, "module")
			g.run(outer, "commit", "-q", "-m", "add a module")
			g.file(filepath.Join(outer, "module"), "d", "4")
			return outer
		}, "1.0.1-main.3.gSHORT.dirty"},
		"a submodule that is not checked out": {func(g *gitProgram, origin string) string {
			outer := g.clone(origin)
			g.run(outer, "submodule", "--quiet", "add", "file://"+origin, "module")
			g.run(outer, "commit", "-q", "-m", "add a module")
			return g.clone(outer)
		}, "1.0.1-main.3.gSHORT"},
		"a tag of a tag": {func(g *gitProgram, origin string) string {
			dir := g.clone(origin)
			g.run(dir, "tag", "-a", "v2.0.0", "v1.0.0", "-m", "the first again")
			return dir
		}, "2.0.1-main.2.gSHORT"},
		"modes that the file system does not keep": {func(g *gitProgram, origin string) string {
			dir := g.clone(origin)
			g.run(dir, "config", "core.fileMode", "false")
			if err := os.Chmod(filepath.Join(dir, "src/a"), 0o755); err != nil {
				g.Fatal(err)
			}
			return dir
		}, "1.0.1-main.2.gSHORT"},
		"lines that end as elsewhere": {func(g *gitProgram, origin string) string {
			return g.clone(origin, "--config", "core.autocrlf=true")
		}, "1.0.1-main.2.gSHORT"},
		"lines that end otherwise by attributes, in a copy": {func(g *gitProgram, origin string) string {
			dir := g.clone(origin)
			g.file(dir, ".gitattributes", "src/* text eol=crlf\n")
			g.run(dir, "rm", "-q", "--cached", "-r", "src")
			g.run(dir, "reset", "-q", "--hard")
			if content := must(os.ReadFile(filepath.Join(dir, "src/a"))); string(content) != "2\r\n" {
				g.Fatalf("git has not converted: %q", content)
			}
			return g.touched(dir)
		}, "1.0.1-main.3.gSHORT"},
		"a changed line beside attributes": {func(g *gitProgram, origin string) string {
			dir := g.clone(origin)
			g.file(dir, ".gitattributes", "src/* text eol=crlf\n")
			if err := os.WriteFile(filepath.Join(dir, "src/a"), []byte("9\r\n"), 0o600); err != nil {
				g.Fatal(err)
			}
			return g.touched(dir)
		}, "1.0.1-main.3.gSHORT.dirty"},
		"a large file, in a copy": {func(g *gitProgram, origin string) string {
			return g.touched(g.largeFile(origin))
		}, "1.0.1-main.3.gSHORT"},
		"a large file that was changed": {func(g *gitProgram, origin string) string {
			dir := g.largeFile(origin)
			if err := os.WriteFile(filepath.Join(dir, "large"), []byte("larger"), 0o600); err != nil {
				g.Fatal(err)
			}
			return g.touched(dir)
		}, "1.0.1-main.3.gSHORT.dirty"},
		"a conflict that is not resolved": {func(g *gitProgram, origin string) string {
			dir := g.clone(origin)
			g.run(dir, "checkout", "-q", "-b", "other", "HEAD~1")
			g.file(dir, "src/c", "4")
			if out, err := g.try(dir, "merge", "main"); err == nil {
				g.Fatalf("there is no conflict: %s", out)
			}
			return dir
		}, "1.0.1-other.2.gSHORT.dirty"},
		"a file that is to be added": {func(g *gitProgram, origin string) string {
			dir := g.clone(origin)
			if err := os.WriteFile(filepath.Join(dir, "new"), nil, 0o600); err != nil {
				g.Fatal(err)
			}
			g.run(dir, "add", "--intent-to-add", "new")
			return dir
		}, "1.0.1-main.2.gSHORT.dirty"},
		"an amended commit": {func(g *gitProgram, origin string) string {
			dir := g.clone(origin)
			g.run(dir, "commit", "-q", "--amend", "-m", "amended")
			return dir
		}, "1.0.1-main.2.gSHORT"},
		"a branch without a common commit": {func(g *gitProgram, origin string) string {
			dir := g.clone(origin)
			g.run(dir, "checkout", "-q", "--orphan", "pages")
			g.run(dir, "commit", "-q", "-m", "pages")
			return dir
		}, "0.1.0-pages.1.gSHORT"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGit(t)
			dir := test.make(g, origin)
			s := must(Read(t.Context(), dir))
			if head := g.run(dir, "rev-parse", "HEAD"); s.Commit != head {
				t.Errorf("the commit is %s, and git says %s", s.Commit, head)
			}
			got, err := s.Version()
			if want := strings.ReplaceAll(test.want, "SHORT", s.Short); got != want || err != nil {
				t.Errorf("got %s, want %s: %v", got, want, err)
			}
		})
	}
}

// Without fetch-depth: 0, a runner has the commit alone. All but the distance is
// known, and the error says what to write.
func TestOneCommitOfARunner(t *testing.T) {
	g := newGit(t)
	origin := g.origin()
	head := g.run(origin, "rev-parse", "HEAD")
	for name, dir := range map[string]string{
		"a clone":        g.clone(origin, "--depth=1"),
		"a branch":       g.checkout(origin, head, "refs/remotes/origin/main"),
		"a pull request": g.checkout(origin, head, "refs/remotes/pull/12/merge"),
	} {
		t.Run(name, func(t *testing.T) {
			s := must(Read(t.Context(), dir))
			if s.Commit != head || s.Time.IsZero() || s.Dirty || !errors.Is(s.Unknown, ErrShallow) {
				t.Errorf("got %+v", s)
			}
			_, err := s.On("refs/heads/main").Version()
			if !errors.Is(err, ErrShallow) || !strings.Contains(deploy.HintOf(err), "fetch-depth: 0") {
				t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
			}
			if v, err := s.On("refs/tags/v1.1.0").Version(); v != "1.1.0" || err != nil {
				t.Errorf("with a tag: %s, %v", v, err)
			}
		})
	}
}

func TestRepositoriesThatCannotBeRead(t *testing.T) {
	g := newGit(t)
	dir := g.TempDir()
	g.run(dir, "init", "-q", "--object-format=sha256")
	g.file(dir, "a", "1")
	if _, err := Read(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "stored as sha256") || !strings.Contains(deploy.HintOf(err), "--version") {
		t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
	}

	linked := filepath.Join(g.TempDir(), "linked")
	clone := g.clone(g.origin())
	g.run(clone, "worktree", "add", "-q", "-b", "other", linked)
	if err := os.RemoveAll(clone); err != nil {
		t.Fatal(err)
	}
	if _, err := Read(t.Context(), linked); err == nil || errors.Is(err, ErrNoRepository) || !strings.Contains(err.Error(), filepath.Join(clone, ".git")) {
		t.Errorf("a worktree without its repository: %v", err)
	}
}
