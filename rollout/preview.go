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
	return NewPlan(d.Strategy, liveIn(state), d.Candidate), state, nil
}
