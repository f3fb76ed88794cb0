package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/steps"
)

func (c *CLI) previewCommand() *cobra.Command {
	var o options
	var over bool
	cmd := &cobra.Command{
		Use: "preview", Short: "Bring the commit at hand to the environment of its pull request, or remove that", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if over {
				return c.closePreview(cmd.Context(), o)
			}
			return c.preview(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	o.configFlag(f)
	f.IntVar(&o.pullRequest, "pull-request", 0, "number of the pull request (required)")
	f.BoolVar(&over, "close", false, "remove the preview: the pull request is over")
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would happen and change nothing")
	f.StringVar(&o.report, "report", "", "write the JSON report to this file")
	return cmd
}

func (c *CLI) reapCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use: "reap", Short: "Remove previews whose pull request is over, or that outlived their time", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.reap(cmd.Context(), o) },
	}
	f := cmd.Flags()
	o.configFlag(f)
	f.StringVar(&o.report, "report", "", "write the JSON report to this file")
	return cmd
}

func (c *CLI) preview(ctx context.Context, o options) error {
	s, request, err := c.openPreview(o, "preview")
	if err != nil {
		return err
	}
	return s.perform(ctx, request, steps.Preview)
}

func (c *CLI) closePreview(ctx context.Context, o options) error {
	s, request, err := c.openPreview(o, "preview --close")
	if err != nil {
		return err
	}
	return s.perform(ctx, request, steps.ClosePreview)
}

func (c *CLI) openPreview(o options, operation string) (*session, steps.Request, error) {
	s, err := c.open(o, operation)
	if err != nil {
		return nil, steps.Request{}, err
	}
	request, err := s.previewRequest()
	return s, request, err
}

// previewRequest is about the environment of a pull request alone.
func (s *session) previewRequest() (steps.Request, error) {
	preview := s.file.App.Preview
	if preview == nil {
		return steps.Request{}, deploy.Usage("add one to the file: environments: {preview: {target: sandbox}}",
			"%s has no environment preview", s.file.Path)
	}
	if s.options.pullRequest <= 0 {
		return steps.Request{}, deploy.Usage("name it with --pull-request, such as --pull-request 12", "a preview is of one pull request, and none was named")
	}
	r := s.newRequest([]deploy.Environment{preview.For(s.options.pullRequest)})
	r.PullRequest, r.Version = s.options.pullRequest, ""
	return r, nil
}

// pullRequest plans what merging would do, and previews the commit where the
// file has a preview and somebody may see it run.
func (c *CLI) pullRequest(ctx context.Context, o options) error {
	s, err := c.open(o, "preview")
	if err != nil {
		return err
	}
	release, err := s.request()
	if err != nil {
		return err
	}
	if s.file.App.Preview == nil {
		return s.perform(ctx, release, steps.PullRequest(release, nil))
	}
	preview, err := s.previewRequest()
	if err != nil {
		return err
	}
	return s.perform(ctx, preview, steps.PullRequest(release, &preview))
}

func (c *CLI) reap(ctx context.Context, o options) error {
	s, err := c.open(o, "reap")
	if err != nil {
		return err
	}
	if s.file.App.Preview == nil {
		c.runner.Notice("Slipway", "there are no previews to remove: "+s.file.Path+" has no environment preview")
		return nil
	}
	return s.perform(ctx, s.newRequest(nil), steps.Reap)
}
