package version

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// testRepo is a real repository on disk.
type testRepo struct {
	testing.TB
	*git.Repository
	dir   string
	clock time.Time
	first string
}

func newRepo(tb testing.TB) *testRepo {
	tb.Helper()
	dir := tb.TempDir()
	repo, err := git.PlainInitWithOptions(dir, &git.PlainInitOptions{
		InitOptions: git.InitOptions{DefaultBranch: "refs/heads/main"},
	})
	if err != nil {
		tb.Fatal(err)
	}
	return &testRepo{TB: tb, Repository: repo, dir: dir, clock: time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)}
}

// must is for what does not fail in a sound test.
func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func (r *testRepo) path(name string) string { return filepath.Join(r.dir, filepath.FromSlash(name)) }

func (r *testRepo) write(name, content string) {
	r.Helper()
	if err := os.MkdirAll(filepath.Dir(r.path(name)), 0o755); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(r.path(name), []byte(content), 0o644); err != nil {
		r.Fatal(err)
	}
}

func (r *testRepo) tree() *git.Worktree {
	r.Helper()
	return must(r.Worktree())
}

func (r *testRepo) add(names ...string) {
	r.Helper()
	for _, name := range names {
		if _, err := r.tree().Add(name); err != nil {
			r.Fatal(err)
		}
	}
}

func (r *testRepo) author() *object.Signature {
	r.clock = r.clock.Add(time.Minute)
	return &object.Signature{Name: "Tester", Email: "tester@example.com", When: r.clock}
}

// commit records what is staged.
func (r *testRepo) commit(parents ...plumbing.Hash) plumbing.Hash {
	r.Helper()
	who := r.author()
	return must(r.tree().Commit("change", &git.CommitOptions{
		Author: who, Committer: who, AllowEmptyCommits: true, Parents: parents,
	}))
}

func (r *testRepo) commits(n int) (last plumbing.Hash) {
	r.Helper()
	for range n {
		last = r.commit()
	}
	return last
}

func (r *testRepo) tag(name string, at plumbing.Hash) {
	r.Helper()
	if _, err := r.CreateTag(name, at, nil); err != nil {
		r.Fatal(err)
	}
}

func (r *testRepo) annotate(name string, at plumbing.Hash) {
	r.Helper()
	if _, err := r.CreateTag(name, at, &git.CreateTagOptions{Tagger: r.author(), Message: name}); err != nil {
		r.Fatal(err)
	}
}

func (r *testRepo) checkout(o *git.CheckoutOptions) {
	r.Helper()
	o.Keep = true
	if err := r.tree().Checkout(o); err != nil {
		r.Fatal(err)
	}
}

func (r *testRepo) origin(url string) {
	r.Helper()
	if _, err := r.CreateRemote(&config.RemoteConfig{Name: "origin", URLs: []string{url}}); err != nil {
		r.Fatal(err)
	}
}

// cut makes a shallow clone of the repository, as far as anybody reading it can
// tell: history ends at the commit.
func (r *testRepo) cut(at plumbing.Hash) {
	r.Helper()
	r.write(".git/shallow", fmt.Sprintln(at))
}

func (r *testRepo) read() Source {
	r.Helper()
	return must(Read(r.Context(), r.dir))
}

func (r *testRepo) version() string {
	r.Helper()
	return must(r.read().Version())
}
