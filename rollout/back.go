package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// back is the one way back. It has its own time, because it also goes on when
// the run is cancelled, and its order is: users first, then the rest.
func (r *rollout) back(ctx context.Context, cause error) Result {
	decided := time.Now()
	ctx, cancel := r.ownTime(ctx)
	defer cancel()
	if overtaken(cause) {
		return r.lost()
	}
	why := reason(cause)
	r.tell(ctx, deploy.Event{Kind: deploy.Reverting, Environment: r.plan.Environment, Message: why})
	// Elsewhere the journal comes before the act. Here users come first: what
	// the journal says already, an unfinished rollout, means the way back to
	// whoever reads it, and a journal that is slow to write, or cannot be, as
	// on a full disk, must not keep anybody on a bad version.
	if err := r.usersBack(ctx, decided); err != nil {
		return r.stuck(ctx, cause, err)
	}
	started := r.ledger.record.Phase != deploy.PhasePreparing
	if err := r.ledger.enter(ctx, deploy.PhaseReverting); overtaken(err) {
		return r.lost()
	}
	var evidence *deploy.Evidence
	if doomed, ok := errors.AsType[*deploy.Doomed](cause); ok {
		evidence = &doomed.Evidence
	} else if started {
		evidence = r.evidence(ctx, cause)
	}
	if err := r.clear(ctx); err != nil {
		return r.stuck(ctx, cause, err)
	}
	outcome := deploy.Failed
	if r.ledger.reached() {
		outcome = deploy.Reverted
	}
	r.close(ctx, outcome, why)
	return Result{
		Outcome: outcome, Reason: why, Evidence: evidence, Hint: hint(cause),
		Previous: r.plan.Live, Live: r.plan.Live, URL: r.url, Err: cause,
	}
}

// usersBack sends every user to the old version and tells how long it took.
func (r *rollout) usersBack(ctx context.Context, decided time.Time) error {
	if err := insist(ctx, func() error { return r.returnUsers(ctx) }); err != nil {
		return err
	}
	if r.ledger.reached() && !r.plan.Live.IsZero() {
		took := time.Since(decided)
		r.tell(ctx, deploy.Event{
			Kind: deploy.TrafficBack, Environment: r.plan.Environment, Took: took,
			Message: fmt.Sprintf("all users are back on %s, %s after the decision", r.plan.Live, took.Round(time.Millisecond)),
		})
	}
	return nil
}

// returnUsers decides by what the target says, not by what this process
// believes, so that it may be repeated, and be run by another process.
func (r *rollout) returnUsers(ctx context.Context) error {
	state, err := r.state(ctx, r.target)
	if err != nil {
		return err
	}
	if err := r.ledger.follow(state.Record); err != nil {
		return err
	}
	if r.plan.Live.IsZero() {
		return nil // there is no version to return to: clear removes the candidate
	}
	live, running := state.Live, replicas(state, r.plan.Live)
	switch {
	case r.plan.Strategy.Kind == deploy.Recreate && r.ledger.reached(), running == 0:
		return r.restart(ctx)
	case live == nil || live.ID != r.plan.Live.ID:
		return r.swap(ctx, r.plan.Live)
	case state.Share == 0 && state.BaselineShare == 0:
		return nil
	case r.plan.Strategy.Kind == deploy.Rolling:
		b := deploy.Batch{Candidate: replicas(state, r.plan.Candidate), Serving: 0, Live: running, Total: running}
		return r.roll(ctx, b)
	}
	return r.split(ctx, 0, 0)
}

func replicas(s deploy.State, r deploy.Revision) int {
	running, _ := s.Find(r.ID)
	return len(running.Replicas)
}

// restart is the way back of recreate, whose two versions cannot run together,
// and wherever the old version does not run any more.
func (r *rollout) restart(ctx context.Context) error {
	if err := r.stop(ctx, r.target, r.plan.Candidate); err != nil {
		return err
	}
	if err := r.start(ctx, r.target, r.plan.Live); err != nil {
		return err
	}
	return r.swap(ctx, r.plan.Live)
}

// clear removes the candidate and the baseline, completes the old version, and
// reads back that everything is as it was.
func (r *rollout) clear(ctx context.Context) error {
	return insist(ctx, func() error {
		if err := r.complement(ctx); err != nil {
			return err
		}
		if err := r.endCandidate(ctx); err != nil {
			return err
		}
		if err := r.stopBaseline(ctx); err != nil {
			return err
		}
		return r.restored(ctx)
	})
}

// endCandidate removes what is taken back. Where nothing was live before, nobody
// is left to serve, and that is what is wanted.
func (r *rollout) endCandidate(ctx context.Context) error {
	if r.plan.Live.IsZero() {
		return r.stop(ctx, r.target, r.plan.Candidate)
	}
	return r.retire(ctx, r.target, r.plan.Candidate)
}

// complement brings back the replicas that a rolling has taken away.
func (r *rollout) complement(ctx context.Context) error {
	if r.plan.Strategy.Kind != deploy.Rolling || r.plan.Live.IsZero() {
		return nil
	}
	n := r.plan.Live.Config.Replicas
	return r.roll(ctx, deploy.Batch{Live: n, Total: n})
}

func (r *rollout) restored(ctx context.Context) error {
	state, err := r.state(ctx, r.target)
	if err != nil {
		return err
	}
	live := r.plan.Live
	if live.IsZero() {
		return nil
	}
	running, _ := state.Find(live.ID)
	switch {
	case state.Live == nil || state.Live.ID != live.ID:
		return fmt.Errorf("%s is live, not %s", show(state.Live), live)
	case running.Ready() < live.Config.Replicas:
		return fmt.Errorf("%d of %d replicas of %s are ready", running.Ready(), live.Config.Replicas, live)
	}
	return nil
}

// stuck is the end that needs a person: users could not be brought back, or
// the old version could not be made whole, within the time for it.
func (r *rollout) stuck(ctx context.Context, cause, err error) Result {
	if overtaken(err) || overtaken(r.ledger.enter(context.WithoutCancel(ctx), deploy.PhaseReverting)) {
		return r.lost()
	}
	return Result{
		Outcome: deploy.Unknown, Reason: fmt.Sprintf("%s; and the way back failed: %s", reason(cause), reason(err)),
		Evidence: r.evidence(context.WithoutCancel(ctx), cause),
		Hint:     fmt.Sprintf("look at slipway status; slipway settle --environment %s tries the way back again", r.plan.Environment),
		Previous: r.plan.Live, URL: r.url, Err: err,
	}
}

// hint is what to do about a cause, where anybody knows.
func hint(cause error) string {
	if doomed, ok := errors.AsType[*deploy.Doomed](cause); ok && doomed.Hint != "" {
		return doomed.Hint
	}
	return deploy.HintOf(cause)
}

// lost is the end of a run that another has taken over from.
func (r *rollout) lost() Result {
	err := errOvertaken(r.target)
	return Result{Outcome: deploy.Unknown, Reason: err.Error(), Hint: deploy.HintOf(err), Previous: r.plan.Live, URL: r.url, Err: err}
}
