package main

import (
	"cmp"
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/registry"
	"github.com/slipway-ci/slipway/steps"
	versions "github.com/slipway-ci/slipway/version"
)

func (c *CLI) imagesCommand() *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use: "images", Short: "Show which versions there are, and which environments need them", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.images(cmd.Context(), o) },
	}
	f := cmd.Flags()
	o.configFlag(f)
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

func (c *CLI) pruneCommand() *cobra.Command {
	var o options
	rule := pruneFlags{}
	cmd := &cobra.Command{
		Use: "prune", Short: "Remove old pre-releases that no environment needs", Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return c.prune(cmd.Context(), o, &rule) },
	}
	f := cmd.Flags()
	o.configFlag(f)
	rule.add(f)
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would happen and change nothing")
	f.StringVar(&o.report, "report", "", "write the JSON report to this file")
	return cmd
}

// pruneFlags are what the command line says of the rule.
type pruneFlags struct {
	rule  deploy.Prune
	flags *pflag.FlagSet
}

func (p *pruneFlags) add(f *pflag.FlagSet) {
	p.flags = f
	f.IntVar(&p.rule.Keep, "keep-newest", 0, "how many of the newest stay, whatever their age (default: 10)")
	f.DurationVar(&p.rule.OlderThan, "older-than", 0, "how old the others have to be, such as 720h, which is the default")
	f.StringVar(&p.rule.Pattern, "pattern", "", "which versions it is about, such as '0.0.0-pr.*' (default: all pre-releases)")
	f.BoolVar(&p.rule.Stable, "stable", false, "stable versions may go, too")
}

// over is the rule of the file with what the flags say otherwise.
func (p *pruneFlags) over(file *deploy.Prune) (*deploy.Prune, error) {
	rule := deploy.DefaultPrune()
	if file != nil {
		rule = *file
	}
	if p.flags.Changed("keep-newest") {
		rule.Keep = p.rule.Keep
	}
	if p.flags.Changed("older-than") {
		rule.OlderThan = p.rule.OlderThan
	}
	if p.flags.Changed("pattern") {
		rule.Pattern = p.rule.Pattern
	}
	if p.flags.Changed("stable") {
		rule.Stable = p.rule.Stable
	}
	switch _, err := path.Match(rule.Pattern, ""); {
	case rule.Keep < 0:
		return nil, deploy.Usage("use a number such as 10; 0 keeps none for being new", "--keep-newest %d is less than none", rule.Keep)
	case rule.OlderThan < 0:
		return nil, deploy.Usage("use a time such as 720h", "--older-than %s is in the future", rule.OlderThan)
	case err != nil:
		return nil, deploy.Usage("use one such as '0.0.0-pr.*' or '*-beta.*'", "--pattern %q: %w", rule.Pattern, err)
	}
	return &rule, nil
}

func (c *CLI) prune(ctx context.Context, o options, flags *pruneFlags) error {
	s, err := c.open(o, "prune")
	if err != nil {
		return err
	}
	if s.file.App.Prune, err = flags.over(s.file.App.Prune); err != nil {
		return err
	}
	_, err = s.execute(ctx, s.newRequest(nil), steps.Prune)
	return err
}

// appImages is the form of `slipway images --json`.
type appImages struct {
	App    string        `json:"app"`
	Images []imageStatus `json:"images"`
}

type imageStatus struct {
	Repository string `json:"repository"`
	// Version is what its tag says; tags that are no versions are as they are.
	Version string `json:"version"`
	Digest  string `json:"digest"`
	// Size is in bytes, as it is stored, of all platforms.
	Size int64 `json:"size"`
	// Created is the time that the image names; absent where it names none.
	Created *time.Time `json:"created,omitempty"`
	// Environments need it.
	Environments []steps.Use `json:"environments"`
}

func (c *CLI) images(ctx context.Context, o options) error {
	o.dryRun = true // it starts nothing
	s, err := c.open(o, "images")
	if err != nil {
		return err
	}
	work := steps.NewWork(s.newRequest(nil), s.tools(nil))
	used, err := work.Used(ctx)
	if err != nil {
		return &ended{err: err, outcome: deploy.Unknown}
	}
	repositories, err := work.Repositories(ctx)
	if err != nil {
		return err
	}
	all := appImages{App: s.file.App.Name, Images: []imageStatus{}}
	for _, repository := range repositories {
		listed, err := work.Images.List(ctx, repository)
		if err != nil {
			return err
		}
		slices.SortFunc(listed, highestFirst)
		for _, l := range listed {
			all.Images = append(all.Images, newImageStatus(repository, l, used))
		}
	}
	if o.json {
		return c.printJSON(all)
	}
	return c.printImages(all, len(repositories) > 1)
}

// highestFirst puts versions before other tags.
func highestFirst(a, b registry.Listed) int {
	return cmp.Or(versions.Compare(b.Version, a.Version), cmp.Compare(a.Version, b.Version))
}

func newImageStatus(repository string, l registry.Listed, used steps.Used) imageStatus {
	i := imageStatus{Repository: repository, Version: l.Version, Digest: l.Digest, Size: l.Size, Environments: used.Of(l.Digest, l.Version)}
	if i.Environments == nil {
		i.Environments = []steps.Use{}
	}
	if !l.Created.IsZero() {
		i.Created = &l.Created
	}
	return i
}

func (c *CLI) printImages(all appImages, several bool) error {
	if len(all.Images) == 0 {
		_, err := fmt.Fprintln(c.Stdout, "there are no images yet")
		return err
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 0, 2, ' ', 0)
	header := "VERSION\tDIGEST\tAGE\tSIZE\tENVIRONMENTS"
	if several {
		header += "\tREPOSITORY"
	}
	_, _ = fmt.Fprintln(w, header)
	for _, i := range all.Images {
		created := "-"
		if i.Created != nil {
			created = age(*i.Created)
		}
		line := fmt.Sprintf("%s\t%s\t%s\t%s\t%s", i.Version, deploy.ShortDigest(i.Digest), created, size(i.Size), needs(i.Environments))
		if several {
			line += "\t" + i.Repository
		}
		_, _ = fmt.Fprintln(w, line)
	}
	return w.Flush()
}

// needs names the environments; those that do not run it say why they need it.
func needs(uses []steps.Use) string {
	var names []string
	for _, use := range uses {
		switch use.As {
		case steps.AsLive:
			names = append(names, use.Environment)
		default:
			names = append(names, fmt.Sprintf("%s (%s)", use.Environment, use.As))
		}
	}
	return orDash(strings.Join(names, ", "))
}

// size is a number of bytes in the largest unit that leaves a whole one.
func size(bytes int64) string {
	const unit = 1000
	if bytes < unit {
		return fmt.Sprintf("%d B", bytes)
	}
	value, names := float64(bytes)/unit, "kMGTPE"
	i := 0
	for ; value >= unit; i++ {
		value /= unit
	}
	return fmt.Sprintf("%.1f %cB", value, names[i])
}
