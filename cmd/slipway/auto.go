package main

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/slipway-ci/slipway/action"
	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/report"
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
		return c.skipped(command.Skip)
	}
	if command.Note != "" {
		c.runner.Notice("Slipway", command.Note)
	}
	return c.dispatch(ctx, command, chosen(in, command, event))
}

// skipped ends well where an event is nobody's business: whoever looks at the job,
// or reads its outputs, is told so.
func (c *CLI) skipped(why string) error {
	c.runner.Notice("Slipway", why)
	return errors.Join(
		c.runner.Summary(report.NothingToDo(why)),
		c.runner.SetOutput(action.OutputOutcome, string(deploy.Unchanged)))
}

// chosen are the options of a command that was chosen by an event.
func chosen(in action.Inputs, command action.Command, event action.Event) options {
	o := fromInputs(in)
	o.version, o.reason, o.strategy = command.Version, command.Reason, string(command.Strategy)
	o.dryRun, o.skipOrder = command.DryRun, command.SkipOrder
	o.note = command.Note
	o.ref, o.pullRequest, o.commit = event.Ref, command.PullRequest, event.PullRequest.HeadSHA
	for name := range strings.SplitSeq(command.Environment, ",") {
		if name = strings.TrimSpace(name); name != "" {
			o.environment = append(o.environment, name)
		}
	}
	return o
}

func fromInputs(in action.Inputs) options {
	o := options{
		dir: in.WorkingDirectory, config: in.Config, version: in.Version, strategy: string(in.Strategy), reason: in.Reason,
		dryRun: in.DryRun, push: in.Push, moveTags: in.MoveTags, token: in.GitHubToken, commitStatus: in.CommitStatus,
		repair: in.Repair, image: in.Image, archive: in.Archive,
		registryUser: in.RegistryUser, registryPassword: in.RegistryPassword, kubeconfig: in.Kubeconfig,
	}
	if in.Report != "" {
		o.report = filepath.Join(in.WorkingDirectory, in.Report)
	}
	if in.Plan != "" {
		o.plan = filepath.Join(in.WorkingDirectory, in.Plan)
	}
	return o
}

// dispatch runs a command by its name in the inputs.
func (c *CLI) dispatch(ctx context.Context, command action.Command, o options) error {
	run, known := c.commands()[command.Name]
	switch {
	case !known:
		return deploy.Usage("see action.yml", "there is no command %q", command.Name)
	case command.Close:
		run = c.previewOver
	}
	return run(ctx, o)
}

func (c *CLI) commands() map[string]func(context.Context, options) error {
	steer := func(name string, pipeline func(steps.Request) steps.Pipeline) func(context.Context, options) error {
		return func(ctx context.Context, o options) error { return c.steer(ctx, o, name, pipeline) }
	}
	return map[string]func(context.Context, options) error{
		action.Release:  c.release,
		action.Build:    c.build,
		action.Plan:     c.plan,
		action.Preview:  c.pullRequest,
		action.Reap:     c.reap,
		action.Promote:  c.promote,
		action.Rollback: c.rollback,
		action.Pause:    steer(action.Pause, steps.Pause),
		action.Resume:   steer(action.Resume, steps.Resume),
		action.Abort:    steer(action.Abort, steps.Abort),
		action.Settle: func(ctx context.Context, o options) error {
			o.version = ""
			return c.settle(ctx, o, nobody)
		},
		action.Drift:   c.drift,
		action.Status:  c.status,
		action.History: c.history,
		action.Images:  c.images,
		action.Prune: func(ctx context.Context, o options) error {
			return c.prune(ctx, o, &pruneFlags{flags: &pflag.FlagSet{}}) // by the file
		},
		action.Validate: func(_ context.Context, o options) error { return c.validate(o) },
	}
}
