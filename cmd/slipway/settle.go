package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout"
	"github.com/slipway-ci/slipway/steps"
)

func (c *CLI) settleCommand() *cobra.Command {
	var o options
	var afterJob bool
	cmd := &cobra.Command{
		Use: "settle", Short: "Finish what a killed or cancelled run left: forward if its last stage had passed, else back", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if afterJob {
				return c.settleAfterJob(cmd.Context())
			}
			return c.settle(cmd.Context(), o, nobody)
		},
	}
	f := cmd.Flags()
	o.configFlag(f)
	o.environmentFlag(f, "only these environments (default: all of the file)")
	f.StringVar(&o.report, "report", "", "write the JSON report to this file")
	o.statusFlag(f)
	f.BoolVar(&afterJob, "after-job", false, "take the options from the action's inputs")
	_ = f.MarkHidden("after-job")
	return cmd
}

// settleAfterJob is what the container runs when its job is over, also after
// a cancel. Where there is nothing to read, nothing can be unfinished.
func (c *CLI) settleAfterJob(ctx context.Context) error {
	in, err := c.runner.Inputs()
	if err != nil {
		return err
	}
	o := fromInputs(in)
	o.version, o.report, o.environment = "", "", nil
	err = c.settle(ctx, o, others)
	if deploy.IsUsage(err) {
		c.log.Debug("nothing to settle", "error", err)
		return nil
	}
	return err
}

// nobody passes over nothing.
func nobody(error) (told string, passed bool) { return "", false }

// others passes over what another run holds, and says so: a job is over when what
// it has left itself is settled.
func others(err error) (told string, passed bool) {
	locked, ok := errors.AsType[*deploy.Locked](err)
	if !ok {
		return "", false
	}
	return locked.Error() + ": that run is at work, and what there is to settle is its own", true
}

// settle settles what o says. Errors that pass lets by are told, and are none.
func (c *CLI) settle(ctx context.Context, o options, pass func(error) (told string, passed bool)) error {
	s, err := c.open(o, "settle")
	if err != nil {
		return err
	}
	environments, err := o.choose(s.file.App)
	if err != nil {
		return err
	}
	if s.unused() && !inCluster(environments) {
		_, err := fmt.Fprintln(s.Stdout, "nothing was unfinished")
		return err
	}
	reports, err := s.reports() //nolint:contextcheck // what is told goes on when the run is cancelled
	if err != nil {
		return err
	}
	began := time.Now()
	reports.tell(ctx, deploy.Event{Kind: deploy.RunStarted, Run: &s.run, Message: "settle " + s.file.App.Name})
	outcome, err := s.settleEach(ctx, environments, reports.hub, pass)
	reports.tell(ctx, deploy.Event{
		Kind: deploy.RunEnded, Outcome: outcome, Message: settled(outcome, err), Hint: deploy.HintOf(err), Took: time.Since(began),
	})
	reports.close(ctx)
	if err != nil {
		return &ended{err: err, outcome: outcome, shown: true}
	}
	return nil
}

func settled(o deploy.Outcome, err error) string {
	switch {
	case err != nil:
		return err.Error()
	case o == deploy.Unchanged:
		return "nothing was unfinished"
	}
	return "everything is settled"
}

// settleEach settles every environment, also after one that could not be. A
// settled rollout is a success of settle, whichever way it went.
func (s *session) settleEach(
	ctx context.Context, environments []deploy.Environment, reporter deploy.Reporter, pass func(error) (told string, passed bool),
) (deploy.Outcome, error) {
	engine := s.engine(reporter)
	outcome := deploy.Unchanged
	var errs []error
	for _, env := range environments {
		target, err := s.target(ctx, s.file.App.Name, env)
		if err != nil {
			outcome, errs = deploy.Unknown, once(errs, err)
			_ = reporter.Report(ctx, unsettled(env.Name, rollout.Result{Outcome: deploy.Unknown, Err: err}))
			continue
		}
		r := engine.Settle(ctx, target, s.owner())
		if r.Outcome == deploy.Promoted && r.Live.ID == r.Plan.Candidate.ID {
			steps.NewWork(s.newRequest([]deploy.Environment{env}), s.tools(reporter)).MoveTagsTo(ctx, target, r.Live)
		}
		switch told, passed := pass(r.Err); {
		case passed:
			_ = reporter.Report(ctx, deploy.Event{Kind: deploy.Notice, Environment: env.Name, Message: told})
		case r.Outcome == deploy.Unknown || r.Live.IsZero() && r.Outcome == deploy.Failed && r.Err != nil && !errors.Is(r.Err, rollout.ErrLeft):
			outcome, errs = r.Outcome, append(errs, fmt.Errorf("%s: %w", env.Name, r.Err))
			if r.Environment == "" { // it was not begun, and so nothing has been told of it
				_ = reporter.Report(ctx, unsettled(env.Name, r))
			}
		case r.Outcome != deploy.Unchanged && outcome == deploy.Unchanged:
			outcome = deploy.Promoted
		}
	}
	return outcome, errors.Join(errs...)
}

// unsettled is the end of an environment that settle could not come to.
func unsettled(environment string, r rollout.Result) deploy.Event {
	return deploy.Event{
		Kind: deploy.RolloutEnded, Environment: environment, Outcome: r.Outcome,
		Message: r.Err.Error(), Hint: deploy.HintOf(r.Err), Took: r.Took,
	}
}

// once adds an error that was not met before: what keeps one environment from
// being opened often keeps all.
func once(errs []error, err error) []error {
	if slices.ContainsFunc(errs, func(other error) bool { return other.Error() == err.Error() }) {
		return errs
	}
	return append(errs, err)
}
