package version

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/slipway-ci/slipway/deploy"
)

// graph writes commits without files, and remembers them in the order of
// their making.
type graph struct {
	*testRepo
	tree    plumbing.Hash
	commits []plumbing.Hash
	parents map[plumbing.Hash][]plumbing.Hash
	// message is that of the next commit; empty is one that says nothing.
	message string
	// reader is the repository as it is read, opened once it has grown.
	reader *repository
}

func newGraph(tb testing.TB) *graph {
	r := newRepo(tb)
	first := must(r.CommitObject(r.commits(1)))
	return &graph{testRepo: r, tree: first.TreeHash, commits: []plumbing.Hash{first.Hash}, parents: map[plumbing.Hash][]plumbing.Hash{}}
}

// grow adds a commit, made at some time, to parents.
func (g *graph) grow(at time.Time, parents ...plumbing.Hash) plumbing.Hash {
	who := object.Signature{Name: "Tester", Email: "tester@example.com", When: at}
	message := g.message
	if message == "" {
		message = strconv.Itoa(len(g.commits))
	}
	c := &object.Commit{Author: who, Committer: who, Message: message, TreeHash: g.tree, ParentHashes: parents}
	o := g.Storer.NewEncodedObject()
	if err := c.Encode(o); err != nil {
		g.Fatal(err)
	}
	hash := must(g.Storer.SetEncodedObject(o))
	g.commits = append(g.commits, hash)
	g.parents[hash] = parents
	return hash
}

// ancestors are all that a commit has, and itself.
func (g *graph) ancestors(of plumbing.Hash) map[plumbing.Hash]bool {
	seen := map[plumbing.Hash]bool{}
	for next := []plumbing.Hash{of}; len(next) > 0; {
		at := next[0]
		next = next[1:]
		if !seen[at] {
			seen[at] = true
			next = append(next, g.parents[at]...)
		}
	}
	return seen
}

// at is what would be read with a commit checked out.
func (g *graph) at(ctx context.Context, commit plumbing.Hash, released ...Release) Source {
	g.Helper()
	if g.reader == nil {
		g.reader = must(open(g.dir))
		g.Cleanup(g.reader.close)
	}
	s := Source{Commit: commit.String(), Short: commit.String()[:7], Branch: "main"}
	if err := g.reader.place(ctx, &s, commit, released); err != nil {
		g.Fatal(err)
	}
	return s
}

// random grows a history with merges, clocks that are off by hours, and tags
// that go up.
func (g *graph) random(rng *rand.Rand, size int) {
	clock := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	next := semver.MustParse("0.1.0")
	for range size {
		clock = clock.Add(time.Duration(rng.IntN(600)) * time.Minute)
		parents := []plumbing.Hash{g.recent(rng)}
		if other := g.recent(rng); rng.IntN(3) == 0 && other != parents[0] {
			parents = append(parents, other)
		}
		hash := g.grow(clock.Add(-time.Duration(rng.IntN(20))*time.Hour), parents...)
		if rng.IntN(6) == 0 {
			g.tag("v"+next.String(), hash)
			*next = above(rng, *next)
		}
	}
}

func (g *graph) recent(rng *rand.Rand) plumbing.Hash {
	return g.commits[len(g.commits)-1-rng.IntN(min(4, len(g.commits)))]
}

// above is a higher version than v.
func above(rng *rand.Rand, v semver.Version) semver.Version {
	switch rng.IntN(4) {
	case 0:
		return v.IncMinor()
	case 1:
		return must(v.IncMinor().SetPrerelease(fmt.Sprintf("rc.%d", rng.IntN(5))))
	default:
		return v.IncPatch()
	}
}

// On a branch, every commit has a higher version than all before it, and the
// distance is what counting by hand gives.
func TestVersionsFollowCommits(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			g := newGraph(t)
			g.random(rand.New(rand.NewPCG(seed, 1)), 50) // to be repeatable
			versions := map[plumbing.Hash]*semver.Version{}
			for _, c := range g.commits {
				s := g.at(t.Context(), c)
				g.checkDistance(c, s)
				versions[c] = semver.MustParse(must(s.Version()))
				mustBeUsable(t, versions[c].String())
				for _, p := range g.parents[c] {
					if !versions[c].GreaterThan(versions[p]) {
						t.Errorf("%s is not above %s, its parent's", versions[c], versions[p])
					}
				}
			}
		})
	}
}

// checkDistance counts by hand.
func (g *graph) checkDistance(c plumbing.Hash, s Source) {
	g.Helper()
	mine := g.ancestors(c)
	if s.Base != nil {
		tag := must(g.Tag("v" + s.Base.String()))
		for theirs := range g.ancestors(tag.Hash()) {
			delete(mine, theirs)
		}
	}
	if s.Distance != len(mine) {
		g.Errorf("%s: %d commits since %s, not %d", s.Short, len(mine), s.Base, s.Distance)
	}
}

// Where git is at hand, it counts the same.
func TestDistanceAsGitCounts(t *testing.T) {
	program, err := exec.LookPath("git")
	if err != nil {
		t.Skip("git is not installed")
	}
	g := newGraph(t)
	g.random(rand.New(rand.NewPCG(7, 7)), 80) // to be repeatable
	for _, c := range g.commits[len(g.commits)-10:] {
		s := g.at(t.Context(), c)
		span := c.String()
		if s.Base != nil {
			span = "v" + s.Base.String() + ".." + span
		}
		out, err := exec.CommandContext(t.Context(), program, "-C", g.dir, "rev-list", "--count", span).Output()
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.TrimSpace(string(out)); want != strconv.Itoa(s.Distance) {
			t.Errorf("%s: git counts %s, not %d", span, want, s.Distance)
		}
	}
}

// A history without end is walked to a limit, and the error says what to do.
func TestHistoryIsTooLong(t *testing.T) {
	g := newGraph(t)
	at := g.commits[0]
	for i := range 20 {
		at = g.grow(time.Date(2024, 1, 1, i, 0, 0, 0, time.UTC), at)
	}
	reader := must(open(g.dir))
	defer reader.close()
	h := must(reader.history())
	h.limit = 10
	_, _, err := h.distance(t.Context(), at, plumbing.ZeroHash)
	if !errors.Is(err, ErrTooLong) || !strings.Contains(deploy.HintOf(err), "tag a commit") {
		t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
	}
	h = must(reader.history())
	h.limit = 21
	if n, _, err := h.distance(t.Context(), at, plumbing.ZeroHash); n != 21 || err != nil {
		t.Errorf("got %d, %v", n, err)
	}
}

func TestWalkIsInterrupted(t *testing.T) {
	g := newGraph(t)
	reader := must(open(g.dir))
	defer reader.close()
	ctx, cancel := contextCancelled(t)
	defer cancel()
	if _, _, err := must(reader.history()).distance(ctx, g.commits[0], plumbing.ZeroHash); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "interrupted while walking") {
		t.Errorf("got %v", err)
	}
}

// BenchmarkReadHistory is a packed history of 5,000 commits, one each hour:
// with a tag every 100 commits, and without any, when all have to be counted.
func BenchmarkReadHistory(b *testing.B) {
	for _, every := range []int{100, 0} {
		b.Run(fmt.Sprintf("tag-every-%d", every), func(b *testing.B) {
			g := newGraph(b)
			at := g.commits[0]
			clock := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
			for i := range 5000 {
				at = g.grow(clock.Add(time.Duration(i)*time.Hour), at)
				if every > 0 && i%every == 0 {
					g.tag(fmt.Sprintf("v1.%d.0", i/every), at)
				}
			}
			if err := g.RepackObjects(&git.RepackConfig{}); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				g.reader = nil
				g.at(b.Context(), at)
			}
		})
	}
}

// BenchmarkDirty compares 8,000 files with a fresh index.
func BenchmarkDirty(b *testing.B) {
	r := newRepo(b)
	for i := range 8000 {
		r.write(fmt.Sprintf("dir%d/file%d.go", i/100, i), strconv.Itoa(i))
	}
	r.add(".")
	r.commits(1)
	for b.Loop() {
		if r.read().Dirty {
			b.Fatal("dirty")
		}
	}
}
