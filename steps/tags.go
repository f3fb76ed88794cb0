package steps

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/registry"
	"github.com/slipway-ci/slipway/version"
)

// tags are the steps that move the app's floating tags: none where it has none,
// or where the request does not come to the environment that is the last of the
// file. What has not passed that is not released.
func tags(r Request) Pipeline {
	last, ok := r.last()
	comes := slices.ContainsFunc(r.Environments, func(e deploy.Environment) bool { return e.Name == last.Name })
	if len(r.App.Tags) == 0 || !ok || !comes {
		return nil
	}
	return Pipeline{{Name: "move the tags", Run: moveTags, Writes: true, Afterwards: true}}
}

// last is the environment at which a release is over.
func (r Request) last() (deploy.Environment, bool) {
	if n := len(r.App.Environments); n > 0 {
		return r.App.Environments[n-1], true
	}
	return deploy.Environment{}, false
}

// MoveTagsTo moves the app's floating tags to what another run has brought to an
// environment, where a release is over with that one.
func (w *Work) MoveTagsTo(ctx context.Context, target deploy.Target, brought deploy.Revision) {
	if last, ok := w.last(); !ok || last.Name != brought.Environment || len(w.App.Tags) == 0 {
		return
	}
	w.Targets[brought.Environment] = target
	w.Image, w.Version = brought.Image, brought.Image.Version
	_ = moveTags(ctx, w) // it warns
}

const (
	// tagsLimit bounds the time for all tags, tagsHurry what is left of it once
	// the run is cancelled: a moment is enough, and the release is out.
	tagsLimit = 2 * time.Minute
	tagsHurry = 5 * time.Second
	// tagTries is how often a tag is written that other runs write, too.
	tagTries = 10
)

// moveTags makes the app's tags follow what has been released. The release is
// over by then and stays what it is: what goes wrong here is a warning.
func moveTags(ctx context.Context, w *Work) error {
	if w.Aside != "" || !version.Stable(w.Version) {
		return nil
	}
	own, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), tagsLimit, fmt.Errorf("timed out after %s moving tags", tagsLimit))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(tagsHurry, cancel) })()
	ctx = own
	repository, err := w.repository(ctx) // environments may pull from others
	if err != nil {
		w.warn(ctx, "", "no tag was moved to "+w.Version, err)
		return nil
	}
	for _, name := range floatingNames(w.App.Tags, w.Version) {
		moved, err := w.follow(ctx, repository, name)
		if err != nil {
			w.warn(ctx, "", fmt.Sprintf("the tag %s was not moved to %s", name, w.Version), err)
			continue
		}
		w.tell(ctx, deploy.Event{Kind: deploy.TagMoved, Tag: &moved, Message: saysTag(moved)})
	}
	return nil
}

// floatingNames are the tags that a version may have, the narrowest first.
func floatingNames(kinds []deploy.FloatingTag, v string) []string {
	major, rest, _ := strings.Cut(v, ".")
	minor, _, _ := strings.Cut(rest, ".")
	var names []string
	for _, kind := range kinds {
		switch {
		case kind == deploy.TagMinor:
			names = append(names, major+"."+minor)
		case kind == deploy.TagMajor && major != "0":
			names = append(names, major)
		case kind == deploy.TagLatest:
			names = append(names, string(deploy.TagLatest))
		}
	}
	return names
}

func saysTag(t deploy.TagMove) string {
	switch {
	case !t.Moved:
		return fmt.Sprintf("the tag %s stays at %s", t.Name, t.Version)
	case t.From == "":
		return fmt.Sprintf("the tag %s is new, at %s", t.Name, t.Version)
	}
	return fmt.Sprintf("the tag %s moved from %s to %s", t.Name, t.From, t.Version)
}

// follow makes one tag name the highest version that was released and that the
// tag is for.
//
// Registries cannot compare and swap, and two runs may meet here. So each run
// looks again after it has written, at the tag and at what was released, and
// writes again until both agree. A version is in the history of the last
// environment before its run touches the tag: of two runs, the one that writes
// last sees the other's version there, or the other sees this one's tag. Either
// puts it right, whichever order the registry has put them in.
func (w *Work) follow(ctx context.Context, repository, name string) (deploy.TagMove, error) {
	move := deploy.TagMove{Name: name}
	lost := map[string]bool{} // images that the registry has no more
	for range tagTries {
		best, err := w.highest(ctx, name, lost)
		if err != nil {
			return move, err
		}
		best.Repository = repository
		have, err := w.tagged(ctx, repository, name)
		if err != nil {
			return move, err
		}
		move.Version, move.Digest = have.Version, have.Digest
		if have.Digest == best.Digest {
			move.Version = best.Version
			return move, nil
		}
		if have.Digest != "" {
			if c := version.Compare(have.Version, best.Version); c > 0 {
				return move, nil
			} else if c == 0 {
				return move, errOther(best, name, have)
			}
		}
		err = w.Images.Point(ctx, name, best)
		var gone *registry.NotFound
		switch {
		case errors.As(err, &gone) && best.Digest != w.Image.Digest:
			lost[best.Digest] = true
			continue
		case err != nil:
			return move, err
		}
		if !move.Moved {
			move.From, move.Moved = have.Version, true
		}
	}
	return move, deploy.Hinted(fmt.Errorf("other runs have moved it %d times meanwhile", tagTries),
		"the next release puts it right; or run this again")
}

// tagged is what a tag names, with a version that can be compared; nothing where
// it is free. An image that was built elsewhere need not say its version, or say
// that of its base: what is known to be released goes before what it says, and
// where it says none, the tags of versions are looked through.
func (w *Work) tagged(ctx context.Context, repository, name string) (registry.Described, error) {
	have, err := w.Images.Describe(ctx, repository, name)
	var free *registry.NotFound
	if errors.As(err, &free) {
		return registry.Described{}, nil
	}
	if err != nil {
		return have, err
	}
	says := have.Version
	if have.Version, err = w.releasedAs(ctx, have.Digest); err != nil || have.Version != "" {
		return have, err
	}
	if v, err := version.Parse(says); err == nil {
		have.Version = v
		return have, nil
	}
	if have.Version, err = w.versionAt(ctx, repository, name, have.Digest); err != nil || have.Version != "" {
		return have, err
	}
	what := "that says of itself no version"
	if says != "" {
		what = fmt.Sprintf("that says it is %q, which is no version", says)
	}
	return have, deploy.Hinted(fmt.Errorf("%s:%s names an image %s (%s)", repository, name, what, have.Digest),
		"if nobody needs it there, remove the tag and run this again; otherwise take this kind out of tags in slipway.yaml")
}

// releasedAs is the highest version that an image was released as; empty where
// it is not known.
func (w *Work) releasedAs(ctx context.Context, digest string) (string, error) {
	images, err := w.releasedImages(ctx)
	found := ""
	for _, image := range images {
		if image.Digest == digest && version.Compare(image.Version, found) > 0 {
			found = image.Version
		}
	}
	return found, err
}

// maxTagged is how many tags of versions are looked through.
const maxTagged = 50

// versionAt is the highest version whose tag names the digest, among those that
// the floating tag is for; empty where there is none.
func (w *Work) versionAt(ctx context.Context, repository, name, digest string) (string, error) {
	there, err := w.Images.Versions(ctx, repository)
	if err != nil {
		return "", err
	}
	there = slices.DeleteFunc(there, func(v string) bool {
		return !version.Stable(v) || !slices.Contains(floatingNames(deploy.FloatingTags, v), name)
	})
	slices.SortFunc(there, func(a, b string) int { return version.Compare(b, a) })
	for _, v := range there[:min(len(there), maxTagged)] {
		image, err := w.Images.Resolve(ctx, repository, v)
		var gone *registry.NotFound
		if err != nil && !errors.As(err, &gone) {
			return "", err
		}
		if image.Digest == digest {
			return v, nil
		}
	}
	return "", nil
}

// errOther is for a tag that names other content of the very same version.
func errOther(best deploy.Image, name string, have registry.Described) error {
	return deploy.Hinted(fmt.Errorf("%s:%s names another image of %s (%s) than was released (%s)", best.Repository, name, have.Version, have.Digest, best.Digest),
		"something else pushes images of this version: if nobody needs that one there, remove the tag and run this again")
}

// highest is the highest version for a tag: the one at hand, or one that was
// promoted at the last environment, from whichever repository it was pulled
// there.
func (w *Work) highest(ctx context.Context, name string, lost map[string]bool) (deploy.Image, error) {
	best := w.Image
	images, err := w.releasedImages(ctx)
	for _, image := range images {
		fits := slices.Contains(floatingNames(w.App.Tags, image.Version), name)
		if fits && !lost[image.Digest] && version.Compare(image.Version, best.Version) > 0 {
			best = image
		}
	}
	return best, err
}

// releasedImages are those in the history of the last environment; none where
// nothing was deployed, as by a build.
func (w *Work) releasedImages(ctx context.Context) ([]deploy.Image, error) {
	last, _ := w.last()
	target, ok := w.Targets[last.Name]
	if !ok {
		return nil, nil
	}
	state, err := target.State(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the history of %s: %w", last.Name, err)
	}
	return released(state.History), nil
}

// released are the stable versions that were promoted, without those that
// somebody has rolled back from.
func released(history []deploy.Record) []deploy.Image {
	var all []deploy.Image
	for _, record := range history {
		if record.Outcome != deploy.Promoted {
			continue
		}
		if record.Operation == "rollback" {
			all = slices.DeleteFunc(all, func(i deploy.Image) bool { return i.Digest == record.Previous.Image.Digest })
			continue
		}
		if version.Stable(record.Candidate.Image.Version) {
			all = append(all, record.Candidate.Image)
		}
	}
	return all
}
