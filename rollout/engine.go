package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// Engine walks plans. Its zero values are usable; Reporter and Check may be
// nil, then nothing is told and checks are refused.
type Engine struct {
	// Check asks a revision at a URL; see CheckFunc.
	Check    CheckFunc
	Reporter deploy.Reporter
	Log      *slog.Logger
	// Judge makes the judge of one rollout; nil means analysis.Rollout where
	// both versions are compared, else analysis.ErrorLimit with the strategy's
	// limit.
	Judge func(deploy.Strategy) analysis.Judge
	// Measure says what a rollout is judged by besides the requests that the
	// target counts; nil, or a nil Measuring, is nothing.
	Measure func(deploy.Plan) (*Measuring, error)
	// ReleasedFrom are other repositories than the run's own that release the same
	// app, each as owner/name.
	ReleasedFrom []string
	// Poll is how often a gate looks; zero means 100 ms. In the first two seconds
	// after users were moved it looks four times as often.
	Poll time.Duration
	// RevertBudget bounds the way back, which has its own time because it also
	// goes on when the run is cancelled; zero means 2 minutes.
	RevertBudget time.Duration
	// LockTTL is how long a hold outlives a process that died; zero means 15
	// seconds. It is renewed three times as often.
	LockTTL time.Duration
}

// CheckFunc runs checks against a revision at a URL and calls done after each.
// It returns one result per check, in their order.
type CheckFunc func(ctx context.Context, url string, r deploy.Revision, checks []deploy.Check, done func(deploy.CheckResult)) []deploy.CheckResult

// Deployment is one revision for one environment.
type Deployment struct {
	Target    deploy.Target
	Candidate deploy.Revision
	Strategy  deploy.Strategy
	Checks    []deploy.Check
	// Tasks are done around it, where anything is to be done at all.
	Tasks deploy.Tasks
	Owner deploy.Owner
	// Operation is recorded: release, promote, rollback.
	Operation string
	// Past is that the candidate was live before, and is brought back.
	Past bool
}

// Result is how a deployment ended.
type Result struct {
	Environment string
	Outcome     deploy.Outcome
	// Reason is one sentence. Evidence and Hint are there when something failed
	// and more is known.
	Reason   string
	Evidence *deploy.Evidence
	Hint     string
	// Until is when it stops being watched by other runs; zero where it is not.
	Until time.Time
	// Plan is what was walked; without stages where nothing was to be done, or
	// nothing could be begun.
	Plan deploy.Plan
	// Previous was live before, Live is now.
	Previous, Live deploy.Revision
	URL            string
	Took           time.Duration
	// Asked: the outcome is what this run was for, as a revert is for Abort.
	Asked bool
	// Err is the cause of an outcome other than promoted and unchanged; with
	// promoted it is why a task after it failed.
	Err error
}

// Well reports whether users have what was asked for, and all that belongs to
// it was done.
func (r Result) Well() bool {
	return (r.Outcome == deploy.Promoted || r.Outcome == deploy.Unchanged) && r.Err == nil
}

// site is a target with a memory: without journal and lock nobody could finish
// what a killed process left, so the engine takes nothing less.
type site interface {
	deploy.Target
	deploy.Journal
	deploy.Locker
}

func siteOf(t deploy.Target) (site, error) {
	s, ok := t.(site)
	if !ok {
		return nil, fmt.Errorf("%s keeps no journal and no lock, so a rollout there could not be taken back safely", t)
	}
	return s, nil
}

// Deploy brings a revision to its environment, or takes everything back. It
// returns when users are on one version and no other runs.
func (e *Engine) Deploy(ctx context.Context, d Deployment) Result {
	began := time.Now()
	r := e.deploy(ctx, d)
	r.Environment, r.Took = d.Candidate.Environment, time.Since(began)
	if r.Plan.Candidate.IsZero() {
		r.Plan = deploy.Plan{Environment: r.Environment, Strategy: d.Strategy, Live: r.Live, Candidate: d.Candidate}
	}
	e.ended(ctx, r)
	return r
}

func (e *Engine) deploy(ctx context.Context, d Deployment) Result {
	s, err := siteOf(d.Target)
	if err != nil {
		return failed(err)
	}
	if err := Supports(d.Target, d.Strategy); err != nil {
		return failed(err)
	}
	if err := SupportsTasks(d.Target, d.Tasks); err != nil {
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
	if r, done := e.returned(h.ctx, s, d, state); done {
		return r
	}
	if state, err = e.tidy(h.ctx, s, d, state); err != nil {
		return failed(err)
	}
	if live := liveIn(state); live.ID == d.Candidate.ID {
		return Result{
			Outcome: deploy.Unchanged, Reason: fmt.Sprintf("%s is live already", live),
			Previous: live, Live: live, URL: state.URL, Until: state.Record.Watched(),
		}
	}
	if d.Tasks, err = d.tasks(h.ctx, liveIn(state)); err != nil {
		return failed(err)
	}
	r := e.begin(s, d, state)
	stop, err := r.measure(h.ctx)
	if err != nil {
		return failed(err)
	}
	defer stop()
	result := r.run(h.ctx)
	result.Plan = r.plan
	return result
}

// failed is the result of a deployment that could not begin.
func failed(err error) Result {
	return Result{Outcome: deploy.Failed, Reason: reason(err), Hint: deploy.HintOf(err), Err: err}
}

// tidy finishes what another run left unfinished, and removes what nobody uses:
// revisions that run without being live or wanted. It gives the state after that.
func (e *Engine) tidy(ctx context.Context, s site, d Deployment, state deploy.State) (deploy.State, error) {
	o, wanted := d.Owner, d.Candidate
	var err error
	if watched(state) {
		if state.Record.Candidate.ID == wanted.ID {
			return state, nil // which is live, and watched on
		}
		if state, err = e.endBake(ctx, s, o, state); err != nil {
			return state, err
		}
	}
	if state.Record.Held() {
		return state, deploy.Hinted(errors.New(Held(state.Record)), "%s", Decide(state.Record.Candidate.Environment))
	}
	if state, err = e.finishLeft(ctx, s, d, state); err != nil {
		return state, err
	}
	for _, running := range state.Running {
		if id := running.Revision.ID; id == wanted.ID || state.Live != nil && id == state.Live.ID {
			continue
		}
		if err := e.stop(ctx, s, running.Revision); err != nil {
			return state, err
		}
	}
	return state, nil
}

// finishLeft finishes what another run has left, unless that is what this one begins
// with.
func (e *Engine) finishLeft(ctx context.Context, s site, d Deployment, state deploy.State) (deploy.State, error) {
	prepared, err := d.prepared(ctx, state)
	switch {
	case err != nil || !state.Record.Unfinished():
		return state, err
	case prepared:
		e.tell(ctx, deploy.Event{
			Kind: deploy.Notice, Environment: d.Candidate.Environment,
			Message: fmt.Sprintf("%s of %s by %s ended while its tasks were at work, and nothing else was begun: they are taken up where they are",
				state.Record.Operation, d.Candidate, state.Record.Owner.Run),
		})
		return state, nil
	}
	if r := e.finish(ctx, s, d.Owner, state); r.Outcome == deploy.Unknown {
		return state, fmt.Errorf("finish what %s left: %w", state.Record.Owner.Run, r.Err)
	}
	return e.state(ctx, s)
}

// prepared reports whether another run has left just what this one begins with:
// the tasks of the same revision at work. A migration that is half done is
// better off if it is let finish.
func (d Deployment) prepared(ctx context.Context, s deploy.State) (bool, error) {
	if s.Record.Phase != deploy.PhasePreparing || s.Record.Candidate.ID != d.Candidate.ID {
		return false, nil
	}
	tasks, err := d.tasks(ctx, liveIn(s))
	return len(tasks.Before) > 0, err
}

// liveIn is the revision that users have. One that is named live but of which
// nothing runs, as after a first deployment that failed, serves nobody.
func liveIn(s deploy.State) deploy.Revision {
	if s.Live == nil {
		return deploy.Revision{}
	}
	if _, runs := s.Find(s.Live.ID); !runs {
		return deploy.Revision{}
	}
	return *s.Live
}

// begin lays out the rollout of a deployment.
func (e *Engine) begin(s site, d Deployment, state deploy.State) *rollout {
	live := liveIn(state)
	plan := d.plan(live)
	now := time.Now()
	r := &rollout{
		Engine: e, target: s, plan: plan, checks: d.Checks, url: state.URL,
		ledger: ledger{journal: s, record: deploy.Record{
			Version: state.Record.Version, Owner: d.Owner, Operation: d.Operation,
			Strategy: d.Strategy, Stages: len(plan.Stages), Tasks: d.Tasks,
			Candidate: d.Candidate, Previous: live, Started: now,
		}},
	}
	r.judged = r.readingsOf(state)
	r.court = e.court(plan, traffic(state, live))
	return r
}

// The limits of single calls to a target, besides those that it keeps itself.
const (
	readLimit = 15 * time.Second
	moveLimit = 30 * time.Second
	// slack is added to a time that a target keeps itself, so that its own
	// error, which knows more, comes first.
	slack = 10 * time.Second
)

func (e *Engine) state(ctx context.Context, s site) (deploy.State, error) {
	var state deploy.State
	err := within(ctx, readLimit, "read the state of "+s.String(), func(ctx context.Context) (err error) {
		state, err = s.State(ctx)
		return err
	})
	return state, err
}

func (e *Engine) start(ctx context.Context, s site, r deploy.Revision) error {
	return within(ctx, r.Config.StartTimeout+slack, fmt.Sprintf("start %s at %s", r, s),
		func(ctx context.Context) error { return s.Start(ctx, r) })
}

func (e *Engine) stop(ctx context.Context, s site, r deploy.Revision) error {
	return within(ctx, r.Config.Drain+moveLimit, fmt.Sprintf("stop %s at %s", r, s),
		func(ctx context.Context) error { return s.Stop(ctx, r) })
}

// retire stops a revision that users do without, where the target can tell that
// they do.
func (e *Engine) retire(ctx context.Context, s site, r deploy.Revision) error {
	guard, is := s.(deploy.Guard)
	if !is {
		return e.stop(ctx, s, r)
	}
	return within(ctx, r.Config.Drain+moveLimit, fmt.Sprintf("stop %s at %s", r, s),
		func(ctx context.Context) error { return guard.Retire(ctx, r) })
}

// within bounds an act and names it in its errors, once: most targets do so, too. An
// error that a target made for people, a *Doomed say, is passed on as it is.
func within(ctx context.Context, limit time.Duration, what string, act func(context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	err := act(bounded)
	var doomed *deploy.Doomed
	switch {
	case err == nil, errors.As(err, &doomed):
		return err
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted while about to %s: %w", what, context.Cause(ctx))
	case bounded.Err() != nil:
		return fmt.Errorf("timed out after %s: %w", limit, saying(what, err))
	}
	return saying(what, err)
}

// saying is an error that begins with what was done.
func saying(what string, err error) error {
	if strings.HasPrefix(err.Error(), what) {
		return err
	}
	return fmt.Errorf("%s: %w", what, err)
}

// tell reports an event. A reporter's trouble is not a deployment's.
func (e *Engine) tell(ctx context.Context, ev deploy.Event) {
	if e.Reporter == nil {
		return
	}
	ev.At = time.Now()
	if err := e.Reporter.Report(context.WithoutCancel(ctx), ev); err != nil && e.Log != nil {
		e.Log.Warn("report", "kind", ev.Kind, "error", err)
	}
}

func (e *Engine) ended(ctx context.Context, r Result) {
	ev := deploy.Event{
		Kind: deploy.RolloutEnded, Environment: r.Environment, Outcome: r.Outcome,
		Message: r.Reason, Evidence: r.Evidence, Hint: r.Hint, URL: r.URL, Took: r.Took,
		Asked: r.Asked, Until: r.Until,
	}
	if len(r.Plan.Stages) > 0 {
		ev.Plan = &r.Plan
	}
	e.tell(ctx, ev)
}

func (e *Engine) poll() time.Duration         { return cmp.Or(e.Poll, 100*time.Millisecond) }
func (e *Engine) revertBudget() time.Duration { return cmp.Or(e.RevertBudget, 2*time.Minute) }
func (e *Engine) lockTTL() time.Duration      { return cmp.Or(e.LockTTL, 15*time.Second) }

// reason is an error in a sentence for people.
func reason(err error) string {
	if errors.Is(err, context.Canceled) && context.Canceled.Error() == err.Error() {
		return "interrupted"
	}
	return err.Error()
}
