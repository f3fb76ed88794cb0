package steps

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/registry"
	"github.com/slipway-ci/slipway/version"
)

// Prune removes the images that the rule of the app lets go, and says of each
// version that it is about what became of it and why. On a dry run it removes
// none.
func Prune(Request) Pipeline {
	return Pipeline{{Name: "remove old images", Run: prune}}
}

// Reaps reports whether an app has anything that ReapAndPrune does.
func Reaps(app deploy.App) bool { return len(ReapAndPrune(Request{App: app})) > 0 }

// ReapAndPrune watches on what was left to scheduled runs, removes the previews
// that nobody needs any more, and then old images by the rule of the app, where
// it has one.
func ReapAndPrune(r Request) Pipeline {
	var p Pipeline
	if slices.ContainsFunc(r.App.Environments, leavesBake) {
		p = append(p, Step{Name: "look at what is being watched", Run: watchOn, Writes: true}) // users first
	}
	if r.App.Preview != nil {
		p = append(p, Reap(r)...)
	}
	if r.App.Prune != nil {
		p = append(p, Prune(r)...)
	}
	return p
}

// ruling is what becomes of one version, and why.
type ruling struct {
	registry.Listed
	why string
}

// sentence is the ruling for people.
func (v ruling) sentence(what string) string {
	return fmt.Sprintf("%s %s (%s): %s", what, v.Version, deploy.ShortDigest(v.Digest), v.why)
}

func prune(ctx context.Context, w *Work) error {
	rule := deploy.DefaultPrune()
	if w.App.Prune != nil {
		rule = *w.App.Prune
	}
	used, err := w.Used(ctx)
	if err != nil {
		return err
	}
	repositories, err := w.Repositories(ctx)
	if err != nil {
		return err
	}
	for _, repository := range repositories {
		images, err := w.Images.List(ctx, repository)
		if err != nil {
			return err
		}
		gone, stay, others := sift(images, rule, used, time.Now())
		if err := w.remove(ctx, repository, gone); err != nil {
			return err
		}
		for _, v := range stay {
			w.notice(ctx, "%s", v.sentence("kept"))
		}
		w.notice(ctx, "%s", tally(repository, len(gone), len(stay), others, w.DryRun))
	}
	return nil
}

func tally(repository string, gone, stay, others int, dry bool) string {
	done := "removed"
	if dry {
		done = "would remove"
	}
	return fmt.Sprintf("%s: %s %d, kept %d and %d that the rule is not about", repository, done, gone, stay, others)
}

// Repositories are all that images of the app are in: where they are pushed to,
// and those that environments have of their own.
func (w *Work) Repositories(ctx context.Context) ([]string, error) {
	home, err := w.repository(ctx)
	if err != nil {
		return nil, err
	}
	all := []string{home}
	for _, env := range w.App.Environments {
		if env.Repository != "" && !slices.Contains(all, env.Repository) {
			all = append(all, env.Repository)
		}
	}
	return all, nil
}

// remove removes images, each with all tags that name it, and tells it.
func (w *Work) remove(ctx context.Context, repository string, gone []ruling) error {
	versions := map[string][]string{}
	for _, v := range gone {
		versions[v.Digest] = append(versions[v.Digest], v.Version)
	}
	removed := map[string]bool{}
	for _, v := range gone {
		if w.DryRun {
			w.notice(ctx, "%s", v.sentence("would remove"))
			continue
		}
		if !removed[v.Digest] {
			if err := w.delete(ctx, repository, v.Digest, versions[v.Digest]); err != nil {
				return err
			}
			removed[v.Digest] = true
		}
		w.notice(ctx, "%s", v.sentence("removed"))
	}
	return nil
}

// delete removes an image at the registry, or by the forge where the registry
// refuses that.
func (w *Work) delete(ctx context.Context, repository, digest string, versions []string) error {
	err := w.Images.Delete(ctx, repository, digest, versions)
	if _, refused := errors.AsType[*registry.Undeletable](err); !refused || w.RemovePackage == nil {
		return err
	}
	if instead := w.RemovePackage(ctx, repository, digest); !errors.Is(instead, errors.ErrUnsupported) {
		return instead
	}
	return err
}

// sift decides by the rule. It gives the versions that go and those that the
// rule is about and that stay, newest first, with why, and how many tags it is
// not about. An image stays with all its tags where one of them stays, and with
// an index that needs it.
func sift(images []registry.Listed, rule deploy.Prune, used Used, now time.Time) (gone, stay []ruling, others int) {
	needed := map[string]string{} // digests that stay, and why
	var about []registry.Listed
	for _, image := range images {
		if concerns(rule, image) {
			about = append(about, image)
			continue
		}
		others++
		keep(needed, image, image.Version+" names it, too")
	}
	slices.SortFunc(about, newestFirst)
	why := make([]string, len(about))
	for i, image := range about {
		if why[i] = reason(image, i, rule, used, now); why[i] != "" {
			keep(needed, image, image.Version+" names it, too")
		}
	}
	for i, image := range about {
		switch shared := needed[image.Digest]; {
		case why[i] != "":
			stay = append(stay, ruling{image, why[i]})
		case shared != "":
			stay = append(stay, ruling{image, shared})
		default:
			gone = append(gone, ruling{image, "it is " + days(now.Sub(image.Created)) + " old"})
		}
	}
	return gone, stay, others
}

// keep notes that a digest stays, and what it is made of.
func keep(needed map[string]string, image registry.Listed, why string) {
	if needed[image.Digest] == "" {
		needed[image.Digest] = why
	}
	for _, part := range image.Parts {
		if needed[part] == "" {
			needed[part] = image.Version + " is made of it"
		}
	}
}

// concerns says whether a rule is about a tag: those that are no versions never
// go.
func concerns(rule deploy.Prune, image registry.Listed) bool {
	if !version.Prerelease(image.Version) && (!rule.Stable || !version.Stable(image.Version)) {
		return false
	}
	matches, err := path.Match(rule.Pattern, image.Version)
	return rule.Pattern == "" || err == nil && matches
}

// reason says why a version stays; empty where nothing holds it. It is the nth of
// those that the rule is about, from 0 for the newest.
func reason(image registry.Listed, nth int, rule deploy.Prune, used Used, now time.Time) string {
	if uses := used.Of(image.Digest, image.Version); len(uses) > 0 {
		var phrases []string
		for _, use := range uses {
			phrases = append(phrases, use.phrase())
		}
		return strings.Join(phrases, ", ")
	}
	switch {
	case nth < rule.Keep:
		return fmt.Sprintf("it is one of the %d newest", rule.Keep)
	case image.Created.IsZero():
		return "it does not say how old it is"
	case now.Sub(image.Created) < rule.OlderThan:
		return "it is " + days(now.Sub(image.Created)) + " old"
	}
	return ""
}

// newestFirst orders by time and, where that is the same, by version.
func newestFirst(a, b registry.Listed) int {
	return cmp.Or(b.Created.Compare(a.Created), version.Compare(b.Version, a.Version))
}

// days is a time for people.
func days(d time.Duration) string {
	if d < 48*time.Hour {
		return d.Round(time.Minute).String()
	}
	return fmt.Sprintf("%d days", int(d.Hours()/24))
}
