package steps

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/version"
)

// findReleased finds the image of the version to promote. Where an environment
// comes after another, it is the digest that passed there, whatever the tag
// says now; otherwise, and where somebody leaves out the order on purpose, it
// is the one that the tag names.
func findReleased(ctx context.Context, w *Work) error {
	env := w.Environments[0]
	if env.After == "" || w.SkipOrder {
		return w.findTagged(ctx)
	}
	before, history, err := w.before(ctx, env)
	if err != nil {
		return err
	}
	if w.Version, err = choose(w.Request.Version, passedVersions(history)); err != nil {
		return fmt.Errorf("of those that have passed %s: %w", before.Name, err)
	}
	w.tellHigher(ctx, before)
	for _, record := range slices.Backward(history) {
		if hasPassed(record) && record.Candidate.Image.Version == w.Version {
			w.Image = record.Candidate.Image
			w.tell(ctx, deploy.Event{Kind: deploy.ImageReady, Image: &w.Image, Message: fmt.Sprintf("%s passed %s", w.Image, before.Name)})
			return nil
		}
	}
	return deploy.Hinted(fmt.Errorf("%s has not passed %s, which %s comes after", w.Version, before.Name, env.Name),
		"%s; or bring it there first: slipway promote --version %s --environment %s", passed(before.Name, history), w.Version, before.Name)
}

// hasPassed reports whether a version has passed the environment that the record
// is of: it was promoted there, and what was to be done after that was.
func hasPassed(r deploy.Record) bool { return r.Outcome == deploy.Promoted && !r.Incomplete }

// tellHigher says which version meets what was asked for as well, is higher, and
// has not passed the environment before. A registry that does not answer holds
// nobody up.
func (w *Work) tellHigher(ctx context.Context, before deploy.Environment) {
	if version.Exact(w.Request.Version) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, higherLimit)
	defer cancel()
	repository, err := w.repository(ctx)
	if err != nil {
		return
	}
	there, err := w.Images.Versions(ctx, repository)
	if err != nil {
		w.log().Debug("look for higher versions", "repository", repository, "error", err)
		return
	}
	if highest, err := version.Choose(w.Request.Version, there); err == nil && version.Compare(highest, w.Version) > 0 {
		w.notice(ctx, "%s is higher, and has not passed %s", highest, before.Name)
	}
}

// higherLimit bounds the wait for what is only good to know.
const higherLimit = 10 * time.Second

// choose turns what somebody asks for into a version: one by its number stays
// what it is, also where it is not among those to choose from.
func choose(wanted string, from []string) (string, error) {
	if version.Exact(wanted) {
		return wanted, nil
	}
	return version.Choose(wanted, from)
}

// before is the environment that env comes after, with its history.
func (w *Work) before(ctx context.Context, env deploy.Environment) (deploy.Environment, []deploy.Record, error) {
	before, ok := w.App.Environment(env.After)
	if !ok {
		return before, nil, fmt.Errorf("%s comes after %s, which is not in the file", env.Name, env.After)
	}
	history, err := w.history(ctx, before)
	return before, history, err
}

// keepOrder refuses a release to an environment whose predecessor is not part
// of it, unless the very same image has passed there.
func keepOrder(ctx context.Context, w *Work) error {
	if w.Image.Digest == "" {
		w.notice(ctx, "whether this build has passed the environments before is not known before it is built")
		return nil
	}
	for _, env := range w.Environments {
		if !w.jumps(env) {
			continue
		}
		before, history, err := w.before(ctx, env)
		if err != nil {
			return err
		}
		passedThere := slices.ContainsFunc(history, func(r deploy.Record) bool {
			return hasPassed(r) && r.Candidate.Image.Digest == w.Image.Digest
		})
		if !passedThere {
			return deploy.Usage("release without --environment, which goes through all of them; or, with a reason that is recorded: --skip-order --reason WHY",
				"this build of %s has not passed %s, which %s comes after", w.Version, before.Name, env.Name)
		}
	}
	return nil
}

// jumps reports whether the request goes to an environment without the one that
// it comes after.
func (r Request) jumps(env deploy.Environment) bool {
	return env.After != "" && !r.SkipOrder &&
		!slices.ContainsFunc(r.Environments, func(e deploy.Environment) bool { return e.Name == env.After })
}

func (w *Work) findTagged(ctx context.Context) error {
	repository, err := w.repository(ctx)
	if err != nil {
		return err
	}
	if !version.Exact(w.Request.Version) {
		tags, err := w.Images.Versions(ctx, repository)
		if err != nil {
			return err
		}
		if w.Version, err = choose(w.Request.Version, tags); err != nil {
			return fmt.Errorf("in %s: %w", repository, err)
		}
	}
	if w.Image, err = w.Images.Resolve(ctx, repository, w.Version); err != nil {
		return err
	}
	w.tell(ctx, deploy.Event{Kind: deploy.ImageReady, Image: &w.Image, Message: fmt.Sprintf("found %s", w.Image)})
	return nil
}

// passedVersions are those that were promoted, newest first.
func passedVersions(history []deploy.Record) []string {
	var versions []string
	for _, record := range slices.Backward(history) {
		if v := record.Candidate.Image.Version; record.Outcome == deploy.Promoted && !slices.Contains(versions, v) {
			versions = append(versions, v)
		}
	}
	return versions
}

// passed names the versions to choose from, newest first.
func passed(environment string, history []deploy.Record) string {
	versions := passedVersions(history)
	if len(versions) == 0 {
		return "no version has passed " + environment + " yet"
	}
	return "passed there: " + strings.Join(versions[:min(5, len(versions))], ", ")
}

// history of an environment, which need not be one that the request deploys to.
func (w *Work) history(ctx context.Context, env deploy.Environment) ([]deploy.Record, error) {
	target, ok := w.Targets[env.Name]
	if !ok {
		var err error
		if target, err = w.Target(ctx, w.App.Name, env); err != nil {
			return nil, fmt.Errorf("%s: %w", env.Name, err)
		}
	}
	state, err := target.State(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the history of %s: %w", env.Name, err)
	}
	return state.History, nil
}

// findPrevious finds the revision to bring back: the named version's, or the
// last that was live before the one that is.
func findPrevious(ctx context.Context, w *Work) error {
	env := w.Environments[0]
	state, err := w.Targets[env.Name].State(ctx)
	if err != nil {
		return fmt.Errorf("read the history of %s: %w", env.Name, err)
	}
	if state.Live == nil {
		return nothingLive(env.Name, state)
	}
	wanted, err := w.wanted(state)
	if err != nil {
		return fmt.Errorf("of those that were live in %s: %w", env.Name, err)
	}
	past, ok := previous(state, wanted)
	if !ok && wanted == state.Live.Image.Version {
		past, ok = *state.Live, true // unchanged
	}
	if !ok {
		return noWayBack(env.Name, state, wanted)
	}
	w.Past, w.Image, w.Version = &past, past.Image, past.Image.Version
	w.notice(ctx, "going back from %s to %s", state.Live, past)
	return nil
}

// nothingLive says that there is nothing to go back from. Whoever wants to be rid of
// the first version while it comes looks for abort.
func nothingLive(env string, s deploy.State) error {
	if s.Candidate != nil {
		return deploy.Hinted(fmt.Errorf("nothing is live in %s yet, and %s is on its way there", env, s.Candidate), takeBack, env)
	}
	return deploy.Hinted(fmt.Errorf("nothing is live in %s", env), "release a version first")
}

// noWayBack says that the version was not live, or with none wanted that none was
// before the one that is. A version that is on its way there is not gone back from
// but taken back, by another command.
func noWayBack(env string, s deploy.State, wanted string) error {
	if wanted != "" {
		return deploy.Hinted(fmt.Errorf("%s has not been live in %s", wanted, env), "%s", passed(env, s.History))
	}
	if s.Candidate != nil {
		return deploy.Hinted(fmt.Errorf("nothing was live before %s in %s, and %s is on its way there", s.Live, env, s.Candidate), takeBack, env)
	}
	return deploy.Hinted(fmt.Errorf("nothing was live before %s in %s", s.Live, env), "%s", passed(env, s.History))
}

// takeBack is what to do about a version that is on its way.
const takeBack = "take it back with: slipway abort --environment %s"

// wanted is the version to go back to; empty is the one before.
func (w *Work) wanted(s deploy.State) (string, error) {
	asked := w.Request.Version
	if asked == "" || asked == version.Previous {
		return "", nil
	}
	others := slices.DeleteFunc(passedVersions(s.History), func(v string) bool { return v == s.Live.Image.Version })
	return choose(asked, others)
}

// lastIndex is the last place of a revision in the list; -1 where it has none.
func lastIndex(list []deploy.Revision, r deploy.Revision) int {
	for i, other := range slices.Backward(list) {
		if other.ID == r.ID {
			return i
		}
	}
	return -1
}

// previous finds the revision to bring back. With a version, it is the last one
// of that version that was live. Without, the history is read as a stack: what
// was rolled back from is no longer on it, so that rolling back twice goes two
// versions back, never forward to what was just left.
func previous(s deploy.State, wanted string) (deploy.Revision, bool) {
	var stack []deploy.Revision
	for _, record := range s.History {
		if record.Outcome != deploy.Promoted {
			continue
		}
		at := lastIndex(stack, record.Candidate)
		switch {
		case len(stack) == 0 && !record.Previous.IsZero(): // older records have been dropped
			stack = append(stack, record.Previous, record.Candidate)
		case record.Operation == "rollback" && at >= 0 && wanted == "":
			stack = stack[:at+1]
		default:
			stack = append(stack, record.Candidate)
		}
	}
	for _, r := range slices.Backward(stack) {
		if r.ID != s.Live.ID && (wanted == "" || r.Image.Version == wanted) {
			return r, true
		}
	}
	return deploy.Revision{}, false
}
