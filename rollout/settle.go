package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// Settle finishes what a killed or cancelled run has left at a target: forward
// if its last stage had passed, otherwise back. Where nothing is unfinished it
// answers Unchanged, and leaves alone what is held or watched by scheduled runs.
// While another run holds the target it is refused with a *deploy.Locked in Err.
func (e *Engine) Settle(ctx context.Context, t deploy.Target, o deploy.Owner) Result {
	began := time.Now()
	r := e.settle(ctx, t, o)
	r.Took = time.Since(began)
	return r
}

func (e *Engine) settle(ctx context.Context, t deploy.Target, o deploy.Owner) Result {
	s, err := siteOf(t)
	if err != nil {
		return failed(err)
	}
	// A hold is a write, and makes a place that there may not be yet: where nothing
	// is unfinished and nobody is at work, none is taken.
	if state, err := e.state(ctx, s); err == nil && state.Lock == nil {
		if r, rests := e.rests(ctx, state, o); rests {
			return r
		}
	}
	h, err := e.hold(ctx, s, o)
	if err != nil {
		return failed(err)
	}
	defer h.release()
	state, err := e.state(h.ctx, s)
	if err != nil {
		return Result{Outcome: deploy.Unknown, Reason: reason(err), Err: err}
	}
	if r, rests := e.rests(ctx, state, o); rests {
		return r
	}
	r := e.finish(h.ctx, s, o, state)
	r.Environment = state.Record.Candidate.Environment
	r.Plan = NewPlan(state.Record.Strategy, state.Record.Previous, state.Record.Candidate)
	e.ended(ctx, r)
	return r
}

// rests reports whether nobody has left anything to be finished, and the result of
// a settle then. What is held or watched on is told.
func (e *Engine) rests(ctx context.Context, state deploy.State, o deploy.Owner) (Result, bool) {
	record := state.Record
	r := Result{Outcome: deploy.Unchanged, URL: state.URL, Live: liveIn(state), Previous: record.Previous}
	if !record.Unfinished() {
		r.Reason, r.Previous = "nothing is unfinished", r.Live
		return r, true
	}
	if err := e.Own(state, o); err != nil {
		return e.leftAlone(ctx, state, err), true
	}
	told := ""
	switch {
	case watched(state):
		r.Reason, told = Watched(record), Watched(record)
	case record.Held():
		r.Reason, told = Held(record), Held(record)+"; "+Decide(record.Candidate.Environment)
	default:
		return Result{}, false
	}
	e.tell(ctx, deploy.Event{Kind: deploy.Notice, Environment: record.Candidate.Environment, Message: told})
	return r, true
}

// ErrLeft is why a rollout is taken back whose process is gone.
var ErrLeft = errors.New("its run ended before the rollout was over")

// finish takes up an unfinished rollout where its journal says it was.
func (e *Engine) finish(ctx context.Context, s site, o deploy.Owner, state deploy.State) Result {
	record, r := state.Record, e.takeUp(s, o, state)
	plan := r.plan
	r.tell(ctx, deploy.Event{
		Kind: deploy.Notice, Environment: plan.Environment, URL: state.URL,
		Message: fmt.Sprintf("%s of %s was left unfinished (%s, stage %d of %d) by %s: settling it",
			record.Operation, record.Candidate, record.Phase, record.Stage, record.Stages, record.Owner.Run),
	})
	if record.Phase != deploy.PhasePromoting {
		return r.back(ctx, ErrLeft)
	}
	own, cancel := r.ownTime(ctx)
	defer cancel()
	if err := insist(own, func() error { return r.swap(own, plan.Candidate) }); err != nil {
		return r.stuck(own, ErrLeft, err)
	}
	return r.complete(own, ctx)
}

// takeUp is a rollout that another process began, as its journal tells it.
func (e *Engine) takeUp(s site, o deploy.Owner, state deploy.State) *rollout {
	record := state.Record
	r := &rollout{
		Engine: e, target: s, url: state.URL, plan: NewPlan(record.Strategy, record.Previous, record.Candidate),
		ledger: ledger{journal: s, record: record},
	}
	r.plan.Tasks = record.Tasks
	r.ledger.record.Owner = o
	return r
}
