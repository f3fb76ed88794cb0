package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/slipway-ci/slipway/action"
	"github.com/slipway-ci/slipway/deploy"
)

// CLI is the command line as a value: everything that it takes from a process.
type CLI struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	Getenv         func(string) string
	// Environ is the whole environment; the commands that checks run get a part of
	// it, see handedOn.
	Environ []string
	// Executable is the path of this program, which the sandbox starts again.
	Executable func() (string, error)
	// Terminal says that Stdout is one, Width columns wide (0: not known).
	Terminal bool
	Width    int

	runner *action.Runner
	masker *action.Masker
	log    *slog.Logger
	// screen is the bare Stdout, for what masks by itself and writes half lines.
	screen io.Writer
}

// Main runs the arguments and returns the exit code. Everything that it prints
// goes through the masker, errors too.
func (c *CLI) Main(ctx context.Context, args []string) int {
	c.screen = c.Stdout
	c.runner = action.New(c.Getenv, c.screen)
	c.masker = c.runner.Masker()
	out, errs := c.masker.Writer(c.screen), c.masker.Writer(c.Stderr)
	c.Stdout, c.Stderr = out, errs
	c.log = slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: c.logLevel()}))

	root := c.root() //nolint:contextcheck // cobra hands every command the context of ExecuteContext
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errs)
	err := root.ExecuteContext(ctx)
	c.complain(err)
	// A command that is for its output has returned the error of the write. How
	// a deployment has ended is true, whoever could read it.
	_, _ = out.Close(), errs.Close()
	if err != nil {
		return exitCode(err)
	}
	return 0
}

// logLevel is debug where a runner or a user asks for it.
func (c *CLI) logLevel() slog.Level {
	if c.Getenv("RUNNER_DEBUG") == "1" || c.Getenv("SLIPWAY_DEBUG") == "1" {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

func (c *CLI) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "slipway",
		Short: "From a commit to its users, and back if it must",
		Long: "Slipway builds an immutable image once, proves it in staging, moves production to the\n" +
			"same digest by the strategy that slipway.yaml names, and puts the old version back by\n" +
			"itself when anything says so.",
		SilenceErrors: true, SilenceUsage: true,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(wrongFlag)
	root.AddCommand(
		c.releaseCommand(), c.buildCommand(), c.promoteCommand(), c.rollbackCommand(),
		c.planCommand(), c.previewCommand(), c.reapCommand(), c.judgeCommand(), c.pauseCommand(), c.resumeCommand(), c.abortCommand(),
		c.statusCommand(), c.historyCommand(), c.imagesCommand(), c.pruneCommand(), c.settleCommand(), c.driftCommand(),
		c.validateCommand(), c.initCommand(), c.sandboxCommand(), c.autoCommand(), c.versionCommand(),
	)
	return root
}

// wrongFlag refuses a flag, with the one that was probably meant.
func wrongFlag(cmd *cobra.Command, err error) error {
	hint := cmd.CommandPath() + " --help lists the flags"
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		if near := nearestFlag(cmd.Flags(), unknown.GetSpecifiedName()); near != "" {
			hint = "did you mean --" + near + "?"
		}
	}
	return deploy.Usage(hint, "%s", err.Error())
}

// nearestFlag is the flag whose name is at most two typing errors away, empty
// where there is none.
func nearestFlag(flags *pflag.FlagSet, name string) string {
	nearest, least := "", 3
	flags.VisitAll(func(f *pflag.Flag) {
		if d := levenshtein.ComputeDistance(name, f.Name); d < least && !f.Hidden {
			nearest, least = f.Name, d
		}
	})
	return nearest
}

// noArguments refuses arguments, with the commands to choose from where a
// command was meant.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	if !cmd.HasSubCommands() {
		return deploy.Usage(cmd.CommandPath()+" --help lists the flags", "%s takes no argument: %q", cmd.CommandPath(), args[0])
	}
	cmd.SuggestionsMinimumDistance = 2
	hint := cmd.CommandPath() + " --help lists the commands"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean " + strings.Join(near, " or ") + "?"
	}
	return deploy.Usage(hint, "%s has no command %q", cmd.CommandPath(), args[0])
}

// home is where Slipway keeps the state of this machine.
func (c *CLI) home() (string, error) {
	if h := c.Getenv("SLIPWAY_HOME"); h != "" {
		return filepath.Abs(h)
	}
	if h := c.Getenv("XDG_STATE_HOME"); filepath.IsAbs(h) {
		return filepath.Join(h, "slipway"), nil
	}
	if h := c.Getenv("HOME"); h != "" {
		return filepath.Join(h, ".local", "state", "slipway"), nil
	}
	return "", deploy.Usage("set SLIPWAY_HOME to a folder for it", "there is no place to keep state: neither HOME nor SLIPWAY_HOME is set")
}

// logins are the environment variables that name the user of a shell.
var logins = []string{"USER", "LOGNAME", "USERNAME"}

// login is who runs this on a command line.
func (c *CLI) login() string {
	for _, name := range logins {
		if v := c.Getenv(name); v != "" {
			return v
		}
	}
	if u, err := user.Current(); err == nil && u.Username != "" {
		return u.Username
	}
	return fmt.Sprintf("uid %d", os.Getuid())
}
