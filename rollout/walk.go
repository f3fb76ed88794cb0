package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// rollout is one walk along a plan.
type rollout struct {
	*Engine
	target site
	plan   deploy.Plan
	checks []deploy.Check
	ledger ledger
	url    string
	court  *court
	// judged are the readings up to which the judge has seen everything.
	judged readings
}

// run walks the plan to its end, or back.
func (r *rollout) run(ctx context.Context) Result {
	r.tell(ctx, deploy.Event{
		Kind: deploy.RolloutStarted, Environment: r.plan.Environment, Plan: &r.plan, URL: r.url,
		Message: fmt.Sprintf("%s to %s: %s replaces %s", r.plan.Strategy.Kind, r.plan.Environment, r.plan.Candidate, r.plan.Live),
	})
	if err := r.prepare(ctx); err != nil {
		return r.back(ctx, err)
	}
	return r.walk(ctx, 0)
}

// walk goes through the stages after those that have passed.
func (r *rollout) walk(ctx context.Context, passed int) Result {
	for i := passed; i < len(r.plan.Stages); i++ {
		s := r.plan.Stages[i]
		if s.By == deploy.BakeBySchedule {
			return r.leave(ctx, i+1, s)
		}
		err := r.stage(ctx, i+1, s)
		if p, ok := errors.AsType[*paused](err); ok {
			return r.rest(ctx, i, p.Error())
		}
		if u, ok := errors.AsType[*undecided](err); ok {
			return r.rest(ctx, i+1, u.Error())
		}
		if err != nil {
			return r.back(ctx, err)
		}
		if s.Approval {
			return r.rest(ctx, i+1, fmt.Sprintf("%s passed; the strategy asks for a person here", Describe(s)))
		}
	}
	return r.promote(ctx, ctx)
}

// stage writes what it is about to do, does it, and watches what comes of it.
func (r *rollout) stage(ctx context.Context, n int, s deploy.Stage) error {
	r.tell(ctx, deploy.Event{
		Kind: deploy.StageStarted, Environment: r.plan.Environment, Stage: n, Share: s.Share, Message: Describe(s),
	})
	if err := r.intend(ctx, n, s); err != nil {
		return err
	}
	before, err := r.readings(ctx)
	if err != nil {
		return err
	}
	if err := r.act(ctx, n, s); err != nil {
		return err
	}
	if err := r.ledger.enter(ctx, deploy.PhaseHolding); err != nil {
		return err
	}
	if err := r.gate(ctx, n, s, before); err != nil {
		return err
	}
	r.tell(ctx, deploy.Event{
		Kind: deploy.StagePassed, Environment: r.plan.Environment, Stage: n, Share: s.Share,
		Message: fmt.Sprintf("stage %d of %d passed", n, len(r.plan.Stages)),
	})
	return nil
}

// intend writes the stage into the journal before it is acted on.
func (r *rollout) intend(ctx context.Context, n int, s deploy.Stage) error {
	return r.ledger.write(ctx, func(rec *deploy.Record) {
		rec.Phase, rec.Stage, rec.Share, rec.Passed = deploy.PhaseShifting, n, s.Share, n-1
		if s.Share == 0 {
			rec.Phase = deploy.PhaseStarting
		}
	})
}

// act moves traffic as the stage says.
func (r *rollout) act(ctx context.Context, n int, s deploy.Stage) error {
	c := r.plan.Candidate
	switch s.Act {
	case deploy.ActBake:
		return nil
	case deploy.ActStart:
		return r.start(ctx, r.target, c)
	case deploy.ActSplit:
		return r.split(ctx, s.Share, s.Baseline)
	case deploy.ActBaseline:
		return r.startBaseline(ctx)
	case deploy.ActRoll:
		return r.guard(ctx, n, func(ctx context.Context) error { return r.roll(ctx, s.Batch) })
	case deploy.ActReplace:
		if err := r.stop(ctx, r.target, r.plan.Live); err != nil {
			return err
		}
		if err := r.start(ctx, r.target, c); err != nil {
			return err
		}
	}
	return r.swap(ctx, c)
}

// split gives the candidate its share, and the baseline its own; what has none
// need not be there.
func (r *rollout) split(ctx context.Context, share, baseline deploy.Percent) error {
	return within(ctx, r.moving(), fmt.Sprintf("give %s of the users of %s to %s", share, r.target, r.plan.Candidate),
		func(ctx context.Context) error {
			if baseline > 0 {
				beside := r.target.(deploy.Baseliner) // Supports has seen to it
				return beside.SplitBeside(ctx, r.plan.Candidate, share, baseline)
			}
			splitter := r.target.(deploy.Splitter) // the same
			return splitter.Split(ctx, r.plan.Candidate, share)
		})
}

// moving is how long a movement of users may take. A target with stages of its
// own may start replicas for it, and so may one whose replicas follow their load.
func (r *rollout) moving() time.Duration {
	scaled := deploy.AutoscaleOf(r.plan.Candidate.Config) != nil
	if len(r.plan.Strategy.Given) == 0 && !scaled {
		return moveLimit
	}
	return moveLimit + max(r.plan.Candidate.Config.StartTimeout, r.plan.Live.Config.StartTimeout)
}

// swap gives a revision all users.
func (r *rollout) swap(ctx context.Context, c deploy.Revision) error {
	return within(ctx, r.moving(), fmt.Sprintf("switch %s to %s", r.target, c),
		func(ctx context.Context) error { return r.target.Switch(ctx, c) })
}

func (r *rollout) roll(ctx context.Context, b deploy.Batch) error {
	roller := r.target.(deploy.Roller) // Supports has seen to it
	limit := r.plan.Candidate.Config.StartTimeout + r.plan.Live.Config.Drain + moveLimit
	return within(ctx, limit, fmt.Sprintf("replace %d of %d replicas of %s", b.Candidate, b.Total, r.target),
		func(ctx context.Context) error { return roller.Roll(ctx, r.plan.Candidate, b) })
}

// promote ends a rollout whose last stage has passed. From its first write on
// the way is forward, also for another process and after a cancel. The tasks
// that come after it take their own time, which is that of run.
func (r *rollout) promote(ctx, run context.Context) Result {
	if err := r.verify(ctx); err != nil {
		return r.back(ctx, err)
	}
	if ctx.Err() != nil {
		return r.back(ctx, fmt.Errorf("interrupted: %w", context.Cause(ctx)))
	}
	// A cancel in the middle of the write would leave it open which way is the
	// right one.
	own, cancel := r.ownTime(ctx)
	defer cancel()
	if err := r.ledger.enter(own, deploy.PhasePromoting); err != nil {
		return r.back(ctx, err)
	}
	return r.complete(own, run)
}

// complete removes the old version, does what comes after it, and closes the
// journal. The journal is open meanwhile, so that settle finds what was not
// done when this process is killed.
func (r *rollout) complete(ctx, run context.Context) Result {
	p := r.plan
	for _, old := range []deploy.Revision{p.Baseline, p.Live} {
		if old.IsZero() {
			continue
		}
		if err := insist(ctx, func() error { return r.retire(ctx, r.target, old) }); err != nil {
			r.tell(ctx, deploy.Event{
				Kind: deploy.Warning, Environment: p.Environment,
				Message: fmt.Sprintf("the old version %s could not be removed and runs on without users: %v", old, err),
				Hint:    "the next deployment removes it",
			})
		}
	}
	result := Result{Outcome: deploy.Promoted, Reason: fmt.Sprintf("%s is live", p.Candidate), Previous: p.Live, Live: p.Candidate, URL: r.url}
	if err := r.afterwards(run); err != nil {
		r.ledger.record.Incomplete = true
		result.Reason = fmt.Sprintf("%s is live, and %s", p.Candidate, reason(err))
		result.Err, result.Hint = err, cmp.Or(hint(err), "what the task was to do is not done: do it by hand, or release again with what mends it")
		if doomed, ok := errors.AsType[*deploy.Doomed](err); ok {
			result.Evidence = &doomed.Evidence
		}
	}
	r.close(context.WithoutCancel(ctx), deploy.Promoted, result.Reason)
	return result
}

// close writes the journal's last record. When it cannot be written, users are
// served all the same, and settle closes it later.
func (r *rollout) close(ctx context.Context, o deploy.Outcome, why string) {
	ctx, cancel := context.WithTimeout(ctx, readLimit)
	defer cancel()
	err := insist(ctx, func() error { return r.ledger.settle(ctx, o, why) })
	if err == nil {
		return
	}
	r.tell(ctx, deploy.Event{
		Kind: deploy.Warning, Environment: r.plan.Environment,
		Message: fmt.Sprintf("the journal could not be closed: %v", err), Hint: "slipway settle closes it",
	})
}

// verify reads back that what serves is what was promoted: the candidate is
// live, complete, and each replica runs its digest.
func (r *rollout) verify(ctx context.Context) error {
	state, err := r.state(ctx, r.target)
	if err != nil {
		return err
	}
	c := r.plan.Candidate
	if state.Live == nil || state.Live.ID != c.ID {
		return fmt.Errorf("%s says that %s is live, not %s", r.target, show(state.Live), c)
	}
	running, _ := state.Find(c.ID)
	if ready := running.Ready(); ready < c.Config.Replicas {
		return fmt.Errorf("%d of %d replicas of %s are ready", ready, c.Config.Replicas, c)
	}
	for _, replica := range running.Replicas {
		if replica.Digest != c.Image.Digest {
			return fmt.Errorf("replica %s runs %s, not %s", replica.Name, replica.Digest, c.Image.Digest)
		}
	}
	return nil
}

func show(r *deploy.Revision) string {
	if r == nil {
		return "nothing"
	}
	return r.String()
}

// ownTime is for what must be finished: it does not end with the run.
func (r *rollout) ownTime(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), r.revertBudget())
}

// insist repeats an act until it succeeds, the time is over, or another run
// has taken over. Every act on a target may be repeated.
func insist(ctx context.Context, act func() error) error {
	pause := 50 * time.Millisecond
	for {
		err := act()
		if err == nil || overtaken(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
			pause = min(2*pause, 2*time.Second)
		}
	}
}

// evidence is what is known about a failed candidate: from the error, where
// the target gave it, otherwise by asking.
func (r *rollout) evidence(ctx context.Context, cause error) *deploy.Evidence {
	if doomed, ok := errors.AsType[*deploy.Doomed](cause); ok {
		return &doomed.Evidence
	}
	about := r.plan.Candidate
	if _, ok := errors.AsType[*unfair](cause); ok {
		about = r.plan.Baseline
	}
	witness, ok := r.target.(deploy.Witness)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	e, err := witness.Evidence(ctx, about)
	if err != nil || e.Reason == "" && len(e.Log) == 0 {
		return nil
	}
	return &e
}
