package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// leave ends the run whose candidate has all users, and leaves it to scheduled
// runs to watch on: what they need for it is in the journal. The old version
// stays up. What cannot be written down must not be left alone: it goes back.
func (r *rollout) leave(ctx context.Context, n int, s deploy.Stage) Result {
	r.endBaseline(ctx)
	if err := r.verify(ctx); err != nil {
		return r.back(ctx, err)
	}
	state, err := r.state(ctx, r.target)
	if err != nil {
		return r.back(ctx, err)
	}
	if ctx.Err() != nil {
		return r.back(ctx, fmt.Errorf("interrupted: %w", context.Cause(ctx)))
	}
	own, cancel := r.ownTime(ctx)
	defer cancel()
	begun := r.bakeOf(state, s.Hold)
	err = r.ledger.write(own, func(rec *deploy.Record) {
		rec.Phase, rec.Stage, rec.Share, rec.Passed, rec.Bake = deploy.PhaseBaking, n, s.Share, n-1, begun
	})
	if err != nil {
		return r.back(ctx, err)
	}
	return Result{
		Outcome: deploy.Promoted, Reason: Watched(r.ledger.record), Until: begun.Until,
		Previous: r.plan.Live, Live: r.plan.Candidate, URL: r.url,
	}
}

// bakeOf is what both versions have counted when the watch begins.
func (r *rollout) bakeOf(s deploy.State, lasts time.Duration) deploy.Bake {
	now, running := traffic(s, r.plan.Candidate), r.running(s)
	at := time.Now().UTC()
	return deploy.Bake{
		Since: at, Until: at.Add(lasts), History: counts(r.court.past(traffic(s, r.plan.Live))), Past: r.court.recorded(),
		Before: counts(now), Seen: counts(now), Restarts: running.Restarts(),
	}
}

func (r *rollout) running(s deploy.State) deploy.Running {
	running, _ := s.Find(r.plan.Candidate.ID)
	return running
}

// counts are traffic without its latency, which a journal need not keep: there
// is nothing beside the candidate to hold it against.
func counts(t deploy.Traffic) deploy.Traffic {
	return deploy.Traffic{Requests: t.Requests, Errors: t.Errors, Lost: t.Lost}
}

// watched reports whether scheduled runs look at what is there. Where the
// candidate has lost its users meanwhile, somebody had begun to go back.
func watched(s deploy.State) bool {
	return s.Record.Baking() && s.Live != nil && s.Live.ID == s.Record.Candidate.ID
}

// Watched says that a version has all users and is watched on, until when and by
// what.
func Watched(r deploy.Record) string {
	return fmt.Sprintf("%s is live, and watched until %s by the scheduled slipway reap", r.Candidate, r.Bake.Until.UTC().Format(time.RFC3339))
}

// EndBake says what a person can do about it.
func EndBake(environment string) string {
	return fmt.Sprintf("end it now with: slipway resume --environment %s; or go back with: slipway abort --environment %s", environment, environment)
}

// Bake looks at a version that was left to be watched. It goes back if
// something speaks against the version, ends the watch when its time is over,
// and otherwise leaves it, with what it has seen, for the next look. Then, and
// where nothing is watched, it answers Unchanged; an interruption, and a target
// that cannot be seen, are Failed and change nothing. Of the deployment it takes
// Target, Owner and the name of the environment.
func (e *Engine) Bake(ctx context.Context, d Deployment) Result {
	began := time.Now()
	r := e.bake(ctx, d)
	r.Took, r.Environment = time.Since(began), d.Candidate.Environment
	switch r.Outcome {
	case deploy.Unchanged, deploy.Failed:
	default:
		e.ended(ctx, r)
	}
	return r
}

func (e *Engine) bake(ctx context.Context, d Deployment) Result {
	state, err := e.look(ctx, d.Target)
	switch {
	case err != nil:
		return failed(err)
	case !state.Record.Baking():
		return Result{Outcome: deploy.Unchanged, Reason: "nothing is watched", URL: state.URL, Live: liveIn(state)}
	}
	if err := e.Own(state, d.Owner); err != nil {
		return e.leftAlone(ctx, state, err)
	}
	s, err := siteOf(d.Target)
	if err != nil {
		return failed(err)
	}
	h, err := e.hold(ctx, s, d.Owner)
	if err != nil {
		return failed(err)
	}
	defer h.release()
	if state, err = e.ownState(h.ctx, s, d.Owner); err != nil {
		return failed(err)
	}
	r := e.takeUp(s, d.Owner, state)
	result := r.scheduled(h.ctx, state)
	result.Plan = r.plan
	return result
}

// scheduled is the look of a scheduled run, now that it holds the environment.
func (r *rollout) scheduled(ctx context.Context, state deploy.State) Result {
	switch {
	case watched(state):
		return r.watchOn(ctx, state, (*watch).due)
	case state.Record.Baking():
		return r.back(ctx, ErrLeft)
	}
	return Result{Outcome: deploy.Unchanged, Reason: "nothing is watched any more", URL: state.URL, Live: liveIn(state)}
}

// due decides once the time is over.
func (w *watch) due(ctx context.Context) (over bool, err error) {
	if time.Now().Before(w.ledger.record.Bake.Until) {
		return false, nil
	}
	return w.conclude(ctx)
}

// atOnce decides for a run that brings in the next version: what is not
// known goes by on-unknown.
func (w *watch) atOnce(ctx context.Context) (over bool, err error) {
	if w.may() {
		return true, nil
	}
	return true, w.unknown(ctx)
}

// asAsked lets a person's word count: what is not certain is let pass.
func (*watch) asAsked(context.Context) (over bool, err error) { return true, nil }

// watchOn judges what has come in since the last look. If nothing speaks against
// the candidate, over says whether the watch ends.
func (r *rollout) watchOn(ctx context.Context, state deploy.State, over func(*watch, context.Context) (bool, error)) Result {
	w := r.rejoin(ctx, state)
	r.tell(ctx, deploy.Event{
		Kind: deploy.StageStarted, Environment: r.plan.Environment, Stage: w.n, Share: w.stage.Share, Message: Describe(w.stage),
	})
	err := w.steady(ctx)
	if err == nil && w.deaf {
		w.deaf = false
		err = w.steady(ctx)
	}
	if ctx.Err() != nil || !w.blind.IsZero() {
		return failed(fmt.Errorf("%s is watched on: %w", r.plan.Candidate, err))
	}
	done := false
	if err == nil {
		w.report(ctx, true)
		done, err = over(w, ctx)
	}
	if u, ok := errors.AsType[*undecided](err); ok {
		return r.rest(ctx, w.n, u.Error())
	}
	switch {
	case err != nil:
		return r.back(ctx, err)
	case !done:
		return r.note(ctx, w)
	}
	r.tell(ctx, deploy.Event{
		Kind: deploy.StagePassed, Environment: r.plan.Environment, Stage: w.n, Share: w.stage.Share, Message: "the time of being watched is over",
	})
	// A run that is cancelled now must not take back what has passed.
	own, cancel := r.ownTime(ctx)
	defer cancel()
	return r.promote(own, ctx)
}

// rejoin takes the watch up where the journal says it was: with a judge that
// has seen what every look has.
func (r *rollout) rejoin(ctx context.Context, state deploy.State) *watch {
	bake, now := r.ledger.record.Bake, r.readingsOf(state)
	r.court = r.Engine.court(r.plan, bake.History)
	r.court.met = bake.Since
	r.judged = readings{live: now.live, candidate: bake.Seen}
	n := r.ledger.record.Stage
	restarts := min(bake.Restarts, r.running(state).Restarts())
	r.court.remind(bake.Past)
	moments := r.recall(ctx, bake.Since)
	for _, l := range bake.Looks {
		moments = r.relive(moments, bake.Since, l.After)
		r.court.recall(analysis.Sample{
			At: l.After, Elapsed: l.After, Part: r.court.part, Share: 100, Candidate: deploy.Traffic{Requests: l.Requests, Errors: l.Errors},
		})
	}
	r.relive(moments, bake.Since, time.Since(bake.Since))
	return &watch{
		rollout: r, stage: r.plan.Stages[n-1], n: n, began: bake.Since, crew: crew{restarts: &restarts},
		before: readings{live: now.live, candidate: bake.Before},
		deaf:   r.begunAnew(state),
		// Since when they are unready nobody knows: the machine may just have
		// been started again.
		grace: r.plan.Candidate.Config.StartTimeout + unreadyGrace,
	}
}

// relive hands the judges what was measured up to so long after the watch began,
// and returns what came later.
func (r *rollout) relive(moments []Moment, since time.Time, until time.Duration) []Moment {
	for len(moments) > 0 && moments[0].At.Sub(since) <= until {
		m, after := moments[0], max(moments[0].At.Sub(since), 0)
		r.court.measurement.seen(m.Others, m.Gauges)
		r.court.recall(analysis.Sample{
			At: after, Elapsed: after, Part: analysis.PartMetrics, Share: 100, Others: m.Others, Gauges: m.Gauges,
		})
		moments = moments[1:]
	}
	return moments
}

// begunAnew reports whether every replica of the candidate was started since the
// last look, and none of them because it had died: by a machine that was started
// again, or that replicas had to leave. What users got until they were ready, and
// from what was there before, says nothing of the version.
func (r *rollout) begunAnew(state deploy.State) bool {
	running, last := r.running(state), r.ledger.record
	if running.Restarts() > last.Bake.Restarts {
		return false
	}
	for _, replica := range running.Replicas {
		if !replica.Since.After(last.At) {
			return false
		}
	}
	return true
}

// steady looks until every replica is ready, or something is wrong.
func (w *watch) steady(ctx context.Context) error {
	for {
		if err := w.look(ctx); err != nil {
			return err
		}
		if w.calm() {
			return nil
		}
		if err := pause(ctx, w.poll()); err != nil {
			return err
		}
	}
}

// note leaves the watch for the next look, with what this one has seen.
func (r *rollout) note(ctx context.Context, w *watch) Result {
	err := r.ledger.write(ctx, func(rec *deploy.Record) {
		b := &rec.Bake
		b.Add(deploy.Look{After: time.Since(b.Since), Requests: w.heard.Requests, Errors: w.heard.Errors})
		b.Before, b.Seen, b.Restarts = counts(w.before.candidate), counts(w.judged.candidate), *w.crew.restarts
	})
	if err != nil {
		return failed(fmt.Errorf("%s is watched on: %w", r.plan.Candidate, err))
	}
	why := Watched(r.ledger.record) + ": " + w.verdict.Why
	r.tell(ctx, deploy.Event{Kind: deploy.Notice, Environment: r.plan.Environment, Message: why})
	return Result{
		Outcome: deploy.Unchanged, Reason: why, Until: r.ledger.record.Watched(),
		Previous: r.plan.Live, Live: r.plan.Candidate, URL: r.url,
	}
}

// endBake ends the watch over what is live before the next version comes: it
// stays unless something speaks against it.
func (e *Engine) endBake(ctx context.Context, s site, o deploy.Owner, state deploy.State) (deploy.State, error) {
	r := e.takeUp(s, o, state)
	r.tell(ctx, deploy.Event{Kind: deploy.Notice, Environment: r.plan.Environment, Message: Watched(state.Record) + "; this run ends that first"})
	result := r.watchOn(ctx, state, (*watch).atOnce)
	switch result.Outcome {
	case deploy.Promoted, deploy.Held:
		return e.state(ctx, s)
	case deploy.Reverted:
		r.tell(ctx, deploy.Event{
			Kind: deploy.Warning, Environment: r.plan.Environment,
			Message: fmt.Sprintf("%s was taken back before the next version came: %s", r.plan.Candidate, result.Reason),
		})
		return e.state(ctx, s)
	}
	return state, fmt.Errorf("end the watch over %s: %w", r.plan.Candidate, result.Err)
}

// returned takes a version that is watched back where the one before is asked
// for again: that one still runs.
func (e *Engine) returned(ctx context.Context, s site, d Deployment, state deploy.State) (Result, bool) {
	if !watched(state) || state.Record.Previous.ID != d.Candidate.ID {
		return Result{}, false
	}
	left := state.Record.Candidate
	result := e.takeUp(s, d.Owner, state).back(ctx, fmt.Errorf("%s was asked for by %s", d.Candidate, who(d.Owner)))
	if result.Outcome == deploy.Unknown {
		return result, true
	}
	return Result{
		Outcome: deploy.Promoted, Reason: fmt.Sprintf("%s is live again: %s, which was being watched, was taken back", d.Candidate, left),
		Previous: left, Live: d.Candidate, URL: state.URL,
		Plan: deploy.Plan{Environment: d.Candidate.Environment, Strategy: d.Strategy, Live: left, Candidate: d.Candidate},
	}, true
}
