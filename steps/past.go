package steps

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/deploy"
)

// findReleased finds the image of the version to promote. Where an environment
// comes after another, it is the digest that passed there, whatever the tag
// says now; otherwise it is the one that the tag names.
func findReleased(ctx context.Context, w *Work) error {
	env := w.Environments[0]
	if env.After == "" {
		return w.findTagged(ctx)
	}
	before, ok := w.App.Environment(env.After)
	if !ok {
		return fmt.Errorf("%s comes after %s, which is not in the file", env.Name, env.After)
	}
	history, err := w.history(ctx, before)
	if err != nil {
		return err
	}
	for _, record := range slices.Backward(history) {
		if record.Outcome == deploy.Promoted && record.Candidate.Image.Version == w.Version {
			w.Image = record.Candidate.Image
			w.tell(ctx, deploy.Event{Kind: deploy.ImageReady, Image: &w.Image, Message: fmt.Sprintf("%s passed %s", w.Image, before.Name)})
			return nil
		}
	}
	return deploy.Hinted(fmt.Errorf("%s has not passed %s, which %s comes after", w.Version, before.Name, env.Name),
		"%s; or bring it there first: slipway promote --version %s --environment %s", passed(before.Name, history), w.Version, before.Name)
}

func (w *Work) findTagged(ctx context.Context) error {
	repository, err := w.repository(ctx)
	if err != nil {
		return err
	}
	if w.Image, err = w.Images.Resolve(ctx, repository, w.Version); err != nil {
		return err
	}
	w.tell(ctx, deploy.Event{Kind: deploy.ImageReady, Image: &w.Image, Message: fmt.Sprintf("found %s", w.Image)})
	return nil
}

// passed names the versions to choose from, newest first.
func passed(environment string, history []deploy.Record) string {
	var versions []string
	for _, record := range slices.Backward(history) {
		if v := record.Candidate.Image.Version; record.Outcome == deploy.Promoted && !slices.Contains(versions, v) {
			versions = append(versions, v)
		}
	}
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
		return deploy.Hinted(fmt.Errorf("nothing is live in %s", env.Name), "release a version first")
	}
	past, ok := previous(state, w.Request.Version)
	if !ok && w.Request.Version == state.Live.Image.Version {
		past, ok = *state.Live, true // unchanged
	}
	if !ok {
		what := "nothing was live before " + state.Live.String()
		if w.Request.Version != "" {
			what = w.Request.Version + " has not been live"
		}
		return deploy.Hinted(fmt.Errorf("%s in %s", what, env.Name), "%s", passed(env.Name, state.History))
	}
	w.Past, w.Image, w.Version = &past, past.Image, past.Image.Version
	w.notice(ctx, "going back from %s to %s", state.Live, past)
	return nil
}

// previous finds the revision to bring back. With a version, it is the last one
// of that version that was live. Without, the history is read as a stack: what
// was rolled back from is no longer on it, so that rolling back twice goes two
// versions back, never forward to what was just left.
func previous(s deploy.State, version string) (deploy.Revision, bool) {
	var stack []deploy.Revision
	for _, record := range s.History {
		if record.Outcome != deploy.Promoted {
			continue
		}
		at := slices.IndexFunc(stack, func(r deploy.Revision) bool { return r.ID == record.Candidate.ID })
		switch {
		case len(stack) == 0 && !record.Previous.IsZero(): // older records have been dropped
			stack = append(stack, record.Previous, record.Candidate)
		case record.Operation == "rollback" && at >= 0 && version == "":
			stack = stack[:at+1]
		default:
			stack = append(stack, record.Candidate)
		}
	}
	for _, r := range slices.Backward(stack) {
		if r.ID != s.Live.ID && (version == "" || r.Image.Version == version) {
			return r, true
		}
	}
	return deploy.Revision{}, false
}
