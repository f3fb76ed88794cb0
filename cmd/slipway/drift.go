package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/steps"
)

func (c *CLI) driftCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use: "drift [ENVIRONMENT…]", Short: "Show what others have changed since the last release, and put it back on request",
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.environment = append(o.environment, args...)
			return c.drift(cmd.Context(), o)
		},
	}
	f := cmd.Flags()
	o.configFlag(f)
	o.environmentFlag(f, "only these environments (default: all of the file)")
	f.BoolVar(&o.repair, "repair", false, "put back what differs; refused while a release is under way")
	f.BoolVar(&o.json, "json", false, "print JSON")
	f.StringVar(&o.reason, "reason", "", "why it is put back, for the lock and the reports")
	f.StringVar(&o.report, "report", "", "write the JSON report to this file")
	return cmd
}

// appDrift is the form of `slipway drift --json`.
type appDrift struct {
	App          string             `json:"app"`
	Environments []environmentDrift `json:"environments"`
}

type environmentDrift struct {
	Name string `json:"name"`
	deploy.Drift
	// Error is why it could not be compared, or not be repaired; absent where it
	// was.
	Error string `json:"error,omitempty"`
}

// drift exits with 0 where nothing differs, or all of it was put back, and as a
// rollout that is held where something does: a person decides what should be.
func (c *CLI) drift(ctx context.Context, o options) error {
	s, err := c.open(o, "drift")
	if err != nil {
		return err
	}
	request, err := s.request(ctx)
	if err != nil {
		return err
	}
	work, err := s.execute(ctx, request, func(r steps.Request) steps.Pipeline { return steps.Drift(r, o.repair) })
	if !o.json || work == nil {
		return err
	}
	if e, shown := errors.AsType[*ended](err); shown && len(work.Drifts) == 0 {
		e.shown = false // nothing of it is in the JSON
		return err
	}
	all := appDrift{App: s.file.App.Name, Environments: []environmentDrift{}}
	for _, d := range work.Drifts {
		e := environmentDrift{Name: d.Environment, Drift: d.Drift}
		if e.Found == nil {
			e.Found = []deploy.Difference{}
		}
		if d.Err != nil {
			e.Error = d.Err.Error()
		}
		all.Environments = append(all.Environments, e)
	}
	return errors.Join(c.printJSON(all), err)
}

// found counts the differences of all environments, and reports whether all could
// be compared.
func found(drifts []steps.Drifted) (n int, told bool) {
	for _, d := range drifts {
		if d.Err != nil {
			return 0, false
		}
		n += len(d.Found)
	}
	return n, len(drifts) > 0
}
