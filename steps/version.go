package steps

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/registry"
	"github.com/slipway-ci/slipway/version"
)

// nextVersion works out the version of a commit that nobody named one for.
func (w *Work) nextVersion(ctx context.Context) (string, error) {
	rule := w.App.Versioning
	if exact(rule) {
		if err := w.readReleased(ctx); err != nil {
			return "", err
		}
	}
	next, err := w.Source.Next(rule)
	if err != nil || !rule.Commits || next == w.taggedVersion() {
		return next, err
	}
	w.exact = version.Stable(next)
	since := "the beginning"
	if w.Source.Stable != nil {
		since = w.Source.Stable.String()
	}
	w.notice(ctx, "since %s: %s, %s", since, count(w.Source.Since, "commit"), w.Source.Change)
	return next, nil
}

// sharedVersion says what to do where an exact version was taken by another
// commit between looking and pushing, or by one that this does not come after.
func (w *Work) sharedVersion(err error) error {
	var taken *registry.Taken
	if !w.exact || !errors.As(err, &taken) {
		return err
	}
	return deploy.Hinted(err, "another commit has it, though this one does not come after it or was not known to: run this again for the next version, "+
		"merge what is on the other branch, or tag this commit with a version of its own")
}

// count is a number of things for people.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// taggedVersion is what the tag at the commit says; empty without one.
func (w *Work) taggedVersion() string {
	v, err := version.Parse(w.Source.Tag)
	if err != nil {
		return ""
	}
	return v
}

// exact reports whether a rule makes versions that more than one commit could
// get.
func exact(rule deploy.Versioning) bool {
	for _, channel := range rule.Channels {
		if channel == deploy.Stable {
			return rule.Commits
		}
	}
	return false
}

const (
	// lookedAt is how many released versions are read at a time, maxLookedAt in
	// all: the highest that is an ancestor is nearly always the first.
	lookedAt    = 5
	maxLookedAt = 50
)

// readReleased takes the versions of the registry that are above git's last tag
// for released: each names its commit. So the next commit gets the next version,
// also where nobody tags releases in git.
func (w *Work) readReleased(ctx context.Context) error {
	if version.Stable(w.taggedVersion()) && !w.Source.Dirty {
		return nil
	}
	repository, err := w.released(ctx)
	if err != nil || repository == "" {
		return err
	}
	there, err := w.Images.Versions(ctx, repository)
	if err != nil {
		return w.unlessDry(ctx, err)
	}
	var known []version.Release
	for above := range slices.Chunk(w.above(there), lookedAt) {
		for _, v := range above {
			says, err := w.Images.Describe(ctx, repository, v)
			var gone *registry.NotFound
			if err != nil && !errors.As(err, &gone) {
				return w.unlessDry(ctx, err)
			}
			if says.Revision != "" {
				known = append(known, version.Release{Version: v, Commit: says.Revision})
			}
		}
		if w.Source, err = version.Read(ctx, w.Dir, known...); err != nil {
			return fmt.Errorf("read git: %w", err)
		}
		w.Source = w.Source.On(w.Ref)
		if last := w.Source.Stable; last != nil && version.Compare(last.String(), above[len(above)-1]) >= 0 {
			return nil
		}
	}
	return nil
}

// above are the stable versions that are higher than git's last, the highest
// first.
func (w *Work) above(there []string) []string {
	last := ""
	if w.Source.Stable != nil {
		last = w.Source.Stable.String()
	}
	all := slices.DeleteFunc(slices.Clone(there), func(v string) bool { return !version.Stable(v) || version.Compare(v, last) <= 0 })
	slices.SortFunc(all, func(a, b string) int { return version.Compare(b, a) })
	return all[:min(len(all), maxLookedAt)]
}

// released is the repository to look for releases in. It is empty where that
// would start a sandbox which the run does not need: nothing was released there.
func (w *Work) released(ctx context.Context) (string, error) {
	if w.App.Repository == "" && w.stays {
		return "", nil
	}
	repository, err := w.repository(ctx)
	if err != nil {
		return "", w.unlessDry(ctx, err)
	}
	return repository, nil
}

// unlessDry lets a run that changes nothing go on with what it knows.
func (w *Work) unlessDry(ctx context.Context, err error) error {
	if !w.DryRun && !w.stays {
		return fmt.Errorf("look for released versions: %w", err)
	}
	w.notice(ctx, "what was released is not known here, so the version may be another: %v", err)
	return nil
}
