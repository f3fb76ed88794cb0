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
	h, err := e.hold(ctx, s, o)
	if err != nil {
		return failed(err)
	}
	defer h.release()
	state, err := e.state(h.ctx, s)
	if err != nil {
		return Result{Outcome: deploy.Unknown, Reason: reason(err), Err: err}
	}
	if !state.Record.Unfinished() {
		live := liveIn(state)
		return Result{Outcome: deploy.Unchanged, Reason: "nothing is unfinished", URL: state.URL, Live: live, Previous: live}
	}
	if err := e.Own(state, o); err != nil {
		return e.leftAlone(h.ctx, state, err)
	}
	if watched(state) {
		e.tell(ctx, deploy.Event{Kind: deploy.Notice, Environment: state.Record.Candidate.Environment, Message: Watched(state.Record)})
		return Result{Outcome: deploy.Unchanged, Reason: Watched(state.Record), URL: state.URL, Live: liveIn(state), Previous: state.Record.Previous}
	}
	if state.Record.Held() {
		e.tell(ctx, deploy.Event{Kind: deploy.Notice, Environment: state.Record.Candidate.Environment, Message: Held(state.Record) + "; " + Decide(state.Record.Candidate.Environment)})
		return Result{Outcome: deploy.Unchanged, Reason: Held(state.Record), URL: state.URL, Live: liveIn(state), Previous: state.Record.Previous}
	}
	r := e.finish(h.ctx, s, o, state)
	r.Environment = state.Record.Candidate.Environment
	r.Plan = NewPlan(state.Record.Strategy, state.Record.Previous, state.Record.Candidate)
	e.ended(ctx, r)
	return r
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
