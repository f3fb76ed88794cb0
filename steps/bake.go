package steps

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout"
)

// leavesBake reports whether versions are left to scheduled runs to be watched.
func leavesBake(env deploy.Environment) bool {
	return env.Strategy.BakeBy == deploy.BakeBySchedule
}

// watchOn looks at the versions that releases have left to be watched: each is
// taken back, is finished, or is left until the next time. What is wrong in one
// environment does not keep it from the others.
func watchOn(ctx context.Context, w *Work) error {
	var errs []error
	for _, env := range w.App.Environments {
		if !leavesBake(env) {
			continue
		}
		target, err := w.Target(ctx, w.App.Name, env)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", env.Name, err))
			continue
		}
		errs = append(errs, w.looked(ctx, w.Engine.Bake(ctx, rollout.Deployment{
			Target: target, Candidate: deploy.Revision{Environment: env.Name}, Owner: w.Owner, Operation: w.Run.Operation,
		})))
	}
	return errors.Join(errs...)
}

// looked keeps what came of a look. A run that is at work decides there instead.
func (w *Work) looked(ctx context.Context, r rollout.Result) error {
	if locked, ok := errors.AsType[*deploy.Locked](r.Err); ok {
		w.notice(ctx, "left to the run that is at work there: %v", locked)
		return nil
	}
	if r.Outcome == deploy.Unchanged {
		return nil
	}
	w.Results = append(w.Results, r)
	if r.Well() {
		return nil
	}
	return &stopped{r}
}

// watched says until when scheduled runs look at what the run has brought in;
// empty where none does.
func (w *Work) watched() string {
	until := w.Results[len(w.Results)-1].Until
	if until.IsZero() {
		return ""
	}
	return ", and watched until " + until.UTC().Format(time.RFC3339) + " by the scheduled slipway reap"
}
