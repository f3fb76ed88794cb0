package version

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/slipway-ci/slipway/deploy"
)

var (
	// ErrNoRepository means that neither the folder nor a parent of it is in
	// a git repository.
	ErrNoRepository = errors.New("not a git repository")
	// ErrNoCommit means that the repository has no commit yet.
	ErrNoCommit = errors.New("the git repository has no commit yet")
	// ErrShallow means that the history is cut off before a version tag, as in
	// a shallow clone, so that commits cannot be counted truthfully.
	ErrShallow = errors.New("the git history is cut off (a shallow clone) before a version tag is found")
	// ErrTooLong means that no version tag was met in the part of the history
	// that is walked.
	ErrTooLong = fmt.Errorf("the git history has no version tag in its last %d commits", maxCommits)
)

// Source is what git says of the commit that is checked out.
type Source struct {
	// Commit is its full hash, 40 hexadecimal digits.
	Commit string
	// Short is the first 7 of them.
	Short string
	// Branch is empty where HEAD is detached, as CI runners leave it: see On.
	Branch string
	// Tag is the version tag at this very commit, such as v1.4.2; the highest
	// if there are several, empty if there is none.
	Tag string
	// Time is when it was committed, in UTC, in whole seconds.
	Time time.Time
	// Remote is the https address of the remote "origin", without credentials:
	// https://github.com/acme/hello. Empty where there is none, or where it is
	// a path on this machine.
	Remote string
	// Dirty means that files under version control differ from the commit.
	// As for git describe, files that git does not track do not count.
	Dirty bool
	// Base is the highest version tag among the commit and its ancestors; nil
	// if there is none.
	Base *semver.Version
	// Distance is how many commits there are since Base, or in all without a
	// Base. It is meaningless where Unknown is set.
	Distance int
	// Stable is the highest version tag without a pre-release among the commit
	// and its ancestors; nil if there is none.
	Stable *semver.Version
	// Since is how many commits there are since Stable, or in all without one,
	// and Change the weightiest of them. They are meaningless where
	// StableUnknown is set.
	Since  int
	Change Change
	// StableUnknown is why they cannot be told, as Unknown is for the others.
	StableUnknown error
	// Unknown is why Base and Distance cannot be told, with a hint: it wraps
	// ErrShallow or ErrTooLong. What does not need them works all the same.
	Unknown error
}

// Read says what git knows of the folder, which is a git working tree or lies
// within one; worktrees, submodules, detached heads and shallow clones are fine.
// It is ErrNoRepository or ErrNoCommit where there is nothing to say.
//
// What is known to be released from a commit counts as if that commit had a tag
// of the version: so an exact version is not given to a second commit, also
// where nobody has made a git tag of it.
func Read(ctx context.Context, dir string, released ...Release) (Source, error) {
	repo, err := open(dir)
	if err != nil {
		return Source{}, err
	}
	defer repo.close()
	s, err := repo.source(ctx, released)
	if err != nil {
		return Source{}, fmt.Errorf("read the git repository of %s: %w", dir, err)
	}
	return s, nil
}

// Release is a version that is out already.
type Release struct {
	// Version is a semver without a leading v.
	Version string
	// Commit is the full hash that it was made of.
	Commit string
}

func (r *repository) source(ctx context.Context, released []Release) (Source, error) {
	head, branch, err := r.head()
	if err != nil {
		return Source{}, err
	}
	commit, err := object.GetCommit(r.store, head)
	if err != nil {
		return Source{}, fmt.Errorf("commit %s: %w", head, err)
	}
	s := Source{
		Commit: head.String(),
		Short:  head.String()[:7],
		Branch: branch,
		Time:   commit.Committer.When.UTC().Truncate(time.Second),
		Remote: r.remote(),
	}
	if err := r.place(ctx, &s, head, released); err != nil {
		return Source{}, err
	}
	s.Dirty, err = r.dirty(ctx, commit)
	return s, err
}

// place fills in what the history says.
func (r *repository) place(ctx context.Context, s *Source, head plumbing.Hash, released []Release) error {
	tags, err := r.versionTags(released)
	if err != nil {
		return err
	}
	s.Tag = nameAt(tags, head)
	h, err := r.history()
	if err != nil {
		return err
	}
	all, err := h.since(ctx, head, tags)
	if err != nil {
		return err
	}
	s.Base, s.Distance, s.Unknown = all.base, all.distance, all.unknown
	if all.base != nil && all.base.Prerelease() != "" {
		tags = slices.DeleteFunc(tags, func(t tag) bool { return t.version.Prerelease() != "" })
		if all, err = h.since(ctx, head, tags); err != nil {
			return err
		}
	}
	s.Stable, s.Since, s.Change, s.StableUnknown = all.base, all.distance, all.change, all.unknown
	return nil
}

// span is what lies between a base and the head.
type span struct {
	base     *semver.Version
	distance int
	change   Change
	unknown  error
}

// since is the span from the highest of the tags that the head comes after.
func (h *history) since(ctx context.Context, head plumbing.Hash, tags []tag) (s span, err error) {
	base, err := h.highest(ctx, head, tags)
	if err == nil {
		s.base = base.version
		s.distance, s.change, err = h.distance(ctx, head, base.commit)
	}
	if errors.Is(err, ErrShallow) || errors.Is(err, ErrTooLong) {
		return span{unknown: err}, nil
	}
	return s, err
}

var pullRequest = regexp.MustCompile(`^refs/pull/([0-9]+)/`)

// On is the source as a runner names it, which checks out a detached HEAD: a
// branch by its name or as refs/heads/…, a pull request as refs/pull/12/merge,
// a version tag as refs/tags/v1.4.2. What is none of these changes nothing.
func (s Source) On(ref string) Source {
	if tag, ok := strings.CutPrefix(ref, "refs/tags/"); ok {
		if _, ok := fromTag(tag); ok {
			s.Tag = tag
		}
		return s
	}
	if m := pullRequest.FindStringSubmatch(ref); m != nil {
		s.Branch = "pull-" + m[1]
		return s
	}
	branch := strings.TrimPrefix(ref, "refs/heads/")
	if branch == "" || strings.HasPrefix(branch, "refs/") {
		return s
	}
	s.Branch = branch
	return s
}

// Version is the tag's where a version tag is at the commit and nothing has
// been changed since: 1.4.2. Otherwise it is computed: the next patch after
// Base as a pre-release of branch, distance and commit, such as
// 1.4.3-main.17.g1a2b3c4; 0.1.0-main.17.g1a2b3c4 without a Base; and
// 1.5.0-rc.1.main.17.g1a2b3c4 after a pre-release. ".dirty" is appended where
// files differ from the commit. It is a valid semantic version, and on one
// branch it is higher than that of every ancestor, as long as tags go up. The
// error is Unknown.
func (s Source) Version() (string, error) { return s.Next(deploy.Versioning{}) }

// distinct is a version that no other commit has.
func (s Source) distinct(front string, distance int, unknown error) (string, error) {
	if unknown != nil {
		return "", unknown
	}
	back := fmt.Sprintf(".%d.g%s", distance, s.Short)
	if s.Dirty {
		back += ".dirty"
	}
	room := maxLength - len(front) - len(back)
	if room < 1 {
		return "", deploy.Usage(examples, "version tag %s is too long to compute a version after it", s.Base)
	}
	return front + identifier(s.Branch, min(room, maxBranch)) + back, nil
}

// core is what a computed version begins with, up to where the branch follows.
func (s Source) core() string {
	switch {
	case s.Base == nil:
		return "0.1.0-"
	case s.Base.Prerelease() != "":
		// The next patch would be above the release that this one leads to.
		return fmt.Sprintf("%d.%d.%d-%s.", s.Base.Major(), s.Base.Minor(), s.Base.Patch(), s.Base.Prerelease())
	default:
		return fmt.Sprintf("%d.%d.%d-", s.Base.Major(), s.Base.Minor(), s.Base.Patch()+1)
	}
}

// maxBranch is how much of a branch's name a version shows.
const maxBranch = 40

var (
	notIdentifier = regexp.MustCompile(`[^0-9A-Za-z]+`)
	numeric       = regexp.MustCompile(`^[0-9]+$`)
)

// identifier makes a branch an identifier of a pre-release, of at most limit
// characters: never empty, and never numeric, which would order it as a number.
func identifier(branch string, limit int) string {
	if branch == "" {
		branch = "detached"
	}
	id := strings.Trim(notIdentifier.ReplaceAllString(branch, "-"), "-")
	if id == "" {
		id = "branch"
	}
	if numeric.MatchString(id) {
		id = "b" + id
	}
	id = strings.TrimRight(id[:min(limit, len(id))], "-")
	if numeric.MatchString(id) {
		id = "b" + id[1:]
	}
	return id
}
