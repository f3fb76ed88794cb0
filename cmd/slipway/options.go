package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/slipway-ci/slipway/deploy"
	versions "github.com/slipway-ci/slipway/version"
)

// options are what flags and action inputs say. Each command uses a part.
type options struct {
	config      string
	version     string
	environment []string
	strategy    string
	reason      string
	report      string
	dryRun      bool
	// verbose has plans tell all that they know.
	verbose bool
	push    bool
	// moveTags moves floating tags to what is pushed.
	moveTags bool
	output   string
	// image is the reference of an image that was built elsewhere, archive the
	// path of one on disk; they go over what the file says. Both may be empty.
	image, archive string
	// plan is the path of the plan to keep to.
	plan string
	// skipOrder leaves out what an environment comes after.
	skipOrder bool
	// commitStatus sets statuses of the commit at GitHub.
	commitStatus bool
	json         bool
	// repair puts back what drift finds.
	repair bool
	// dir is the folder to work in; empty is the process's.
	dir string
	// token is for GitHub; empty reports nothing there.
	token string
	// registryUser and registryPassword open the registry of the image; both are
	// empty where others do.
	registryUser, registryPassword string
	// kubeconfig is the text of one; empty where files, or the cluster that this
	// process runs in, say which cluster is meant.
	kubeconfig string
	// ref is what a runner says is checked out.
	ref string
	// note is a sentence that the reports begin with.
	note string
	// commit is that of a pull request's branch; a runner names the one that
	// GitHub merged for a try. Empty is the runner's.
	commit string
	// pullRequest is the number that is named, by the event too; 0 asks GitHub.
	pullRequest int
}

func (o *options) configFlag(f *pflag.FlagSet) {
	f.StringVar(&o.config, "config", "", "path of slipway.yaml (default: here or under .github)")
}

func (o *options) versionFlag(f *pflag.FlagSet, name, usage string) {
	f.StringVar(&o.version, name, "", usage)
}

func (o *options) environmentFlag(f *pflag.FlagSet, usage string) {
	f.StringSliceVar(&o.environment, "environment", nil, usage)
}

func (o *options) deployFlags(f *pflag.FlagSet) {
	f.StringVar(&o.strategy, "strategy", "", "override the strategy of the file: "+strings.Join(kinds(), ", "))
	f.StringVar(&o.reason, "reason", "", "why, for the lock and the reports")
	f.BoolVar(&o.dryRun, "dry-run", false, "show what would happen and change nothing")
	f.StringVar(&o.report, "report", "", "write the JSON report to this file")
}

func kinds() []string {
	var names []string
	for _, k := range deploy.Kinds {
		names = append(names, string(k))
	}
	return names
}

func (o *options) orderFlag(f *pflag.FlagSet) {
	f.BoolVar(&o.skipOrder, "skip-order", false, "do without the environment that this one comes after; needs --reason")
}

func (o *options) imageFlags(f *pflag.FlagSet) {
	f.StringVar(&o.image, "image", "", "an image that is built already, by tag or digest in a registry, in place of what the file says")
	f.StringVar(&o.archive, "archive", "", "an image on disk: an OCI layout, or what docker save has written")
}

// ready puts an image that is built already in place of what the file says.
func (o *options) ready(app *deploy.App) error {
	switch {
	case o.image == "" && o.archive == "":
		return nil
	case o.image != "" && o.archive != "":
		return deploy.Usage("leave one of them out", "image and archive both say where the image comes from")
	}
	build := deploy.Build{Image: o.image, Platforms: app.Build.Platforms}
	if o.archive != "" {
		at, err := filepath.Abs(filepath.Join(o.dir, o.archive))
		if filepath.IsAbs(o.archive) {
			at = o.archive
		}
		if err != nil {
			return errNowhere(err)
		}
		build.Archive = at
	}
	app.Build = build
	return nil
}

func (o *options) statusFlag(f *pflag.FlagSet) {
	f.BoolVar(&o.commitStatus, "commit-status", false, "on a runner, set a status of the commit at GitHub for each environment, too")
}

// checked refuses values that no file is needed for to see that they are wrong.
func (o *options) checked() error {
	if o.strategy != "" && !slices.Contains(kinds(), o.strategy) {
		return deploy.Usage("use one of "+strings.Join(kinds(), ", "), "there is no strategy %q", o.strategy)
	}
	if o.skipOrder && o.reason == "" {
		return deploy.Usage("say why with --reason, such as --reason 'hotfix for the outage'", "--skip-order needs a reason, which is recorded")
	}
	return nil
}

// exact reads the version of a release, which is one by its number.
func (o *options) exact() error {
	if o.version == "" {
		return nil
	}
	v, err := versions.Parse(o.version)
	o.version = v
	return err
}

// wanted reads a version that is chosen from those that there are.
func (o *options) wanted() error {
	if o.version == "" {
		return nil
	}
	v, err := versions.ParseWanted(o.version)
	o.version = v
	return err
}

// one is the single environment that a command is about.
func (o *options) one(command string) error {
	if len(o.environment) != 1 {
		return deploy.Usage("name it with --environment, such as --environment production",
			"%s is about one environment, and %d were named", command, len(o.environment))
	}
	return nil
}

// choose picks the environments of the request from the app's: the named ones,
// in the order of the file, or all.
func (o *options) choose(app deploy.App) ([]deploy.Environment, error) {
	for _, name := range o.environment {
		if _, ok := app.Environment(name); !ok {
			return nil, noEnvironment(app, name)
		}
	}
	var chosen []deploy.Environment
	for _, env := range app.Environments {
		if len(o.environment) > 0 && !slices.Contains(o.environment, env.Name) {
			continue
		}
		if k := deploy.Kind(o.strategy); k != "" && k != env.Strategy.Kind {
			if len(env.Strategy.Approve) > 0 {
				return nil, deploy.Usage("leave --strategy out, or change the file",
					"the strategy of %s asks for a person at %v, and --strategy %s would do without", env.Name, env.Strategy.Approve, k)
			}
			env.Strategy = env.Strategy.By(k)
		}
		chosen = append(chosen, env)
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("%s has no environment", app.Name)
	}
	return chosen, nil
}

func noEnvironment(app deploy.App, name string) error {
	if name == deploy.PreviewName && app.Preview != nil {
		return deploy.Usage("slipway preview --pull-request 12 brings the commit at hand to pr-12", "%s is the pattern of previews, and no environment to deploy to", name)
	}
	return deploy.Usage("the file has "+strings.Join(environmentNames(app), ", "), "there is no environment %q", name)
}

func environmentNames(app deploy.App) []string {
	var names []string
	for _, e := range app.Environments {
		names = append(names, e.Name)
	}
	return names
}
