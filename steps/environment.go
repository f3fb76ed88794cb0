package steps

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout"
)

// collectSecrets finds the values of all secrets of all environments.
func collectSecrets(ctx context.Context, w *Work) error {
	var missing []string
	for _, env := range w.Environments {
		for _, name := range env.Service.Secrets {
			value, ok := w.Secret(name)
			if !ok || value == "" {
				missing = append(missing, name+" ("+env.Name+")")
				continue
			}
			w.Secrets[env.Name] = append(w.Secrets[env.Name], deploy.NewSecret(w.App.Name, env.Name, name, value))
		}
	}
	if len(missing) > 0 && w.DryRun {
		w.notice(ctx, "no value here for the secret %s: whether it changes is not known", strings.Join(missing, ", "))
		return nil
	}
	if len(missing) > 0 {
		return deploy.Usage("give each as an environment variable; in a workflow: env: {NAME: ${{ secrets.NAME }}}",
			"no value for the secret %s", strings.Join(missing, ", "))
	}
	return nil
}

// inspectTargets opens the environments, and refuses what they cannot do, what
// this login may not do there, what another repository has under their name, and
// what the forge does not let into them.
func inspectTargets(ctx context.Context, w *Work) error {
	if err := openTargets(ctx, w); err != nil {
		return err
	}
	var refused error
	for _, env := range w.Environments {
		refused = also(refused, w.admitted(ctx, env))
	}
	if refused == nil { // what may not be read is told already
		refused = w.ownTargets(ctx)
	}
	return also(refused, w.askPermits(ctx))
}

// openTargets opens the environments and refuses what they cannot do.
func openTargets(ctx context.Context, w *Work) error {
	w.Environments = slices.Clone(w.Environments)
	for i, env := range w.Environments {
		target, err := w.Target(ctx, w.App.Name, env)
		if err != nil {
			return fmt.Errorf("%s: %w", env.Name, err)
		}
		if env, err = w.decided(ctx, target, env); err != nil {
			return fmt.Errorf("%s: %w", env.Name, err)
		}
		w.Environments[i] = env
		if err := rollout.Supports(target, env.Strategy); err != nil {
			return fmt.Errorf("%s: %w", env.Name, err)
		}
		if err := rollout.SupportsTasks(target, env.Tasks); err != nil {
			return fmt.Errorf("%s: %w", env.Name, err)
		}
		if err := w.advised(ctx, target, env); err != nil {
			return fmt.Errorf("%s: %w", env.Name, err)
		}
		w.Targets[env.Name] = target
	}
	return nil
}

// admitted refuses a target in which this login may not do what has to be done, or
// that would not take what is brought. A dry run goes on, and leaves the latter to its
// forecast.
func (w *Work) admitted(ctx context.Context, env deploy.Environment) error {
	err := permitted(ctx, w.Targets[env.Name])
	switch {
	case err == nil && !w.DryRun:
		return accepted(ctx, w.Targets[env.Name])
	case err != nil && w.DryRun:
		what := "a release would be refused"
		if unanswered(err) {
			what = "whether a release would be refused could not be asked"
		}
		w.refuse(ctx, env.Name, what, err)
		return nil
	}
	return err
}

func permitted(ctx context.Context, target deploy.Target) error {
	if p, is := target.(deploy.Permitted); is {
		return p.Permitted(ctx)
	}
	return nil
}

func accepted(ctx context.Context, target deploy.Target) error {
	if a, is := target.(deploy.Accepter); is {
		return a.Accepts(ctx)
	}
	return nil
}

// decided is the environment as its target has it.
func (w *Work) decided(ctx context.Context, target deploy.Target, env deploy.Environment) (deploy.Environment, error) {
	d, is := target.(deploy.Decider)
	if !is {
		return env, nil
	}
	decided, notes, err := d.Decided(ctx, env)
	if err != nil {
		return env, err
	}
	for _, note := range notes {
		w.notice(ctx, "%s: %s", env.Name, note)
	}
	return decided, nil
}

// advised tells what the target has to say of the strategy, or refuses it.
func (w *Work) advised(ctx context.Context, target deploy.Target, env deploy.Environment) error {
	a, is := target.(deploy.Adviser)
	if !is {
		return nil
	}
	notes, err := a.Advise(env.Strategy)
	for _, note := range notes {
		w.notice(ctx, "%s: %s", env.Name, note)
	}
	return err
}

// queue tells which environments the run is going to come to, now that it is
// known with what.
func (w *Work) queue(ctx context.Context) {
	if w.DryRun {
		return
	}
	for _, env := range w.Environments {
		d := w.deployment(env)
		plan := deploy.Plan{Environment: env.Name, Strategy: d.Strategy, Candidate: d.Candidate}
		w.tell(ctx, deploy.Event{
			Kind: deploy.Queued, Environment: env.Name, Plan: &plan, Message: fmt.Sprintf("%s is to come to %s", d.Candidate, env.Name),
		})
	}
}

// newerLimit bounds the wait for the forge.
const newerLimit = 10 * time.Second

// stepAside leaves an environment to a newer run that has been there meanwhile:
// an older version must not take its place. Once it has left one, the run
// leaves those after it, too. What the forge does not tell holds nobody up.
func (w *Work) stepAside(ctx context.Context, env deploy.Environment) bool {
	if w.Newer != nil && w.Aside == "" {
		limited, cancel := context.WithTimeout(ctx, newerLimit)
		defer cancel()
		why, err := w.Newer(limited, env.Name)
		if err != nil && w.Log != nil {
			w.Log.Debug("look for newer runs", "environment", env.Name, "error", err)
		}
		w.Aside = why
	}
	if w.Aside == "" {
		return false
	}
	w.tell(ctx, deploy.Event{Kind: deploy.SteppedAside, Environment: env.Name, Message: w.Aside})
	w.Results = append(w.Results, rollout.Result{Environment: env.Name, Outcome: deploy.Unchanged, Reason: w.Aside})
	return true
}

// deploy brings the revision to one environment, or plans it on a dry run.
func (w *Work) deploy(ctx context.Context, env deploy.Environment) error {
	d := w.deployment(env)
	if w.DryRun {
		return w.plan(ctx, env, d)
	}
	if w.stepAside(ctx, env) {
		return nil
	}
	result := w.Engine.Deploy(ctx, d)
	w.Results = append(w.Results, result)
	if !result.Well() {
		return &stopped{result}
	}
	return nil
}

// deployment is what is to be done to an environment.
func (w *Work) deployment(env deploy.Environment) rollout.Deployment {
	d := rollout.Deployment{
		Target: w.Targets[env.Name], Candidate: w.revision(env), Strategy: env.Strategy, Checks: env.Checks, Tasks: env.Tasks,
		Owner: w.Owner, Operation: w.Run.Operation,
	}
	if w.Past != nil {
		// What today's tasks would do to yesterday's version nobody knows: the
		// way back of a migration is another migration.
		d.Past = true
		d.Strategy, d.Checks, d.Tasks = deploy.Strategy{Kind: deploy.BlueGreen, Errors: env.Strategy.Errors, Given: env.Strategy.Given}, nil, deploy.Tasks{}
	}
	return d
}

func (w *Work) revision(env deploy.Environment) deploy.Revision {
	if w.Past != nil {
		return *w.Past
	}
	r := deploy.NewRevision(w.App.Name, env, w.imageFor(env), w.Secrets[env.Name])
	if w.Image.Digest == "" { // a dry run does not build
		r.ID = unbuilt
	}
	return r
}

// imageFor is the image as an environment pulls it: from a repository of its own,
// or else from where it was pushed to. What passed another environment may have
// been pulled from that one's.
func (w *Work) imageFor(env deploy.Environment) deploy.Image {
	image := w.Image
	switch {
	case env.Repository != "":
		image.Repository = env.Repository
	case slices.ContainsFunc(w.App.Environments, func(e deploy.Environment) bool { return e.Repository == image.Repository }):
		image.Repository = w.App.Repository // which is there, or no environment had its own
	}
	return image
}

// copies says whether the image has to come to another repository first. Going
// back pulls what was pulled before.
func (w *Work) copies(env deploy.Environment) bool {
	return w.Past == nil && w.imageFor(env).Repository != w.Image.Repository
}

// copyImage brings the image to where an environment pulls it from, before any of
// its users could miss it.
func (w *Work) copyImage(ctx context.Context, env deploy.Environment) error {
	if !w.copies(env) || w.Aside != "" {
		return nil
	}
	to := w.imageFor(env)
	image, sent, err := w.Images.Copy(ctx, w.Image, to.Repository)
	if err != nil {
		return fmt.Errorf("%s: %w", env.Name, err)
	}
	message := fmt.Sprintf("%s is there already", image)
	if sent {
		message = fmt.Sprintf("copied %s from %s", image, w.Image.Repository)
	}
	w.notice(ctx, "%s", message)
	return nil
}

func (w *Work) plan(ctx context.Context, env deploy.Environment, d rollout.Deployment) error {
	plan, state, err := rollout.Preview(ctx, d)
	switch {
	case err != nil && ctx.Err() != nil:
		return err
	case err != nil:
		w.unseen(ctx, d, err)
		return w.refusals(env)
	}
	what, refused := w.forecast(ctx, d, &plan)
	w.Plans = append(w.Plans, plan)
	lines := append(describe(plan, state), objects(plan.Forecast, w.Verbose)...)
	if w.copies(env) && plan.Live.ID != plan.Candidate.ID {
		lines = append(lines, fmt.Sprintf("before that, the image is copied from %s to %s", w.Image.Repository, w.imageFor(env).Repository))
	}
	for i, line := range lines {
		e := deploy.Event{Kind: deploy.Notice, Environment: plan.Environment, Message: line}
		if i == 0 {
			e.Plan = &plan
		}
		w.tell(ctx, e)
	}
	if refused != nil {
		w.refuse(ctx, env.Name, what, refused)
	}
	return w.refusals(env)
}

// describe is a plan in lines for people.
func describe(p deploy.Plan, state deploy.State) []string {
	if p.Live.ID == p.Candidate.ID {
		return []string{fmt.Sprintf("%s is live already: nothing would change", p.Candidate)}
	}
	lines := []string{fmt.Sprintf("%s: %s would replace %s", p.Strategy.Kind, p.Candidate, p.Live)}
	lines = append(lines, differences(p.Live, p.Candidate)...)
	lines = append(lines, stages(p)...)
	if compared := rollout.Compared(p); compared != "" {
		lines = append(lines, compared)
	}
	if state.Record.Baking() {
		lines = append(lines, "before that, the watch ends: "+rollout.Watched(state.Record))
	}
	if state.Lock != nil {
		lines = append(lines, "in the way: "+(&deploy.Locked{Environment: p.Environment, Lock: *state.Lock}).Error())
	}
	return lines
}

// stages are what is done, in its order.
func stages(p deploy.Plan) []string {
	var lines []string
	for _, t := range p.Tasks.Before {
		lines = append(lines, rollout.DescribeTask(deploy.TaskBefore, t))
	}
	for i, s := range p.Stages {
		lines = append(lines, fmt.Sprintf("%d. %s", i+1, rollout.Describe(s)))
	}
	for _, t := range p.Tasks.After {
		lines = append(lines, rollout.DescribeTask(deploy.TaskAfter, t))
	}
	return lines
}

// differences are what changes besides the image: names and values of the
// configuration, names alone of secrets.
func differences(from, to deploy.Revision) []string {
	if from.IsZero() {
		return nil
	}
	var lines []string
	say := func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }
	switch {
	case to.Image.Digest == "":
		say("image: %s → what the build makes", deploy.ShortDigest(from.Image.Digest))
	case from.Image.Digest != to.Image.Digest:
		say("image: %s → %s", deploy.ShortDigest(from.Image.Digest), deploy.ShortDigest(to.Image.Digest))
	}
	if a, b := from.Config.Replicas, to.Config.Replicas; a != b {
		say("replicas: %d → %d", a, b)
	}
	for _, name := range names(from.Config.Env, to.Config.Env) {
		a, had := from.Config.Env[name]
		b, has := to.Config.Env[name]
		switch {
		case !had:
			say("env %s: added as %q", name, b)
		case !has:
			say("env %s: removed", name)
		case a != b:
			say("env %s: %q → %q", name, a, b)
		}
	}
	before, after := versions(from.Secrets), versions(to.Secrets)
	for _, name := range names(before, after) {
		if before[name] != after[name] {
			say("secret %s: changed", name)
		}
	}
	return lines
}

func versions(secrets []deploy.Secret) map[string]string {
	m := map[string]string{}
	for _, s := range secrets {
		m[s.Name] = s.Version
	}
	return m
}

// names are the keys of both maps, sorted, each once.
func names(a, b map[string]string) []string {
	var all []string
	for name := range a {
		all = append(all, name)
	}
	for name := range b {
		all = append(all, name)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
