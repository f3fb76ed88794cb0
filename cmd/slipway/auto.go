package main

import (
	"context"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/action"
	"github.com/slipway-ci/slipway/deploy"
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
	o := fromInputs(in)
	o.version, o.reason, o.ref, o.pullRequest = command.Version, command.Reason, event.Ref, event.PullRequest.Number
	if command.Environment != "" {
		o.environment = []string{command.Environment}
	}
	return c.dispatch(ctx, command.Name, o)
}

func fromInputs(in action.Inputs) options {
	o := options{
		dir: in.WorkingDirectory, config: in.Config, version: in.Version, strategy: string(in.Strategy), reason: in.Reason,
		dryRun: in.DryRun, push: in.Push, token: in.GitHubToken,
	}
	if in.Report != "" {
		o.report = filepath.Join(in.WorkingDirectory, in.Report)
	}
	return o
}

func (c *CLI) dispatch(ctx context.Context, command string, o options) error {
	switch command {
	case action.Release:
		return c.release(ctx, o)
	case action.Build:
		return c.build(ctx, o)
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
	return deploy.Usage("see action.yml", "there is no command %q", command)
}
