package kubernetes

import (
	"context"
	"errors"
	"fmt"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// StartBaseline runs the live revision once more: as a Deployment with a Service
// of its own, to which the route gives a weight.
func (t *Target) StartBaseline(ctx context.Context, baseline deploy.Revision) error {
	return t.ended(ctx, t.startBaseline(ctx, baseline), "start the baseline %s at %s", baseline, t)
}

func (t *Target) startBaseline(ctx context.Context, b deploy.Revision) error {
	begin := func(f objects.Traffic) (objects.Traffic, error) {
		switch {
		case f.Live == "":
			return f, errors.New("nothing is live, so there is nothing to be a baseline")
		case !b.IsBaselineOf(deploy.Revision{ID: f.Live}):
			return f, fmt.Errorf("%s is live, and this is no baseline of it", f.Live)
		}
		return f.BeginBaseline(b.ID), nil
	}
	// It is refused before anything is made for it.
	traffic, err := t.front.read(ctx)
	if err == nil {
		_, err = begin(traffic)
	}
	if err != nil {
		return err
	}
	return t.start(ctx, b, b.Config.Replicas, begin)
}

// SplitBeside gives candidate and baseline their shares of the users in one write.
func (t *Target) SplitBeside(ctx context.Context, candidate deploy.Revision, share, baseline deploy.Percent) error {
	err := t.split(ctx, candidate, share, baseline)
	return t.ended(ctx, err, "give %s of the users of %s to %s and %s to its baseline", share, t, candidate, baseline)
}

// hair is by how much shares may miss each other: thirds do not add up.
const hair = 1e-9

// shares refuses what cannot be shares of the same users. NaN is none.
func shares(candidate, baseline deploy.Percent) error {
	for _, p := range []deploy.Percent{candidate, baseline} {
		if !(p >= 0 && p <= 100) {
			return fmt.Errorf("%v is not between 0%% and 100%%", float64(p))
		}
	}
	if candidate+baseline > 100+hair {
		return fmt.Errorf("%s and %s are more than all users", candidate, baseline)
	}
	return nil
}
