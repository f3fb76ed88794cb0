package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/steps"
)

func (c *CLI) planCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use: "plan", Short: "Show what a release would do to each environment, and change nothing", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.plan(cmd.Context(), o) },
	}
	f := cmd.Flags()
	o.configFlag(f)
	o.versionFlag(f, "version", "semver of the release (default: the tag, or computed from git)")
	o.environmentFlag(f, "only these environments (default: all of the file)")
	f.StringVar(&o.strategy, "strategy", "", "override the strategy of the file")
	o.imageFlags(f)
	f.StringVar(&o.output, "out", "", "write the plan to this file, for: slipway release --plan FILE")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "tell every field of every object that would change")
	f.BoolVar(&o.json, "json", false, "print JSON: what --out writes, or what of it is known")
	f.StringVar(&o.report, "report", "", "write the JSON report to this file")
	return cmd
}

// plan is a dry run of a release whose findings can be kept.
func (c *CLI) plan(ctx context.Context, o options) error {
	o.dryRun = true
	s, err := c.open(o, "plan")
	if err != nil {
		return err
	}
	request, err := s.request(ctx)
	if err != nil {
		return err
	}
	work, err := s.execute(ctx, request, steps.Release)
	if e, failed := errors.AsType[*ended](err); failed && o.json {
		e.shown = false // it is not in the JSON
	}
	if o.json && work != nil && (err == nil || len(work.Plans) > 0) {
		err = errors.Join(c.printJSON(work.Agreement()), err)
	}
	if err != nil || o.output == "" {
		return err
	}
	if work.Image.Digest == "" {
		return deploy.Usage(fmt.Sprintf("make the image first: slipway build --push --version %s", work.Version),
			"a plan to keep to names the image by its digest, and %s is not built yet", work.Version)
	}
	content, err := json.MarshalIndent(work.Agreement(), "", "  ")
	if err != nil {
		return err
	}
	if err := os.WriteFile(o.output, append(content, '\n'), 0o644); err != nil {
		return fmt.Errorf("write the plan: %w", err)
	}
	if o.json {
		return nil // there is nothing but JSON on the screen
	}
	_, err = fmt.Fprintf(c.Stdout, "wrote %s; do exactly this with: slipway release --plan %s\n", o.output, o.output)
	return err
}

// agreed reads the plan that a release has to keep to.
func (o options) agreed() (*steps.Agreement, error) {
	if o.plan == "" {
		return nil, nil
	}
	content, err := os.ReadFile(o.plan)
	if err != nil {
		return nil, deploy.Usage("make one with: slipway plan --out FILE", "read the plan: %w", err)
	}
	a, err := steps.ParseAgreement(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.plan, err)
	}
	return a, nil
}
