package rollout

import (
	"context"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// Preview is the plan of a deployment as things stand now, and the state that
// it rests on. It changes nothing.
func Preview(ctx context.Context, d Deployment) (deploy.Plan, deploy.State, error) {
	ctx, cancel := context.WithTimeout(ctx, readLimit+time.Second)
	defer cancel()
	state, err := d.Target.State(ctx)
	if err != nil {
		return deploy.Plan{}, state, err
	}
	if d.Tasks, err = d.tasks(ctx, liveIn(state)); err != nil {
		return deploy.Plan{}, state, err
	}
	return d.plan(liveIn(state)), state, nil
}

// PlanFor is the plan of a deployment for what is live, by somebody's word.
func PlanFor(d Deployment, live deploy.Revision) deploy.Plan { return d.plan(live) }

// plan is the strategy's plan for what is live. Without checks, no stage claims
// to run any.
func (d Deployment) plan(live deploy.Revision) deploy.Plan {
	p := NewPlan(d.Strategy, live, d.Candidate)
	p.Tasks = d.Tasks
	for i := range p.Stages {
		p.Stages[i].Checks = p.Stages[i].Checks && len(d.Checks) > 0
	}
	return p
}
