package main

import (
	"context"
	"fmt"

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
	o.imageFlags(f)
	f.BoolVar(&over, "close", false, "remove the preview: the pull request is over")
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would happen and change nothing")
	f.StringVar(&o.report, "report", "", "write the JSON report to this file")
	return cmd
}

func (c *CLI) reapCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use: "reap", Short: "Watch on what was left to bake, remove previews that are over, and old images where the file says so", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.reap(cmd.Context(), o) },
	}
	f := cmd.Flags()
	o.configFlag(f)
	f.StringVar(&o.report, "report", "", "write the JSON report to this file")
	return cmd
}

func (c *CLI) preview(ctx context.Context, o options) error {
	s, request, err := c.openPreview(ctx, o, "preview")
	if err != nil {
		return err
	}
	_, err = s.execute(ctx, request, steps.Preview)
	return err
}

// previewOver is what happens when a pull request is over: in a file without
// previews, nothing.
func (c *CLI) previewOver(ctx context.Context, o options) error {
	file, err := c.load(o)
	if err != nil {
		return err
	}
	if file.App.Preview == nil {
		return c.noPreviews(file.Path)
	}
	return c.closePreview(ctx, o)
}

func (c *CLI) noPreviews(path string) error {
	text := "there are no previews to remove: " + path + " has no environment preview"
	if c.runner.Present() {
		c.runner.Notice("Slipway", text)
		return nil
	}
	_, err := fmt.Fprintln(c.Stdout, text)
	return err
}

func (c *CLI) closePreview(ctx context.Context, o options) error {
	s, request, err := c.openPreview(ctx, o, "preview --close")
	if err != nil {
		return err
	}
	_, err = s.execute(ctx, request, steps.ClosePreview)
	return err
}

func (c *CLI) openPreview(ctx context.Context, o options, operation string) (*session, steps.Request, error) {
	s, err := c.open(o, operation)
	if err != nil {
		return nil, steps.Request{}, err
	}
	request, err := s.previewRequest(ctx)
	return s, request, err
}

// previewRequest is about the environment of a pull request alone.
func (s *session) previewRequest(ctx context.Context) (steps.Request, error) {
	preview := s.file.App.Preview
	if preview == nil {
		return steps.Request{}, deploy.Usage("add one to the file: environments: {preview: {target: sandbox}}",
			"%s has no environment preview", s.file.Path)
	}
	if s.options.pullRequest <= 0 {
		return steps.Request{}, deploy.Usage("name it with --pull-request, such as --pull-request 12", "a preview is of one pull request, and none was named")
	}
	environments := []deploy.Environment{preview.For(s.options.pullRequest)}
	if s.bringsIn() {
		var err error
		if environments, err = s.rendered(ctx, environments); err != nil {
			return steps.Request{}, err
		}
	}
	r := s.newRequest(environments)
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
	release, err := s.request(ctx)
	if err != nil {
		return err
	}
	if s.file.App.Preview == nil {
		_, err = s.execute(ctx, release, steps.PullRequest(release, nil))
		return err
	}
	preview, err := s.previewRequest(ctx)
	if err != nil {
		return err
	}
	_, err = s.execute(ctx, preview, steps.PullRequest(release, &preview))
	return err
}

func (c *CLI) reap(ctx context.Context, o options) error {
	s, err := c.open(o, "reap")
	if err != nil {
		return err
	}
	if !steps.Reaps(s.file.App) {
		return c.noPreviews(s.file.Path)
	}
	_, err = s.execute(ctx, s.newRequest(nil), steps.ReapAndPrune)
	return err
}
