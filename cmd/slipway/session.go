package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"

	"github.com/slipway-ci/slipway/action"
	"github.com/slipway-ci/slipway/checks"
	"github.com/slipway-ci/slipway/config"
	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/forge"
	"github.com/slipway-ci/slipway/registry"
	"github.com/slipway-ci/slipway/registry/dockerfile"
	"github.com/slipway-ci/slipway/report"
	"github.com/slipway-ci/slipway/rollout"
	"github.com/slipway-ci/slipway/steps"
	"github.com/slipway-ci/slipway/target/kubernetes"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
	"github.com/slipway-ci/slipway/target/kubernetes/bundle"
	"github.com/slipway-ci/slipway/target/sandbox"
	"github.com/slipway-ci/slipway/target/sandbox/wire"
)

// session is one command at work on one slipway.yaml.
type session struct {
	*CLI
	options options
	file    *config.File
	// dir is the folder that the file's paths are relative to.
	dir string
	run deploy.Run
	// sandbox is the connection to it, once one was needed.
	sandbox *sandbox.Client
	// clusters are those of Kubernetes that were needed, by their context.
	clusters map[string]*kubernetes.Client
	// placed are the targets in them, by the names of their environments.
	placed map[string]*kubernetes.Target
	// bundles are the manifests of environments that this command brings a version
	// into, by their names.
	bundles map[string]*bundle.Bundle
	// reporter is told what happens, once there is a pipeline.
	reporter deploy.Reporter
	// forge is GitHub; nil where there is nobody to ask.
	forge *forge.Client
	// deployments is the report there; nil where nothing is reported.
	deployments *report.Deployments
	// keys is the keychain, once one was needed.
	keys authn.Keychain
}

// open reads the file and says what this run is.
func (c *CLI) open(o options, operation string) (*session, error) {
	if err := o.checked(); err != nil {
		return nil, err
	}
	file, err := c.load(o)
	if err != nil {
		return nil, err
	}
	if err := o.ready(&file.App); err != nil {
		return nil, err
	}
	s := &session{CLI: c, options: o, file: file, dir: root(file.Path), run: c.runner.Run()}
	if s.run.ID == "" {
		host, _ := os.Hostname()
		s.run.ID = fmt.Sprintf("%s-%d-%d", host, os.Getpid(), time.Now().Unix())
	}
	if s.run.Who == "" {
		s.run.Who = c.login()
	}
	s.run.Operation, s.run.App = operation, file.App.Name
	if o.commit != "" {
		s.run.Commit = o.commit
	}
	if token := s.token(); token != "" {
		c.runner.AddMask(token)
	}
	s.hide(file.App)
	handed := s.handed()
	if handed.password != "" {
		c.runner.AddMask(handed.password)
	}
	for _, secret := range access.Secrets(s.kubeconfig()) {
		c.runner.AddMask(secret)
	}
	return s, handed.checked()
}

// hide masks the values of all secrets that the file names, those of previews
// and of the build among them.
func (s *session) hide(app deploy.App) {
	if d := app.Build.Dockerfile; d != nil {
		s.hideBuild(d)
	}
	environments := app.Environments
	if app.Preview != nil {
		environments = append(slices.Clip(environments), app.Preview.Environment)
	}
	for _, env := range environments {
		names := slices.Clone(env.Service.Secrets)
		for _, m := range env.Strategy.Judging.Metrics {
			names = append(append(names, m.Token, m.Password), slices.Collect(maps.Values(m.Headers))...)
		}
		for _, name := range names {
			if value := s.secretValue(name); value != "" {
				s.runner.AddMask(value)
			}
		}
	}
}

// secretValue is the value of a secret; empty where there is none.
func (s *session) secretValue(name string) string {
	if name == "" {
		return ""
	}
	return s.Getenv(name)
}

func (c *CLI) load(o options) (*config.File, error) {
	dir, err := filepath.Abs(o.dir)
	if err != nil {
		return nil, errNowhere(err)
	}
	path := o.config
	if path == "" {
		if path, err = config.Find(dir); err != nil {
			return nil, err
		}
	} else if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	return config.Load(path, rules())
}

// errNowhere is for a working folder that was removed under this process.
func errNowhere(err error) error {
	return deploy.Usage("change to a folder that is there", "find the working folder: %w", err)
}

// rules are what the file is held against that config itself does not know.
func rules() config.Rules {
	return config.Rules{
		Expression: checks.Validate,
		Metric:     validMetric,
		Targets: map[string]config.Target{
			"sandbox":      {Strategies: sandbox.Kinds()},
			kindKubernetes: {Strategies: kubernetes.Kinds()},
		},
	}
}

// root is the folder of the project: the file's own, or the one above .github.
func root(path string) string {
	dir := filepath.Dir(path)
	if filepath.Base(dir) == ".github" {
		return filepath.Dir(dir)
	}
	return dir
}

// owner is this run as holds and journals name it.
func (s *session) owner() deploy.Owner {
	host, _ := os.Hostname()
	reason := s.run.Operation
	if s.options.version != "" {
		reason += " " + s.options.version
	}
	if s.options.skipOrder {
		reason += ", not in order"
	}
	if s.options.reason != "" {
		reason += ": " + s.options.reason
	}
	return deploy.Owner{
		Run: s.run.ID, URL: s.run.URL, Who: s.run.Who, Reason: reason, Host: host, PID: os.Getpid(),
		Origin: s.runner.Origin(),
	}
}

// request is what the options ask for.
func (s *session) request(ctx context.Context) (steps.Request, error) {
	environments, err := s.options.choose(s.file.App)
	if err != nil {
		return steps.Request{}, err
	}
	if s.bringsIn() {
		if environments, err = s.rendered(ctx, environments); err != nil {
			return steps.Request{}, err
		}
	}
	r := s.newRequest(environments)
	r.Agreed, err = s.options.agreed()
	return r, err
}

func (s *session) newRequest(environments []deploy.Environment) steps.Request {
	return steps.Request{
		App: s.file.App, Dir: s.dir, Environments: environments, Named: len(s.options.environment) > 0, Version: s.options.version, SkipOrder: s.options.skipOrder,
		Ref: s.options.ref, DryRun: s.options.dryRun, Verbose: s.options.verbose, Run: s.run, Owner: s.owner(),
	}
}

// tools are the parts that pipelines work with.
func (s *session) tools(reporter deploy.Reporter) steps.Tools {
	s.reporter = reporter
	tools := steps.Tools{
		Images:     &registry.Client{Keychain: s.keychain(), Mirrors: s.file.App.Mirrors, Log: s.log},
		Builders:   &dockerfile.Builders{Place: s.builders(), Login: s.login},
		Engine:     s.engine(reporter),
		Target:     s.target,
		List:       s.list,
		Repository: s.repository,
		Secret: func(name string) (string, bool) {
			value := s.Getenv(name)
			return value, value != ""
		},
		Reporter: reporter,
		Log:      s.log,
	}
	if s.forge != nil {
		tools.Pull, tools.Permit, tools.RemovePackage = s.pull, s.permit, s.packageRemover()
	}
	if s.deployments != nil && s.unasked() {
		tools.Newer = s.newer
	}
	return tools
}

func (s *session) engine(reporter deploy.Reporter) *rollout.Engine {
	asker := &checks.Runner{Dir: s.dir, Env: handedOn(s.Environ), Scrub: s.masker.String}
	return &rollout.Engine{
		Reporter: reporter, Log: s.log, Measure: s.measuring, ReleasedFrom: s.file.App.ReleasedFrom,
		Check: func(ctx context.Context, url string, r deploy.Revision, list []deploy.Check, done func(deploy.CheckResult)) []deploy.CheckResult {
			subject := checks.Subject{URL: url, Version: r.Image.Version, Environment: r.Environment}
			return asker.Run(ctx, subject, list, done)
		},
	}
}

// target opens an environment. A dry run starts nothing: where no sandbox was
// ever used, it plans for an environment that is empty. Of one that is down it
// is not known what it holds.
func (s *session) target(ctx context.Context, app string, env deploy.Environment) (deploy.Target, error) {
	if env.Target.Kind == kindKubernetes {
		return s.clusterTarget(ctx, app, env)
	}
	if s.run.Operation == action.Drift {
		return empty{app, env.Name}, nil // nobody has to start it to be told that it does not drift
	}
	client, err := s.connect(ctx)
	if errors.Is(err, sandbox.ErrDown) && s.unused() {
		return empty{app, env.Name}, nil
	}
	if err != nil {
		return nil, err
	}
	return client.Target(app, env), nil
}

// unused says that no environment was ever made in this machine's sandbox.
func (c *CLI) unused() bool {
	home, err := c.home()
	if err != nil {
		return false
	}
	entries, err := os.ReadDir(wire.Home(home).Dir("environments"))
	return errors.Is(err, fs.ErrNotExist) || err == nil && len(entries) == 0
}

// list names the app's environments where an environment is.
func (s *session) list(ctx context.Context, app string, env deploy.Environment) ([]string, error) {
	if env.Target.Kind == kindKubernetes {
		c, err := s.cluster(ctx, env)
		if err != nil {
			return nil, err
		}
		return c.Environments(ctx, app, env)
	}
	client, err := s.connect(ctx)
	if errors.Is(err, sandbox.ErrDown) && s.unused() {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	status, err := client.Status(ctx)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, env := range status.Environments {
		if env.App == app {
			names = append(names, env.Name)
		}
	}
	return names, nil
}

func (s *session) repository(ctx context.Context, app string) (string, error) {
	client, err := s.connect(ctx)
	if err != nil {
		return "", err
	}
	return client.Registry() + "/" + app, nil
}

// connect reaches the sandbox, and starts it unless this run changes nothing.
func (s *session) connect(ctx context.Context) (*sandbox.Client, error) {
	if s.sandbox != nil {
		return s.sandbox, nil
	}
	cfg, err := s.sandboxConfig()
	if err != nil {
		return nil, err
	}
	cfg.Login = s.login
	open := sandbox.Up
	if s.options.dryRun {
		open = sandbox.Connect
	}
	client, err := open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s.sandbox = client
	s.tellWeakness(ctx, client)
	return client, nil
}

// tellWeakness says once in a run that changes something what the sandbox lacks
// on this machine.
func (s *session) tellWeakness(ctx context.Context, client *sandbox.Client) {
	weakness := client.Weakness()
	if weakness == "" || s.reporter == nil || s.options.dryRun {
		return
	}
	notice := deploy.Event{At: time.Now(), Kind: deploy.Notice, Message: weakness}
	if err := s.reporter.Report(context.WithoutCancel(ctx), notice); err != nil {
		s.log.Warn("report", "kind", notice.Kind, "error", err)
	}
}

func (c *CLI) sandboxConfig() (sandbox.Config, error) {
	home, err := c.home()
	if err != nil {
		return sandbox.Config{}, err
	}
	executable, err := c.Executable()
	if err != nil {
		return sandbox.Config{}, fmt.Errorf("find this program's own file: %w", err)
	}
	return sandbox.Config{Home: home, Executable: executable, Log: c.log}, nil
}

// empty is an environment of a sandbox that does not exist yet, for dry runs.
type empty struct{ app, environment string }

func (e empty) String() string { return "sandbox " + e.app + "/" + e.environment }

func (empty) State(context.Context) (deploy.State, error) { return deploy.State{}, nil }

// errDry is what an act on a dry run would be: a mistake in the wiring.
var errDry = errors.New("a dry run changes nothing")

func (empty) Start(context.Context, deploy.Revision) error  { return errDry }
func (empty) Switch(context.Context, deploy.Revision) error { return errDry }
func (empty) Stop(context.Context, deploy.Revision) error   { return errDry }

func (empty) Split(context.Context, deploy.Revision, deploy.Percent) error { return errDry }
func (empty) Roll(context.Context, deploy.Revision, deploy.Batch) error    { return errDry }
