package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/spf13/cobra"

	"github.com/slipway-ci/slipway/config"
	"github.com/slipway-ci/slipway/deploy"
)

func (c *CLI) validateCommand() *cobra.Command {
	var o options
	var schema bool
	cmd := &cobra.Command{
		Use: "validate", Short: "Check slipway.yaml and say every mistake at once", Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			if schema {
				return c.schema()
			}
			return c.validate(o)
		},
	}
	o.configFlag(cmd.Flags())
	cmd.Flags().BoolVar(&schema, "schema", false, "print the JSON Schema for editors instead")
	return cmd
}

func (c *CLI) validate(o options) error {
	file, err := c.load(o)
	if err != nil {
		return err
	}
	names := strings.Join(environmentNames(file.App), ", ")
	if file.App.Preview != nil {
		names += ", and previews of pull requests"
	}
	_, err = fmt.Fprintf(c.Stdout, "%s is valid: %s in %s\n", file.Path, file.App.Name, names)
	return err
}

func (c *CLI) schema() error {
	schema, err := config.Schema()
	if err != nil {
		return err
	}
	_, err = c.Stdout.Write(schema)
	return err
}

func (c *CLI) initCommand() *cobra.Command {
	var force bool
	cmd := &cobra.Command{
		Use: "init", Short: "Write a first slipway.yaml and a workflow", Args: noArguments,
		RunE: func(*cobra.Command, []string) error { return c.init(force) },
	}
	cmd.Flags().BoolVar(&force, "force", false, "overwrite files that are there")
	return cmd
}

// init writes nothing unless it can write all.
func (c *CLI) init(force bool) error {
	dir, err := os.Getwd()
	if err != nil {
		return errNowhere(err)
	}
	files := []struct {
		path    string
		content []byte
	}{
		{"slipway.yaml", config.Starter(filepath.Base(dir))},
		{filepath.Join(".github", "workflows", "slipway.yml"), config.Workflow()},
	}
	for _, f := range files {
		if _, err := os.Lstat(f.path); err == nil && !force {
			return deploy.Usage("keep it, or overwrite it with --force", "%s is there already: nothing was written", f.path)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	for _, f := range files {
		if err := os.MkdirAll(filepath.Dir(f.path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(f.path, f.content, 0o644); err != nil {
			return err
		}
		_, _ = fmt.Fprintln(c.Stdout, "wrote", f.path)
	}
	_, err = fmt.Fprintln(c.Stdout, "next: put your program into build.files, then: slipway release --version 1.0.0")
	return err
}

// version is set by the linker in released binaries.
var version = ""

func (c *CLI) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of slipway", Args: noArguments,
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(c.Stdout, "slipway", versionOfThis())
			return err
		},
	}
}

func versionOfThis() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
