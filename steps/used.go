package steps

import (
	"context"
	"fmt"
	"slices"

	"github.com/slipway-ci/slipway/deploy"
)

// Use is why an environment needs an image.
type Use struct {
	Environment string `json:"environment"`
	// As is "live", "candidate" (it is being brought in), or "past" (it can be
	// gone back to).
	As string `json:"as"`
}

// The values of Use.As.
const (
	AsLive      = "live"
	AsCandidate = "candidate"
	AsPast      = "past"
)

// phrase completes a sentence about an image.
func (u Use) phrase() string {
	switch u.As {
	case AsLive:
		return u.Environment + " runs it"
	case AsCandidate:
		return "it is being brought to " + u.Environment
	}
	return u.Environment + " can go back to it"
}

// Used says which environments need which images.
type Used struct{ digests, versions map[string][]Use }

// Of is who needs the image of a digest or of a version; each environment is
// named once, by its strongest reason. What somebody could go back to by its
// version is needed whatever its tag names now.
func (u Used) Of(digest, version string) []Use {
	var all []Use
	for _, use := range slices.Concat(u.digests[digest], u.versions[version]) {
		i := slices.IndexFunc(all, func(have Use) bool { return have.Environment == use.Environment })
		if i < 0 {
			all = append(all, use)
		}
	}
	return all
}

// Used looks into all environments of the app, previews among them. It is an
// error if one cannot be read: what it needs is not known then.
func (w *Work) Used(ctx context.Context) (Used, error) {
	u := Used{digests: map[string][]Use{}, versions: map[string][]Use{}}
	for _, env := range w.App.Environments {
		target, err := w.Target(ctx, w.App.Name, env)
		if err != nil {
			return u, fmt.Errorf("%s: %w", env.Name, err)
		}
		if err := u.look(ctx, env.Name, target); err != nil {
			return u, err
		}
	}
	if w.App.Preview == nil {
		return u, nil
	}
	previews, err := w.previews(ctx)
	if err != nil {
		return u, err
	}
	for _, s := range previews {
		if err := u.look(ctx, s.env.Name, s.target); err != nil {
			return u, err
		}
	}
	return u, nil
}

func (u Used) look(ctx context.Context, environment string, target deploy.Target) error {
	state, err := target.State(ctx)
	if err != nil {
		return fmt.Errorf("read %s: %w", environment, err)
	}
	u.add(environment, state)
	return nil
}

// add notes what an environment needs, the strongest reason first.
func (u Used) add(environment string, s deploy.State) {
	if s.Live != nil {
		u.note(*s.Live, Use{environment, AsLive})
	}
	if s.Candidate != nil {
		u.note(*s.Candidate, Use{environment, AsCandidate})
	}
	if s.Record.Unfinished() {
		u.note(s.Record.Candidate, Use{environment, AsCandidate})
		u.note(s.Record.Previous, Use{environment, AsPast})
	}
	for _, r := range s.Running {
		u.note(r.Revision, Use{environment, AsCandidate})
	}
	for _, record := range slices.Backward(s.History) {
		if record.Outcome == deploy.Promoted {
			u.note(record.Candidate, Use{environment, AsPast})
			u.note(record.Previous, Use{environment, AsPast})
		}
	}
}

func (u Used) note(r deploy.Revision, use Use) {
	if r.IsZero() {
		return
	}
	u.digests[r.Image.Digest] = append(u.digests[r.Image.Digest], use)
	u.versions[r.Image.Version] = append(u.versions[r.Image.Version], use)
}
