package steps

import (
	"context"
	"errors"
	"fmt"

	"github.com/slipway-ci/slipway/deploy"
)

// ownTargets refuses environments that another repository has released to under the
// same name, before anything is built for them. A run outside of GitHub has nothing
// to compare, and asks nobody. A dry run tells, and leaves what cannot be read to its
// plan.
func (w *Work) ownTargets(ctx context.Context) error {
	if !w.Owner.Origin.Known() {
		return nil
	}
	var refused error
	for _, env := range w.Environments {
		state, err := w.Targets[env.Name].State(ctx)
		if err != nil {
			if w.DryRun {
				continue
			}
			return fmt.Errorf("read who has released to %s: %w", env.Name, err)
		}
		err = w.Engine.Own(state, w.Owner)
		if err != nil && w.DryRun {
			w.refuse(ctx, env.Name, "a release would be refused", err)
			continue
		}
		refused = also(refused, err)
	}
	return refused
}

// foreign reports whether an error says that an environment is another repository's.
func foreign(err error) bool {
	_, is := errors.AsType[*deploy.Foreign](err)
	return is
}
