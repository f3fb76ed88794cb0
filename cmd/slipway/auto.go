package main

import (
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/action"
	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/steps"
)

func (c *CLI) autoCommand() *cobra.Command {
	return &cobra.Command{
		Use: "auto", Short: "What the action runs: the command that fits the event of the workflow", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.auto(cmd.Context()) },
	}
}

// auto reads inputs and event, and runs the command that they ask for.
func (c *CLI) auto(ctx context.Context) error {
	in, err := c.runner.Inputs()
	if err != nil {
		return err
	}
	event, err := c.runner.Event()
	if err != nil {
		return err
	}
	command, err := action.Choose(event, in)
	if err != nil {
		return err
	}
	if command.Skip != "" {
		c.runner.Notice("Slipway", command.Skip)
		return nil
	}
	if command.Note != "" {
		c.runner.Notice("Slipway", command.Note)
	}
	return c.dispatch(ctx, command, chosen(in, command, event))
}

// chosen are the options of a command that was chosen by an event.
func chosen(in action.Inputs, command action.Command, event action.Event) options {
	o := fromInputs(in)
	o.version, o.reason, o.strategy = command.Version, command.Reason, string(command.Strategy)
	o.dryRun, o.skipOrder = command.DryRun, command.SkipOrder
	o.ref, o.pullRequest = event.Ref, command.PullRequest
	if command.Environment != "" {
		o.environment = []string{command.Environment}
	}
	return o
}

func fromInputs(in action.Inputs) options {
	o := options{
		dir: in.WorkingDirectory, config: in.Config, version: in.Version, strategy: string(in.Strategy), reason: in.Reason,
		dryRun: in.DryRun, push: in.Push, token: in.GitHubToken,
	}
	if in.Report != "" {
		o.report = filepath.Join(in.WorkingDirectory, in.Report)
	}
	if in.Plan != "" {
		o.plan = filepath.Join(in.WorkingDirectory, in.Plan)
	}
	return o
}

func (c *CLI) dispatch(ctx context.Context, command action.Command, o options) error {
	switch command.Name {
	case action.Release:
		return c.release(ctx, o)
	case action.Build:
		return c.build(ctx, o)
	case action.Plan:
		return c.plan(ctx, o)
	case action.Preview:
		if command.Close {
			return c.previewOver(ctx, o)
		}
		return c.pullRequest(ctx, o)
	case action.Reap:
		return c.reap(ctx, o)
	case action.Pause:
		return c.steer(ctx, o, command.Name, steps.Pause)
	case action.Resume:
		return c.steer(ctx, o, command.Name, steps.Resume)
	case action.Abort:
		return c.steer(ctx, o, command.Name, steps.Abort)
	case action.Promote:
		return c.promote(ctx, o)
	case action.Rollback:
		return c.rollback(ctx, o)
	case action.Settle:
		o.version = ""
		return c.settle(ctx, o)
	case action.Status:
		return c.status(ctx, o)
	case action.History:
		return c.history(ctx, o)
	case action.Validate:
		return c.validate(o)
	}
	return deploy.Usage("see action.yml", "there is no command %q", command.Name)
}
