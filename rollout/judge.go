package rollout

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// court is the judge of one rollout, and what its word counts for.
type court struct {
	strategy deploy.Strategy
	// judge decides. It sees the whole rollout: what a stage has shown counts in
	// the next.
	judge analysis.Judge
	// observer tells what it would decide; nil where nobody observes.
	observer analysis.Judge
	// warned: it has been told that the observer would have gone back.
	warned bool
	// measurement is beside what the target counts; nil where nothing is.
	measurement *measurement
	// part is what the samples of this process tell of.
	part analysis.Part
	// met is when the first user could meet the candidate.
	met time.Time
}

// court of a strategy, for a version that has done what history says.
func (e *Engine) court(p deploy.Plan, history deploy.Traffic) *court {
	s := p.Strategy
	c := &court{strategy: s}
	switch {
	case e.Judge != nil:
		c.judge = e.Judge(s)
	case !c.compares(p):
		c.judge = analysis.NewErrorLimit(limit(s))
	case s.Judging.Observe:
		c.judge, c.observer = analysis.NewErrorLimit(limit(s)), compare(p, history)
	default:
		c.judge = compare(p, history)
	}
	return c
}

// compares reports whether the candidate is held against what is live. On an
// empty environment there is nothing to hold it against.
func (c *court) compares(p deploy.Plan) bool { return c.strategy.Judged() && !p.Live.IsZero() }

// decides reports whether a judge decides who compares both versions.
func (c *court) decides() bool {
	_, compares := c.judge.(*analysis.Rollout)
	return compares
}

// past is what the live version is known to have done in all.
func (c *court) past(counted deploy.Traffic) deploy.Traffic {
	for _, j := range []analysis.Judge{c.observer, c.judge} {
		if beside, ok := j.(*analysis.Rollout); ok && beside.History.Requests > counted.Requests {
			return beside.History // it was counted anew meanwhile
		}
	}
	return counted
}

// recorded is what the live version is known to have done by other metrics that
// count requests.
func (c *court) recorded() []deploy.Recorded {
	var all []deploy.Recorded
	for _, j := range []analysis.Judge{c.judge, c.observer} {
		if beside, ok := j.(*analysis.Rollout); ok {
			for _, name := range slices.Sorted(maps.Keys(beside.Past)) {
				all = append(all, deploy.Recorded{Metric: name, Traffic: beside.Past[name]})
			}
			return all
		}
	}
	return nil
}

// remind tells the judges what another process has recorded.
func (c *court) remind(past []deploy.Recorded) {
	for _, j := range []analysis.Judge{c.judge, c.observer} {
		beside, ok := j.(*analysis.Rollout)
		if !ok {
			continue
		}
		beside.Past = map[string]deploy.Traffic{}
		for _, p := range past {
			beside.Past[p.Metric] = p.Traffic
		}
	}
}

// limit is the share of errors that a rollout is held to which nobody compares.
func limit(s deploy.Strategy) deploy.Percent {
	if s.Errors >= deploy.NoLimit && s.Judged() {
		return deploy.DefaultErrors
	}
	return s.Errors
}

// compare makes the judge of both versions.
func compare(p deploy.Plan, history deploy.Traffic) analysis.Judge {
	s := p.Strategy
	j := s.Judging.WithDefaults()
	beside := &analysis.Sequential{
		Alpha: j.Alpha.Fraction(), Margin: j.Margin, LatencyRatio: j.LatencyRatio, WarmUp: j.WarmUp,
		Dwell: -1, // the gate's own
	}
	if !p.Baseline.IsZero() {
		beside.Against = "the baseline"
	}
	for _, stage := range p.Stages {
		if stage.Share > 0 && stage.Act != deploy.ActBake {
			beside.Steps = append(beside.Steps, stage.Share)
		}
	}
	return &analysis.Rollout{Beside: beside, History: history, Limit: s.Errors}
}

// hear hands a sample to the judges.
func (w *watch) hear(ctx context.Context, s analysis.Sample) {
	c := w.court
	if s.Share > 0 && c.met.IsZero() {
		c.met = w.began
	}
	if !c.met.IsZero() {
		s.At = w.began.Sub(c.met) + s.Elapsed
	}
	s.Part = c.part
	w.verdict = c.judge.Observe(s)
	if c.observer == nil {
		return
	}
	w.observed = c.observer.Observe(s)
	if w.observed.Decision == analysis.Revert && !c.warned {
		c.warned = true
		w.tell(ctx, deploy.Event{
			Kind: deploy.Warning, Environment: w.plan.Environment,
			Message: "the judge would have gone back: " + w.observed.Why,
			Hint:    "judge: observe decides nothing; leave it out and the judge decides",
		})
	}
}

// recall hands the judges what another process has told of already.
func (c *court) recall(s analysis.Sample) {
	c.judge.Observe(s)
	if c.observer != nil && c.observer.Observe(s).Decision == analysis.Revert {
		c.warned = true
	}
}

// spoken is the verdict that is told, and its reason.
func (w *watch) spoken() (*deploy.Verdict, string) {
	v, why := w.verdict, w.verdict.Why
	if w.court.observer != nil {
		v, why = w.observed, w.observed.Why+" (judge: observe decides nothing)"
	} else if !w.court.decides() {
		return nil, why
	}
	return &deploy.Verdict{
		Decision: string(v.Decision), Metric: v.Metric, Evidence: v.Evidence, ETA: v.ETA, Observed: w.court.observer != nil,
	}, why
}

// undecided is why a rollout rests of which it is not known whether it may go on.
type undecided struct{ why string }

// Error says what is not known.
func (u *undecided) Error() string { return u.why }

// may reports whether the stage may end, now that its hold is over.
func (w *watch) may() bool {
	switch {
	case w.verdict.Decision == analysis.Hold:
		return false
	case w.stage.Share == 0 || !w.court.decides():
		return true
	case w.court.measurement.unknown() != nil:
		return false
	case w.unused():
		// Nobody's share grows any more: nobody is put at risk by going on.
		s := w.court.strategy
		return (s.Kind == deploy.BlueGreen || w.stage.Act == deploy.ActBake) && s.Judging.OnUnknown == ""
	case w.stage.Proof:
		return w.verdict.Decision == analysis.Advance || w.verdict.Decision == analysis.Promote
	}
	return true
}

// unused reports whether no user has come to the candidate in this stage, as far
// as the target counts, and as metrics do.
func (w *watch) unused() bool {
	return w.elsewhere == 0 && w.judged.candidate.Since(w.before.candidate).Requests == 0
}

// unmet is why no request of the stage is known.
func (w *watch) unmet() string {
	if w.counts {
		return "no user request has reached it"
	}
	if err := w.court.measurement.unknown(); err != nil {
		return "no user request to it has been counted: " + err.Error()
	}
	return "nobody counts the requests of its users here (judge.metrics in slipway.yaml says who does)"
}

// patience is how long the stage is watched at most.
func (w *watch) patience() time.Duration {
	s := w.court.strategy
	switch {
	case !w.court.decides():
		return w.stage.Hold
	case s.Judging.MaxHold > 0:
		return max(s.Judging.MaxHold, w.stage.Hold)
	case w.unused() && !w.stage.Proof:
		return w.stage.Hold
	}
	return max(deploy.DefaultMaxHold, w.stage.Hold)
}

// conclude decides about a stage whose hold is over, if it can: it may end, or
// there is an error. Otherwise it has to be watched longer.
func (w *watch) conclude(ctx context.Context) (over bool, err error) {
	if w.may() {
		return true, nil
	}
	if time.Since(w.began) < w.patience() {
		if !w.longer {
			w.longer = true
			w.tell(ctx, deploy.Event{
				Kind: deploy.Notice, Environment: w.plan.Environment,
				Message: fmt.Sprintf("%s: watched for longer, %s at most: %s", Describe(w.stage), w.patience(), w.doubt()),
			})
		}
		return false, nil
	}
	return true, w.unknown(ctx)
}

// doubt is why the stage may not end.
func (w *watch) doubt() string {
	if err := w.court.measurement.unknown(); err != nil {
		return err.Error()
	}
	return w.verdict.Why
}

// unknown does what the strategy says about a stage of which it is not known
// whether it may pass.
func (w *watch) unknown(ctx context.Context) error {
	if !w.court.decides() {
		return fmt.Errorf("%s", w.verdict.Why)
	}
	why := w.doubt()
	if w.unused() {
		why = w.unmet()
	}
	why = fmt.Sprintf("it is not known whether %s is worse, after %s with %s of the users: %s",
		w.plan.Candidate, time.Since(w.began).Round(time.Second), w.stage.Share, why)
	switch w.court.strategy.Judging.OnUnknown {
	case deploy.OnUnknownRevert:
		return deploy.Hinted(fmt.Errorf("%s; on-unknown is revert", why), "send users, or let it wait for a person: on-unknown: hold")
	case deploy.OnUnknownPromote:
		w.tell(ctx, deploy.Event{
			Kind: deploy.Warning, Environment: w.plan.Environment,
			Message: why + "; it goes on because on-unknown is promote",
		})
		return nil
	}
	return &undecided{why}
}
