package version

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/go-git/go-git/v5/plumbing"

	"github.com/slipway-ci/slipway/deploy"
)

// byCommits has a channel of each kind.
var byCommits = deploy.Versioning{Commits: true, Channels: map[string]string{"main": deploy.Stable, "next": "beta"}}

func TestNext(t *testing.T) {
	tests := []struct {
		name string
		// history is tags (v1.4.2) and messages, oldest first. "version@" is a
		// release that has no tag.
		history []string
		// main, next and other are the versions on these branches; DIST stands
		// for .g and the short hash.
		main, next, other string
	}{
		{"a fix", []string{"v1.4.2", "fix: x"}, "1.4.3", "1.4.3-beta.1", "1.4.3-other.1DIST"},
		{"a feature among others", []string{"v1.4.2", "fix: x", "feat: x", "docs: x"}, "1.5.0", "1.5.0-beta.3", "1.5.0-other.3DIST"},
		{"a breaking change", []string{"v1.4.2", "feat!: x", "fix: x"}, "2.0.0", "2.0.0-beta.2", "2.0.0-other.2DIST"},
		{"a breaking change by its footer", []string{"v1.4.2", "fix: x\n\nBREAKING CHANGE: y"}, "2.0.0", "2.0.0-beta.1", "2.0.0-other.1DIST"},
		{"what is before the tag does not count", []string{"feat!: x", "v1.4.2", "fix: x"}, "1.4.3", "1.4.3-beta.1", "1.4.3-other.1DIST"},
		{"nothing to release", []string{"v1.4.2", "docs: x", "typo"}, "1.4.3-main.2DIST", "1.4.3-beta.2", "1.4.3-other.2DIST"},
		{"0.x, breaking", []string{"v0.4.2", "feat!: x"}, "0.5.0", "0.5.0-beta.1", "0.5.0-other.1DIST"},
		{"0.x, a feature", []string{"v0.4.2", "feat: x"}, "0.5.0", "0.5.0-beta.1", "0.5.0-other.1DIST"},
		{"0.x, a fix", []string{"v0.4.2", "fix: x"}, "0.4.3", "0.4.3-beta.1", "0.4.3-other.1DIST"},
		{"no tag, a feature", []string{"feat: x", "fix: y"}, "0.1.0", "0.1.0-beta.2", "0.1.0-other.2DIST"},
		{"no tag, nothing to release", []string{"chore: x"}, "0.1.0-main.1DIST", "0.1.0-beta.1", "0.1.0-other.1DIST"},
		{"at the tag", []string{"feat: x", "v1.4.2"}, "1.4.2", "1.4.2", "1.4.2"},
		{"at a tag with metadata", []string{"feat: x", "v1.4.2+build.5"}, "1.4.2+build.5", "1.4.2+build.5", "1.4.2+build.5"},
		{"after a tag with metadata", []string{"v1.4.2+build.5", "fix: x"}, "1.4.3", "1.4.3-beta.1", "1.4.3-other.1DIST"},
		{"at the tag of a pre-release", []string{"v1.4.2", "feat: x", "v1.5.0-beta.1"}, "1.5.0", "1.5.0-beta.1", "1.5.0-beta.1"},
		{"after the tag of a pre-release", []string{"v1.4.2", "feat: x", "v1.5.0-beta.7", "fix: x"}, "1.5.0", "1.5.0-beta.8", "1.5.0-beta.7.other.1DIST"},
		{"after the tag of another pre-release", []string{"v1.4.2", "feat: x", "v1.5.0-rc.7", "fix: x"}, "1.5.0", "1.5.0-beta.2", "1.5.0-rc.7.other.1DIST"},
		{"a pre-release that announced more", []string{"v1.4.2", "fix: x", "v2.0.0-rc.1", "chore: x"}, "2.0.0", "2.0.0-beta.2", "2.0.0-rc.1.other.1DIST"},
		{"more than a pre-release announced", []string{"v1.4.2", "v1.4.3-rc.1", "feat!: x"}, "2.0.0", "2.0.0-beta.1", "2.0.0-other.1DIST"},
		{"a release without a tag", []string{"v1.4.2", "feat: x", "1.5.0@", "fix: x"}, "1.5.1", "1.5.1-beta.1", "1.5.1-other.1DIST"},
		{"again what has been released", []string{"v1.4.2", "feat: x", "1.5.0@"}, "1.5.0", "1.5.0", "1.5.0"},
		{"numbers as large as may be", []string{"v9007199254740991.0.0", "feat!: x"}, "9007199254740992.0.0", "9007199254740992.0.0-beta.1", "9007199254740992.0.0-other.1DIST"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			g := newGraph(t)
			at, clock := g.commits[0], time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC)
			released := []Release{{"nonsense", at.String()}, {"9.9.9", strings.Repeat("0", 40)}, {"9.9.8", "main"}}
			for i, step := range test.history {
				switch version, known := strings.CutSuffix(step, "@"); {
				case known:
					released = append(released, Release{version, at.String()})
				case strings.HasPrefix(step, "v"):
					g.tag(step, at)
				case i == 0: // so that there is no commit before it
					g.message = step
					at = g.grow(clock)
				default:
					g.message = step
					clock = clock.Add(time.Hour)
					at = g.grow(clock, at)
				}
			}
			s := g.at(t.Context(), at, released...)
			for branch, want := range map[string]string{"main": test.main, "next": test.next, "other": test.other} {
				got, err := s.On(branch).Next(byCommits)
				if want = strings.ReplaceAll(want, "DIST", ".g"+s.Short); got != want || err != nil {
					t.Errorf("on %s: %s, %v; want %s", branch, got, err, want)
				}
				if want != "9007199254740992.0.0" {
					mustBeUsable(t, got)
				}
			}
		})
	}
}

// Changed files make no exact version, and none of a channel.
func TestNextOfChangedFiles(t *testing.T) {
	s := Source{Short: "1a2b3c4", Stable: semver.MustParse("1.4.2"), Base: semver.MustParse("1.4.2"), Since: 3, Distance: 3, Change: Feature, Dirty: true}
	for branch, want := range map[string]string{
		"main": "1.5.0-main.3.g1a2b3c4.dirty", "next": "1.5.0-next.3.g1a2b3c4.dirty", "refs/pull/12/merge": "1.5.0-pull-12.3.g1a2b3c4.dirty",
	} {
		if got, err := s.On(branch).Next(byCommits); got != want || err != nil {
			t.Errorf("on %s: %s, %v; want %s", branch, got, err, want)
		}
	}
}

// A clone that is cut off behind a pre-release knows no commits since the last
// stable version. The next patch does not need them.
func TestNextOfShallowClone(t *testing.T) {
	r := newRepo(t)
	r.tag("v1.4.2", r.commits(1))
	cut := r.commits(1)
	r.tag("v1.5.0-rc.1", r.commits(1))
	r.commits(1)
	r.cut(cut)
	s := r.read()
	if _, err := s.Next(byCommits); !errors.Is(err, ErrShallow) || deploy.HintOf(err) == "" {
		t.Errorf("got %v", err)
	}
	if got, err := s.Next(deploy.Versioning{}); got != "1.5.0-rc.1.main.1.g"+s.Short || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
}

var messages = []string{"docs: x", "fix: x", "chore: x", "feat: x", "a change", "feat!: x"}

// Where every exact version is known as released, no two commits of a branch
// get the same, and they go up, whatever the branch is called. Some are tagged.
func TestExactVersionsGoUp(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			g, rng := newGraph(t), rand.New(rand.NewPCG(seed, 7)) // to be repeatable
			at, clock := g.commits[0], time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC)
			last := map[string]*semver.Version{}
			var released []Release
			for range 40 {
				clock = clock.Add(time.Hour)
				g.message = messages[rng.IntN(len(messages))]
				at = g.grow(clock, at)
				s := g.at(t.Context(), at, released...)
				for _, branch := range []string{"other", "next", "main"} { // as beta comes before stable
					got := semver.MustParse(must(s.On(branch).Next(byCommits)))
					if before := last[branch]; before != nil && !got.GreaterThan(before) {
						t.Errorf("on %s, %s comes after %s", branch, got, before)
					}
					last[branch] = got
				}
				exact := last["main"].String()
				if !Stable(exact) {
					continue
				}
				if rng.IntN(2) == 0 {
					g.tag("v"+exact, at)
				} else {
					released = append(released, Release{exact, at.String()})
				}
				if again := must(g.at(t.Context(), at, released...).Next(byCommits)); again != exact {
					t.Errorf("once released, %s is %s", exact, again)
				}
			}
			if len(released) < 5 {
				t.Errorf("only %d releases: the test has seen nothing", len(released))
			}
		})
	}
}

// Through merges, too, a commit has a higher version than its parents.
func TestCommitVersionsGoUpThroughMerges(t *testing.T) {
	rule := deploy.Versioning{Commits: true, Channels: map[string]string{"main": "beta"}}
	for seed := range uint64(4) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			g, rng := newGraph(t), rand.New(rand.NewPCG(seed, 3)) // to be repeatable
			g.tag("v1.0.0", g.commits[0])
			clock := time.Date(2024, 6, 1, 0, 0, 0, 0, time.UTC)
			versions := map[plumbing.Hash][]string{g.commits[0]: {"1.0.0", "1.0.0"}}
			for range 40 {
				clock = clock.Add(time.Duration(rng.IntN(600)) * time.Minute)
				parents := []plumbing.Hash{g.recent(rng), g.recent(rng)}
				g.message = messages[rng.IntN(len(messages))]
				at := g.grow(clock, slices.Compact(slices.Clone(parents))...)
				s := g.at(t.Context(), at)
				versions[at] = []string{must(s.Next(rule)), must(s.On("other").Next(rule))}
				for _, p := range parents {
					for i, got := range versions[at] {
						if Compare(got, versions[p][i]) <= 0 {
							t.Errorf("%s is not above %s, its parent's", got, versions[p][i])
						}
					}
				}
			}
		})
	}
}

func FuzzNext(f *testing.F) {
	f.Add("main", "1.4.2", "1.5.0-beta.7", 17, 3, uint8(2), false)
	f.Add("next", "0.1.0", "0.1.0", 1, 1, uint8(3), true)
	f.Add("next", "", "1.0.0-beta.99999999999999999999", 1, 1, uint8(0), false)
	f.Add("x/y", "1.0.0", "1.0.0-"+strings.Repeat("y", 70), 1<<30, 1<<20, uint8(1), true)
	f.Fuzz(func(t *testing.T, branch, stable, base string, since, distance int, change uint8, dirty bool) {
		s := Source{Branch: branch, Since: max(0, since), Distance: max(0, distance), Change: Change(change % 4), Dirty: dirty, Short: "0123456"}
		if v, ok := fromTag(stable); ok && v.Prerelease() == "" && v.Major() < maxNumber && v.Minor() < maxNumber && v.Patch() < maxNumber {
			s.Stable, s.Base = v, v
		}
		if v, ok := fromTag(base); ok && (s.Base == nil || v.GreaterThan(s.Base)) && v.Prerelease() != "" {
			s.Base = v
		}
		got, err := s.Next(byCommits)
		if err != nil {
			t.Fatal(fmt.Errorf("%+v: %w", s, err))
		}
		mustBeUsable(t, got)
		if s.Stable != nil && !semver.MustParse(got).GreaterThan(s.Stable) {
			t.Errorf("%s is not above %s", got, s.Stable)
		}
	})
}
