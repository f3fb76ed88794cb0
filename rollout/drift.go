package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// ErrNoDrift is for a target that nobody but Slipway can change, or that cannot
// tell.
var ErrNoDrift = errors.New("it cannot tell what others have changed")

// The limits of looking and of repairing. Repairing starts replicas anew where
// their definition was changed; the target bounds that by their own limit.
const (
	driftLimit  = 2 * time.Minute
	repairLimit = 15 * time.Minute
)

// Drift says how a target differs from what the last release has left there. A
// target that is no deploy.Drifter is refused with ErrNoDrift, one at which a
// release is under way with a *deploy.Locked, and one with an unfinished rollout
// with a hint at settle: of neither is known how it should be.
func (e *Engine) Drift(ctx context.Context, t deploy.Target) ([]deploy.Difference, error) {
	s, d, err := drifter(t)
	if err != nil {
		return nil, err
	}
	before, err := e.atRest(ctx, s)
	if err != nil {
		return nil, err
	}
	found, err := e.differences(ctx, d, s)
	if err != nil || len(found) == 0 {
		return found, err
	}
	// What a release does meanwhile looks like drift.
	after, err := e.atRest(ctx, s)
	if err == nil && after.Record.Version != before.Record.Version {
		err = deploy.Hinted(fmt.Errorf("a release was under way at %s", t), "look again")
	}
	if err != nil {
		return nil, err
	}
	return found, nil
}

// Repair undoes what Drift finds, while no other run can change the target. It
// says what it has undone. What is different after that is an error: somebody
// fights for it.
func (e *Engine) Repair(ctx context.Context, t deploy.Target, o deploy.Owner, secret func(name string) string) ([]deploy.Difference, error) {
	s, d, err := drifter(t)
	if err != nil {
		return nil, err
	}
	h, err := e.hold(ctx, s, o)
	if err != nil {
		return nil, err
	}
	defer h.release()
	state, err := e.ownState(h.ctx, s, o)
	if err != nil {
		return nil, err
	}
	if err := finished(state, t); err != nil {
		return nil, err
	}
	var undone []deploy.Difference
	err = within(h.ctx, repairLimit, "repair "+s.String(), func(ctx context.Context) (err error) {
		undone, err = d.Repair(ctx, secret)
		return err
	})
	if err != nil || len(undone) == 0 {
		return undone, err
	}
	left, err := e.differences(h.ctx, d, s)
	if err == nil && len(left) > 0 {
		err = deploy.Hinted(fmt.Errorf("after the repair it differs again: %s", left[0]),
			"somebody else writes it: see who with kubectl get -o yaml --show-managed-fields")
	}
	return undone, err
}

func drifter(t deploy.Target) (site, deploy.Drifter, error) {
	d, is := t.(deploy.Drifter)
	if !is {
		return nil, nil, fmt.Errorf("%s: %w", t, ErrNoDrift)
	}
	s, err := siteOf(t)
	return s, d, err
}

func (e *Engine) differences(ctx context.Context, d deploy.Drifter, s site) ([]deploy.Difference, error) {
	var found []deploy.Difference
	err := within(ctx, driftLimit, "compare "+s.String(), func(ctx context.Context) (err error) {
		found, err = d.Drift(ctx)
		return err
	})
	return found, err
}

// atRest reads a state in which nobody is at work.
func (e *Engine) atRest(ctx context.Context, s site) (deploy.State, error) {
	state, err := e.state(ctx, s)
	if err != nil {
		return state, err
	}
	if l := state.Lock; l != nil {
		return state, deploy.Hinted(fmt.Errorf("a release is under way: %w", &deploy.Locked{Environment: s.String(), Lock: *l}),
			"look again when that run has ended")
	}
	return state, finished(state, s)
}

// finished refuses a target at which a run has left a rollout in the middle.
func finished(state deploy.State, t fmt.Stringer) error {
	r := state.Record
	if !r.Unfinished() || r.Held() || r.Baking() {
		return nil
	}
	return deploy.Hinted(fmt.Errorf("a rollout was left in phase %q at %s, so that it is not known how it should be", r.Phase, t),
		"finish it first: slipway settle")
}
