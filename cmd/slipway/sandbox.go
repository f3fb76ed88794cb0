package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/target/sandbox"
	"github.com/slipway-ci/slipway/target/sandbox/daemon"
	"github.com/slipway-ci/slipway/target/sandbox/wire"
)

func (c *CLI) sandboxCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "sandbox", Short: "The target that needs nothing installed: this machine", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(c.sandboxUp(), c.sandboxStatus(), c.sandboxDown(), c.sandboxServe())
	return cmd
}

func (c *CLI) sandboxUp() *cobra.Command {
	return &cobra.Command{
		Use: "up", Short: "Start it, and all that ran in it before", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.sandboxConfig()
			if err != nil {
				return err
			}
			client, err := sandbox.Up(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			return c.showSandbox(cmd.Context(), client)
		},
	}
}

func (c *CLI) sandboxStatus() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "status", Short: "Show what runs in it", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := c.runningSandbox(cmd.Context())
			if client == nil || err != nil {
				return err
			}
			if !asJSON {
				return c.showSandbox(cmd.Context(), client)
			}
			status, err := client.Status(cmd.Context())
			if err != nil {
				return err
			}
			return c.printJSON(status)
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func (c *CLI) sandboxDown() *cobra.Command {
	return &cobra.Command{
		Use: "down", Short: "End it and all that runs in it; `up` brings everything back", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := c.sandboxConfig()
			if err != nil {
				return err
			}
			said := "the sandbox is down; slipway sandbox up brings back what ran"
			if err := sandbox.Down(cmd.Context(), cfg); errors.Is(err, sandbox.ErrDown) {
				said = "the sandbox is down; slipway sandbox up starts it"
			} else if err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.Stdout, said)
			return err
		},
	}
}

// sandboxServe is the background process itself.
func (c *CLI) sandboxServe() *cobra.Command {
	var home string
	cmd := &cobra.Command{
		Use: "serve", Hidden: true, Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return daemon.Serve(cmd.Context(), daemon.Config{Home: home, Version: versionOfThis(), Log: c.log})
		},
	}
	cmd.Flags().StringVar(&home, "home", "", "state folder")
	return cmd
}

// runningSandbox is nil, and said so, where it is down.
func (c *CLI) runningSandbox(ctx context.Context) (*sandbox.Client, error) {
	cfg, err := c.sandboxConfig()
	if err != nil {
		return nil, err
	}
	client, err := sandbox.Connect(ctx, cfg)
	if errors.Is(err, sandbox.ErrDown) {
		_, err := fmt.Fprintln(c.Stdout, "the sandbox is down; slipway sandbox up starts it")
		return nil, err
	}
	return client, err
}

func (c *CLI) showSandbox(ctx context.Context, client *sandbox.Client) error {
	status, err := client.Status(ctx)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintf(w, "sandbox\tup %s, pid %d, %d MiB, slipway %s\n", age(time.Now().Add(-status.Uptime)), status.PID, status.Memory>>20, status.Version)
	_, _ = fmt.Fprintf(w, "state\t%s\n", status.Home)
	_, _ = fmt.Fprintf(w, "registry\t%s\n", status.Registry)
	_, _ = fmt.Fprintf(w, "isolation\t%s\n", orDash(status.Isolation))
	if err := w.Flush(); err != nil || len(status.Environments) == 0 {
		return err
	}
	_, _ = fmt.Fprintln(w, "\nAPP\tENVIRONMENT\tVERSION\tREPLICA\tSTATUS\tRESTARTS\tURL")
	for _, env := range status.Environments {
		printReplicas(w, env)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, env := range status.Environments {
		if env.Problem != "" {
			_, _ = fmt.Fprintf(c.Stdout, "\n%s: %s\n", env.Name, env.Problem)
		}
	}
	return nil
}

func printReplicas(w io.Writer, env wire.Environment) {
	if env.Problem != "" {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t-\tcannot serve\t-\t%s\n", env.App, env.Name, orDash(env.Live), orDash(env.URL))
	}
	for _, r := range env.Replicas {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n", env.App, env.Name, r.Version, r.Name, r.Status, r.Restarts, env.URL)
	}
}
