package rollout

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// How much trouble a gate bears before it decides: a replica may miss a health
// check under load, and a read of the state may fail, without dooming anybody.
const (
	unreadyGrace = 2 * time.Second
	blindGrace   = 10 * time.Second
)

// A version that is broken shows that to the first users who are sent to it, and
// each of them counts: so a gate is eager at first, when it looks that many times
// as often.
const (
	eagerFor   = 2 * time.Second
	eagerTimes = 4
)

// readings is the traffic of both sides at one moment: of the candidate, and of
// what it is compared with.
type readings struct{ live, candidate deploy.Traffic }

func (r *rollout) readings(ctx context.Context) (readings, error) {
	state, err := r.state(ctx, r.target)
	if err != nil {
		return readings{}, err
	}
	return r.readingsOf(state), nil
}

func (r *rollout) readingsOf(s deploy.State) readings {
	return readings{traffic(s, r.plan.Reference()), traffic(s, r.plan.Candidate)}
}

func traffic(s deploy.State, r deploy.Revision) deploy.Traffic {
	if running, ok := s.Find(r.ID); ok && running.Traffic != nil {
		return *running.Traffic
	}
	return deploy.Traffic{}
}

// spread is that of what runs of a revision.
func spread(s deploy.State, r deploy.Revision) deploy.Spread {
	running, _ := s.Find(r.ID)
	return running.Spread
}

// gate watches a stage for its hold and runs its checks meanwhile. It returns
// nil when both are over and nothing is wrong, else the first thing that is.
func (r *rollout) gate(ctx context.Context, n int, s deploy.Stage, before readings) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w := &watch{rollout: r, stage: s, n: n, began: time.Now(), before: before}
	if err := w.look(ctx); err != nil {
		return err
	}
	checks := r.startChecks(ctx, n, s, w.url)
	defer func() { cancel(); <-checks.done }()

	hold, tick := time.NewTimer(s.Hold), time.NewTimer(w.pace())
	defer hold.Stop()
	defer tick.Stop()
	held, checked := false, checks.failed
	for !held || checked != nil {
		select {
		case <-ctx.Done():
			return fmt.Errorf("interrupted: %w", context.Cause(ctx))
		case err, failed := <-checked:
			if failed {
				return err
			}
			checked = nil
		case <-hold.C:
			held = true
		case <-tick.C:
			if err := w.look(ctx); err != nil {
				return err
			}
			tick.Reset(w.pace())
		}
	}
	return w.end(ctx)
}

// pending are checks under way: failed gives an error or is closed, done is
// closed when nothing of them runs any more.
type pending struct {
	failed chan error
	done   chan struct{}
}

func (r *rollout) startChecks(ctx context.Context, n int, s deploy.Stage, url string) pending {
	p := pending{failed: make(chan error, 1), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		defer close(p.failed)
		if !s.Checks || len(r.checks) == 0 {
			return
		}
		if err := r.ask(ctx, n, url); err != nil {
			p.failed <- err
		}
	}()
	return p
}

// ask runs the checks through the candidate's own route.
func (r *rollout) ask(ctx context.Context, n int, url string) error {
	if r.Check == nil {
		return fmt.Errorf("there are %d checks and nothing to run them with", len(r.checks))
	}
	told := func(c deploy.CheckResult) {
		r.tell(ctx, deploy.Event{Kind: deploy.Checked, Environment: r.plan.Environment, Stage: n, Check: &c, Message: c.Name})
	}
	for _, c := range r.Check(ctx, url, r.plan.Candidate, r.checks, told) {
		if !c.Passed {
			return fmt.Errorf("check %q failed: %s", c.Name, c.Detail)
		}
	}
	return nil
}

// watch is the gate's look at one stage.
type watch struct {
	*rollout
	stage deploy.Stage
	n     int
	began time.Time
	// before is from when the stage began.
	before readings
	// verdict is the judge's; observed that of one who decides nothing.
	verdict, observed analysis.Verdict
	// longer: it has been told that the stage is watched beyond its hold.
	longer bool
	// url is the candidate's own route.
	url string
	// crew are the candidate's replicas, other those of the baseline.
	crew, other crew
	// grace is how long replicas may be unready; zero means unreadyGrace.
	grace time.Duration
	// deaf: what comes in is not judged yet. heard is what has been, of the
	// candidate.
	deaf  bool
	heard deploy.Traffic
	// elsewhere are the candidate's requests in this stage that a metric has
	// counted, whatever the target counts. Those of the first look may be from
	// before.
	elsewhere uint64
	looked    bool
	// counts: the target counts, or a metric has, if only nothing.
	counts bool
	// blind is since when, zero when all is well.
	blind time.Time
	// observation is the last one, told when it was reported.
	observation deploy.Observation
	told        time.Time
}

// look reads the state once and fails if anything is wrong.
func (w *watch) look(ctx context.Context) error {
	state, err := w.state(ctx, w.target)
	if err != nil {
		return w.unseen(ctx, err)
	}
	w.blind = time.Time{}
	running, _ := state.Find(w.plan.Candidate.ID)
	w.url = running.URL
	if w.url == "" {
		w.url = state.URL
	}
	w.observe(ctx, state, running)
	w.report(ctx, w.verdict.Decision == analysis.Revert)
	if err := w.heed(state.Signal); err != nil {
		return err
	}
	if err := w.replicas(running); err != nil {
		return err
	}
	if err := w.baseline(state); err != nil {
		return err
	}
	if w.verdict.Decision == analysis.Revert {
		return fmt.Errorf("%s", w.verdict.Why)
	}
	return nil
}

// unseen bears a state that cannot be read for a while.
func (w *watch) unseen(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return err
	}
	if w.blind.IsZero() {
		w.blind = time.Now()
	}
	if time.Since(w.blind) < blindGrace {
		return nil
	}
	return fmt.Errorf("nothing could be seen for %s: %w", blindGrace, err)
}

// replicas fails when the candidate's replicas die or stay unready.
func (w *watch) replicas(running deploy.Running) error {
	if len(running.Replicas) == 0 && w.grace == 0 {
		return fmt.Errorf("no replica of %s is left", w.plan.Candidate)
	}
	return w.crew.muster(w.plan.Candidate, running, w.wanted(running), cmp.Or(w.grace, unreadyGrace))
}

// wanted is how many replicas of the candidate the stage runs.
func (w *watch) wanted(running deploy.Running) int {
	switch {
	case w.stage.Act == deploy.ActRoll:
		return w.stage.Batch.Candidate
	case running.Wanted > 0:
		return running.Wanted
	}
	return w.plan.Candidate.Config.Replicas
}

// observe hands what came in since the last look to the judge.
func (w *watch) observe(ctx context.Context, state deploy.State, running deploy.Running) {
	now := w.readingsOf(state)
	if w.deaf {
		w.judged, w.before = now, now
	}
	elapsed := time.Since(w.began)
	sample := analysis.Sample{
		Elapsed: elapsed, Share: w.reached(state), LiveShare: w.stage.Baseline,
		Live: now.live.Since(w.judged.live), Candidate: now.candidate.Since(w.judged.candidate),
		Uncounted: running.Traffic == nil,
	}
	sample.Dispersion = analysis.Dispersed(spread(state, w.plan.Live), spread(state, w.plan.Candidate))
	w.court.measurement.take(&sample)
	w.counts = w.counts || !sample.Uncounted || len(sample.Others) > 0
	w.heard = w.heard.Plus(counts(sample.Candidate))
	for _, o := range sample.Others {
		if w.looked {
			w.elsewhere += o.Candidate.Requests
		}
	}
	w.looked = true
	w.hear(ctx, sample)
	w.judged = now
	w.observation = deploy.Observation{
		Share: w.reached(state), Baseline: w.stage.Baseline, Live: now.live.Since(w.before.live), Candidate: now.candidate.Since(w.before.candidate),
		Ready: running.Ready(), Replicas: w.wanted(running), Elapsed: elapsed, Hold: w.stage.Hold,
		Uncounted: sample.Uncounted,
	}
}

// reached is the share that the stage has brought about: a target that splits by
// whole replicas comes near to what was asked for, and says to what.
func (w *watch) reached(state deploy.State) deploy.Percent {
	if w.stage.Act == deploy.ActSplit && state.Share > 0 && state.Share < 100 {
		return state.Share
	}
	return w.stage.Share
}

// report tells the last observation about once a second, and when it must.
func (w *watch) report(ctx context.Context, must bool) {
	if w.stage.Share == 0 || !must && time.Since(w.told) < time.Second {
		return
	}
	w.told = time.Now()
	o := w.observation
	verdict, why := w.spoken()
	o.Verdict = verdict
	w.tell(ctx, deploy.Event{
		Kind: deploy.Observed, Environment: w.plan.Environment, Stage: w.n, Share: w.stage.Share, Message: why, Observation: &o,
	})
}

// end looks until everything is ready and the stage may end, or cannot. The
// last observation is always told.
func (w *watch) end(ctx context.Context) error {
	for {
		if err := w.look(ctx); err != nil {
			return err
		}
		if w.calm() {
			if over, err := w.conclude(ctx); over {
				w.report(ctx, true)
				return err
			}
		}
		if err := pause(ctx, w.pace()); err != nil {
			return err
		}
	}
}

// pace is how long it is until the next look.
func (w *watch) pace() time.Duration {
	if w.stage.Share > 0 && time.Since(w.began) < eagerFor {
		return w.poll() / eagerTimes
	}
	return w.poll()
}

// calm reports whether everything can be seen and is ready.
func (w *watch) calm() bool {
	return w.blind.IsZero() && w.crew.complete() && w.other.complete()
}

// pause waits, unless the run is interrupted.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("interrupted: %w", context.Cause(ctx))
	case <-time.After(d):
		return nil
	}
}
