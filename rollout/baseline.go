package rollout

import (
	"context"
	"fmt"

	"github.com/slipway-ci/slipway/deploy"
)

// startBaseline runs the old version once more. What cannot be compared with is
// no reason to go on without: the candidate would be judged by something else
// than was planned.
func (r *rollout) startBaseline(ctx context.Context) error {
	b := r.plan.Baseline
	beside := r.target.(deploy.Baseliner) // Supports has seen to it
	err := within(ctx, b.Config.StartTimeout+slack, fmt.Sprintf("start the baseline %s at %s", b, r.target),
		func(ctx context.Context) error { return beside.StartBaseline(ctx, b) })
	if err == nil {
		return nil
	}
	return deploy.Hinted(fmt.Errorf("the baseline could not be started: %w", err),
		"the version that is live does not start any more; baseline: live does without a second one of it")
}

// stopBaseline drains and removes the baseline, if there is one.
func (r *rollout) stopBaseline(ctx context.Context) error {
	if r.plan.Baseline.IsZero() {
		return nil
	}
	return r.stop(ctx, r.target, r.plan.Baseline)
}

// endBaseline removes it before a candidate is left to scheduled runs, so that it
// takes up no room for hours. Whoever ends the rollout tries again.
func (r *rollout) endBaseline(ctx context.Context) {
	if err := r.stopBaseline(ctx); err != nil && ctx.Err() == nil {
		r.tell(ctx, deploy.Event{
			Kind: deploy.Warning, Environment: r.plan.Environment,
			Message: fmt.Sprintf("the baseline could not be removed and runs on without users: %v", err),
			Hint:    "it is tried again at the end of the rollout",
		})
	}
}

// unfair is why nothing can be compared with the baseline any more.
type unfair struct{ err error }

// Error says what is wrong with the baseline.
func (u *unfair) Error() string {
	return "the candidate cannot be compared any more: in the baseline, " + u.err.Error()
}

// Unwrap gives the cause.
func (u *unfair) Unwrap() error { return u.err }

// baseline fails when the baseline's replicas die or stay unready. Its users
// would be worse off than anybody, and a candidate next to it would look good.
func (w *watch) baseline(state deploy.State) error {
	if w.stage.Baseline == 0 && w.stage.Act != deploy.ActBaseline {
		return nil
	}
	b := w.plan.Baseline
	running, _ := state.Find(b.ID)
	if err := w.other.muster(b, running, b.Config.Replicas, unreadyGrace); err != nil {
		return deploy.Hinted(&unfair{err}, "the version that is live does not hold in fresh replicas; baseline: live does without them")
	}
	return nil
}
