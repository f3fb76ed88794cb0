package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/steps"
	versions "github.com/slipway-ci/slipway/version"
)

func (c *CLI) releaseCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use: "release", Short: "Build, push, and bring the version to every environment in order", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.release(cmd.Context(), o) },
	}
	f := cmd.Flags()
	o.configFlag(f)
	o.versionFlag(f, "version", "semver of this release (default: the tag, or computed from git)")
	o.environmentFlag(f, "only these environments (default: all of the file)")
	o.deployFlags(f)
	o.orderFlag(f)
	o.statusFlag(f)
	o.imageFlags(f)
	f.StringVar(&o.plan, "plan", "", "do exactly what this file of slipway plan --out says, or nothing")
	return cmd
}

func (c *CLI) promoteCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use: "promote", Short: "Bring a version that is built to an environment: the same digest, nothing rebuilt", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.promote(cmd.Context(), o) },
	}
	f := cmd.Flags()
	o.configFlag(f)
	o.versionFlag(f, "version", "semver to promote (required), or which: ~1.4, latest")
	o.environmentFlag(f, "environment to promote to (required)")
	o.deployFlags(f)
	o.orderFlag(f)
	o.statusFlag(f)
	return cmd
}

func (c *CLI) rollbackCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use: "rollback", Short: "Bring back what an environment ran before, with its configuration and secrets", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.rollback(cmd.Context(), o) },
	}
	f := cmd.Flags()
	o.configFlag(f)
	o.versionFlag(f, "to", "semver to go back to, or which: ~1.4 (default: previous, the one before)")
	o.environmentFlag(f, "environment to roll back (required)")
	f.StringVar(&o.reason, "reason", "", "why, for the lock and the reports")
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would happen and change nothing")
	f.StringVar(&o.report, "report", "", "write the JSON report to this file")
	o.statusFlag(f)
	return cmd
}

func (c *CLI) buildCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use: "build", Short: "Make the image alone", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.build(cmd.Context(), o) },
	}
	f := cmd.Flags()
	o.configFlag(f)
	o.versionFlag(f, "version", "semver of the image (default: the tag, or computed from git)")
	o.deployFlags(f)
	o.imageFlags(f)
	f.BoolVar(&o.push, "push", false, "push it, too")
	f.BoolVar(&o.moveTags, "move-tags", false, "with --push: move the tags of the file to it, though it is not released")
	return cmd
}

func (c *CLI) release(ctx context.Context, o options) error {
	if err := o.exact(); err != nil {
		return err
	}
	return c.operate(ctx, o, "release", steps.Release)
}

func (c *CLI) promote(ctx context.Context, o options) error {
	if err := o.one("promote"); err != nil {
		return err
	}
	if o.version == "" {
		return deploy.Usage("name it with --version, such as --version 1.4.2", "promote needs a version")
	}
	if err := o.wanted(); err != nil {
		return err
	}
	if o.version == versions.Previous {
		return deploy.Usage("go back with: slipway rollback --environment "+o.environment[0], "promote brings a version in; previous is for rollback")
	}
	return c.operate(ctx, o, "promote", steps.Promote)
}

func (c *CLI) rollback(ctx context.Context, o options) error {
	if err := o.one("rollback"); err != nil {
		return err
	}
	if err := o.wanted(); err != nil {
		return err
	}
	return c.operate(ctx, o, "rollback", steps.Rollback)
}

func (c *CLI) build(ctx context.Context, o options) error {
	if err := o.exact(); err != nil {
		return err
	}
	if o.moveTags && !o.push {
		return deploy.Usage("push it, too: slipway build --push --move-tags", "--move-tags moves tags to what is pushed, and nothing is")
	}
	return c.operate(ctx, o, "build", func(r steps.Request) steps.Pipeline { return steps.Build(r, o.push, o.moveTags) })
}

// operate runs a pipeline on the environments that the options name.
func (c *CLI) operate(ctx context.Context, o options, operation string, pipeline func(steps.Request) steps.Pipeline) error {
	s, err := c.open(o, operation)
	if err != nil {
		return err
	}
	request, err := s.request(ctx)
	if err != nil {
		return err
	}
	_, err = s.execute(ctx, request, pipeline)
	return err
}

// execute runs a pipeline and reports it everywhere. The work is what it found.
func (s *session) execute(ctx context.Context, request steps.Request, pipeline func(steps.Request) steps.Pipeline) (*steps.Work, error) {
	reports, err := s.reports() //nolint:contextcheck // what is told goes on when the run is cancelled
	if err != nil {
		return nil, err
	}
	if s.options.note != "" {
		reports.tell(ctx, deploy.Event{Kind: deploy.Notice, Message: s.options.note})
	}
	work := steps.NewWork(request, s.tools(reports.hub))
	outcome, err := pipeline(request).Run(ctx, work)
	reports.close(ctx)
	if told := s.outputs(work, outcome); told != nil {
		s.log.Warn("set the outputs", "error", told)
	}
	if closing := work.Close(); closing != nil {
		s.log.Warn("remove temporary files", "error", closing)
	}
	if err != nil {
		return work, &ended{err: err, outcome: outcome, shown: true}
	}
	return work, nil
}
