package steps

import (
	"context"
	"fmt"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout"
)

// Resume goes on with the rollout that is held in an environment. Where that is
// the last one, its version is released then.
func Resume(r Request) Pipeline {
	return append(steer("resume", r, inspectTargets, (*rollout.Engine).Resume, deploy.Promoted), tags(r)...)
}

// Pause holds the rollout that is under way, and Abort takes it back, also one
// that is held. Neither needs the forge's permit: to stop is always allowed.
func Pause(r Request) Pipeline {
	return steer("pause", r, openTargets, (*rollout.Engine).Pause, deploy.Held)
}

// Abort takes back the rollout that is under way or held.
func Abort(r Request) Pipeline {
	return steer("abort", r, openTargets, (*rollout.Engine).Abort, deploy.Reverted, deploy.Failed)
}

// steer does something about a rollout that another run began. It is done when
// the outcome is one of those that were asked for.
func steer(what string, r Request, look func(context.Context, *Work) error, do func(*rollout.Engine, context.Context, rollout.Deployment) rollout.Result, asked ...deploy.Outcome) Pipeline {
	env := r.Environments[0]
	return Pipeline{
		{Name: "look at the environments", Run: look},
		{Name: what + " the rollout in " + env.Name, Run: func(ctx context.Context, w *Work) error { return w.steer(ctx, env, do, asked) }},
	}
}

func (w *Work) steer(ctx context.Context, env deploy.Environment, do func(*rollout.Engine, context.Context, rollout.Deployment) rollout.Result, asked []deploy.Outcome) error {
	d := rollout.Deployment{Target: w.Targets[env.Name], Candidate: deploy.Revision{Environment: env.Name}, Checks: env.Checks, Owner: w.Owner, Operation: w.Run.Operation}
	if w.DryRun {
		return deploy.Usage("plan shows what a release would do", "%s has no dry run", w.Run.Operation)
	}
	result := do(w.Engine, ctx, d)
	result.Environment = env.Name
	if candidate := result.Plan.Candidate; !candidate.IsZero() {
		w.Version, w.Image = candidate.Image.Version, candidate.Image
	}
	w.Results = append(w.Results, result)
	for _, o := range asked {
		if result.Outcome == o && (result.Err == nil || o != deploy.Promoted) && !result.Plan.Candidate.IsZero() {
			return nil
		}
	}
	if result.Err == nil {
		result.Err = fmt.Errorf("%s: %s", result.Outcome, result.Reason)
	}
	return &stopped{result}
}
