package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/steps"
)

func (c *CLI) resumeCommand() *cobra.Command {
	return c.steerCommand("resume", "Go on with a rollout that is held", steps.Resume)
}

func (c *CLI) pauseCommand() *cobra.Command {
	return c.steerCommand("pause", "Hold the rollout that is under way where it is; resume or abort decides", steps.Pause)
}

func (c *CLI) abortCommand() *cobra.Command {
	return c.steerCommand("abort", "Take back the rollout that is under way or held", steps.Abort)
}

func (c *CLI) steerCommand(name, short string, pipeline func(steps.Request) steps.Pipeline) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use: name, Short: short, Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.steer(cmd.Context(), o, name, pipeline) },
	}
	f := cmd.Flags()
	o.configFlag(f)
	o.environmentFlag(f, "environment that it is about (required)")
	f.StringVar(&o.reason, "reason", "", "why, for the lock and the reports")
	f.StringVar(&o.report, "report", "", "write the JSON report to this file")
	return cmd
}

func (c *CLI) steer(ctx context.Context, o options, operation string, pipeline func(steps.Request) steps.Pipeline) error {
	if err := o.one(operation); err != nil {
		return err
	}
	return c.operate(ctx, o, operation, pipeline)
}
