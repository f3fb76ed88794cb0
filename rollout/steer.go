package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// paused is why a rollout rests.
type paused struct{ by deploy.Signal }

// Error says who paused it and why.
func (p *paused) Error() string { return "paused by " + who(p.by.From) }

// ErrAborted is why a rollout is taken back that a person did not want.
var ErrAborted = errors.New("aborted")

// who names a person, or else a run, with the reason it gave.
func who(o deploy.Owner) string {
	name := o.Who
	if name == "" {
		name = o.Run
	}
	if o.Reason != "" {
		name += " (" + o.Reason + ")"
	}
	return name
}

// heed obeys a signal that is meant for this rollout.
func (w *watch) heed(s *deploy.Signal) error {
	record := w.ledger.record
	if s == nil || s.Run != record.Owner.Run || s.At.Before(record.Started) {
		return nil
	}
	if s.Kind == deploy.SignalAbort {
		return fmt.Errorf("%w by %s", ErrAborted, who(s.From))
	}
	return &paused{by: *s}
}

// rest leaves the rollout as it stands, until a person says resume or abort.
// What cannot be written down must not be left alone: it goes back.
func (r *rollout) rest(ctx context.Context, passed int, why string) Result {
	own, cancel := r.ownTime(ctx)
	defer cancel()
	err := r.ledger.write(own, func(rec *deploy.Record) {
		rec.Phase, rec.Passed, rec.Reason = deploy.PhaseHeld, passed, why
	})
	if err != nil {
		return r.back(ctx, err)
	}
	return Result{
		Outcome: deploy.Held, Reason: Held(r.ledger.record), Hint: Decide(r.plan.Environment),
		Previous: r.plan.Live, Live: r.plan.Live, URL: r.url, Err: errors.New(why),
	}
}

// Held says that a rollout waits, for what and since when.
func Held(r deploy.Record) string {
	return fmt.Sprintf("%s is held with %s of the users since %s: %s", r.Candidate, r.Share, r.At.UTC().Format(time.RFC3339), r.Reason)
}

// Decide says what a person can do about it.
func Decide(environment string) string {
	return fmt.Sprintf("go on with: slipway resume --environment %s; or go back with: slipway abort --environment %s", environment, environment)
}

// Resume goes on with a rollout that is held, from the stage after those that
// have passed, and ends now what is watched by scheduled runs. Of the deployment
// it takes Target, Checks, Owner and the name of the environment; the rest is in
// the journal.
func (e *Engine) Resume(ctx context.Context, d Deployment) Result {
	return e.takeOver(ctx, d, func(ctx context.Context, r *rollout, state deploy.State) Result {
		record := state.Record
		if watched(state) {
			return r.watchOn(ctx, state, (*watch).asAsked)
		}
		r.checks, r.judged = d.Checks, r.readingsOf(state)
		r.court = e.court(r.plan, traffic(state, r.plan.Live))
		stop, err := r.measure(ctx)
		if err != nil {
			return failed(err)
		}
		defer stop()
		r.tell(ctx, deploy.Event{
			Kind: deploy.RolloutStarted, Environment: r.plan.Environment, Plan: &r.plan, URL: r.url,
			Message: fmt.Sprintf("%s goes on after %d of %d stages", r.plan.Candidate, record.Passed, record.Stages),
		})
		return r.walk(ctx, record.Passed)
	})
}

// takeOver takes the environment and does something about the rollout that is
// held or watched there.
func (e *Engine) takeOver(ctx context.Context, d Deployment, do func(context.Context, *rollout, deploy.State) Result) Result {
	began := time.Now()
	r := e.takeHeld(ctx, d, do)
	r.Took, r.Environment = time.Since(began), d.Candidate.Environment
	if r.Plan.Environment != "" {
		r.Environment = r.Plan.Environment
	}
	e.ended(ctx, r)
	return r
}

func (e *Engine) takeHeld(ctx context.Context, d Deployment, do func(context.Context, *rollout, deploy.State) Result) Result {
	s, err := siteOf(d.Target)
	if err != nil {
		return failed(err)
	}
	h, err := e.hold(ctx, s, d.Owner)
	if err != nil {
		return failed(err)
	}
	defer h.release()
	state, err := e.ownState(h.ctx, s, d.Owner)
	if err != nil {
		return failed(err)
	}
	if !state.Record.Held() && !state.Record.Baking() {
		return failed(deploy.Hinted(fmt.Errorf("nothing is held at %s", s), "slipway status shows what is there"))
	}
	r := e.takeUp(s, d.Owner, state)
	result := do(h.ctx, r, state)
	result.Plan = r.plan
	return result
}

// Abort takes back the rollout that is under way, held or watched by scheduled
// runs: by itself where no run is at work, else by asking that one. Owner.Reason
// is passed on.
func (e *Engine) Abort(ctx context.Context, d Deployment) Result {
	state, err := e.look(ctx, d.Target)
	if err != nil {
		return failed(err)
	}
	if state.Record.Held() || state.Record.Baking() {
		return e.takeOver(ctx, d, func(ctx context.Context, r *rollout, _ deploy.State) Result {
			result := r.back(ctx, fmt.Errorf("%w by %s", ErrAborted, who(d.Owner)))
			result.Asked = result.Outcome != deploy.Unknown
			return result
		})
	}
	return e.signal(ctx, d, state, deploy.SignalAbort)
}

// Pause asks the run that is at work to hold its rollout where it is. The run
// ends, and Resume or Abort goes on in its place.
func (e *Engine) Pause(ctx context.Context, d Deployment) Result {
	state, err := e.look(ctx, d.Target)
	if err != nil {
		return failed(err)
	}
	if state.Record.Held() {
		return Result{
			Environment: state.Record.Candidate.Environment, Outcome: deploy.Held, Reason: Held(state.Record),
			Hint: Decide(state.Record.Candidate.Environment), Previous: state.Record.Previous, URL: state.URL,
		}
	}
	return e.signal(ctx, d, state, deploy.SignalPause)
}

func (e *Engine) look(ctx context.Context, t deploy.Target) (deploy.State, error) {
	s, err := siteOf(t)
	if err != nil {
		return deploy.State{}, err
	}
	return e.state(ctx, s)
}

// signalLimit bounds the wait until the other run has heeded a signal: it may
// be starting replicas.
const signalLimit = 3 * time.Minute

// signal asks the run at work and waits for what it makes of it.
func (e *Engine) signal(ctx context.Context, d Deployment, state deploy.State, kind deploy.SignalKind) Result {
	began, record := time.Now(), state.Record
	if err := e.Own(state, d.Owner); err != nil {
		return failed(err)
	}
	if !record.Unfinished() || state.Lock == nil {
		return failed(deploy.Hinted(fmt.Errorf("no rollout is under way at %s: there is nothing to %s", d.Target, kind), "slipway status shows what is there"))
	}
	to, ok := d.Target.(deploy.Signaller)
	if !ok {
		return failed(deploy.Hinted(fmt.Errorf("%s cannot pass a word to the run that is at work", d.Target), "cancel that run instead: it takes everything back"))
	}
	err := within(ctx, readLimit, "signal "+d.Target.String(), func(ctx context.Context) error {
		return to.Signal(ctx, deploy.Signal{Kind: kind, Run: record.Owner.Run, From: d.Owner, At: time.Now()})
	})
	if err != nil {
		return failed(err)
	}
	r := e.await(ctx, d.Target, record)
	r.Environment, r.Took = record.Candidate.Environment, time.Since(began)
	r.Plan = NewPlan(record.Strategy, record.Previous, record.Candidate)
	return r
}

// await waits until the other run has come to rest, and tells how.
func (e *Engine) await(ctx context.Context, t deploy.Target, before deploy.Record) Result {
	ctx, cancel := context.WithTimeout(ctx, signalLimit)
	defer cancel()
	for {
		state, err := e.look(ctx, t)
		if err != nil {
			return failed(err)
		}
		record := state.Record
		switch {
		case record.Held():
			return Result{Outcome: deploy.Held, Reason: Held(record), Hint: Decide(record.Candidate.Environment), Previous: record.Previous, URL: state.URL}
		case !record.Unfinished() || !record.Started.Equal(before.Started):
			return Result{Outcome: record.Outcome, Reason: record.Reason, Previous: record.Previous, Live: liveIn(state), URL: state.URL}
		}
		if err := pause(ctx, e.poll()); err != nil {
			return failed(fmt.Errorf("%s has not heeded it: %w", before.Owner.Run, err))
		}
	}
}
