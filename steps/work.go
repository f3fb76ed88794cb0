package steps

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/registry"
	"github.com/slipway-ci/slipway/registry/dockerfile"
	"github.com/slipway-ci/slipway/rollout"
	"github.com/slipway-ci/slipway/version"
)

// Request is what somebody asked for. It does not change while a pipeline runs.
type Request struct {
	App deploy.App
	// Dir is the folder that the app's files are relative to.
	Dir string
	// Environments are those to deploy to, in order.
	Environments []deploy.Environment
	// Version is explicit, or empty: release works it out, rollback takes the
	// one before.
	Version string
	// Ref is what a runner says that is checked out, such as refs/heads/main;
	// empty asks git.
	Ref string
	// PullRequest is the number of the one that a preview is of; 0 elsewhere.
	PullRequest int
	// Agreed is the plan that a release has to keep to; nil where none was
	// given.
	Agreed *Agreement
	// SkipOrder leaves out what an environment comes after. Owner.Reason says
	// why.
	SkipOrder bool
	// Named: somebody has named the environments; otherwise they are all of the
	// file.
	Named bool
	// DryRun plans and changes nothing; Verbose plans tell all that they know.
	DryRun, Verbose bool
	Run             deploy.Run
	Owner           deploy.Owner
}

// Tools are what a pipeline works with.
type Tools struct {
	Images *registry.Client
	// Builders make images of Dockerfiles.
	Builders *dockerfile.Builders
	Engine   *rollout.Engine
	// Target opens an environment.
	Target func(ctx context.Context, app string, env deploy.Environment) (deploy.Target, error)
	// List names the app's environments at the kind of target that env has.
	List func(ctx context.Context, app string, env deploy.Environment) ([]string, error)
	// Pull asks the forge about a pull request; nil where there is none to ask.
	Pull func(ctx context.Context, number int) (Pull, error)
	// Permit asks the forge whether this run may deploy to an environment; nil
	// where there is none to ask.
	Permit func(ctx context.Context, environment string) (Permit, error)
	// RemovePackage removes an image from the forge's own registry, for one whose
	// registry lets nobody; errors.ErrUnsupported says that it is in another. It
	// is nil where there is no forge to ask.
	RemovePackage func(ctx context.Context, repository, digest string) error
	// Newer says which newer run has brought its version to an environment
	// already, in a sentence; empty where none has. It is nil for what somebody
	// asks for by hand, which is done as asked.
	Newer func(ctx context.Context, environment string) (string, error)
	// Repository is where images go for an app that names none.
	Repository func(ctx context.Context, app string) (string, error)
	// Secret is the value of a secret, and whether there is one.
	Secret   func(name string) (string, bool)
	Reporter deploy.Reporter
	Log      *slog.Logger
}

// Work is a pipeline under way: what its steps hand to those after them.
type Work struct {
	Request
	Tools
	// Source is what git says; its zero value where there is no repository.
	Source version.Source
	// Version is the one being brought in.
	Version string
	// Secrets and Targets are by environment.
	Secrets map[string][]deploy.Secret
	Targets map[string]deploy.Target
	// Made is the image before it is pushed; nil where a dry run does not build.
	Made Made
	// stays: the image is not going anywhere.
	stays bool
	// exact: the version was worked out to be one that other commits could get.
	exact bool
	Image deploy.Image
	// Past is set by rollback: the revision to bring back.
	Past *deploy.Revision
	// Aside is why environments are left to a newer run; empty where none is.
	Aside string
	// Plans are what a dry run would do.
	Plans []deploy.Plan
	// refused is why a release would not come to environments, as a dry run has
	// found.
	refused []refusal
	Results []rollout.Result
	// Drifts are what drift has found, by environment in their order.
	Drifts []Drifted
}

// NewWork begins a pipeline.
func NewWork(r Request, t Tools) *Work {
	return &Work{Request: r, Tools: t, Version: r.Version, Secrets: map[string][]deploy.Secret{}, Targets: map[string]deploy.Target{}}
}

// Close removes what the work has put on disk.
func (w *Work) Close() error {
	if w.Made == nil {
		return nil
	}
	return w.Made.Close()
}

// log never is nil.
func (w *Work) log() *slog.Logger {
	if w.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return w.Log
}

func (w *Work) tell(ctx context.Context, e deploy.Event) {
	if w.Reporter == nil {
		return
	}
	e.At = time.Now()
	if err := w.Reporter.Report(context.WithoutCancel(ctx), e); err != nil && w.Log != nil {
		w.Log.Warn("report", "kind", e.Kind, "error", err)
	}
}

func (w *Work) notice(ctx context.Context, format string, args ...any) {
	w.tell(ctx, deploy.Event{Kind: deploy.Notice, Message: fmt.Sprintf(format, args...)})
}

// warn tells what went wrong beside the deployment.
func (w *Work) warn(ctx context.Context, environment, what string, err error) {
	w.tell(ctx, deploy.Event{
		Kind: deploy.Warning, Environment: environment, Message: fmt.Sprintf("%s: %v", what, err), Hint: deploy.HintOf(err),
	})
}

// title is the run in one line.
func (w *Work) title() string {
	parts := []string{w.Run.Operation, w.App.Name}
	if w.Request.Version != "" {
		parts = append(parts, w.Request.Version)
	}
	if names := w.names(); names != "" {
		parts = append(parts, "to", names)
	}
	return strings.Join(parts, " ")
}

func (w *Work) names() string {
	var names []string
	for _, e := range w.Environments {
		names = append(names, e.Name)
	}
	return strings.Join(names, ", ")
}

// verdict is the run's end in one sentence.
func (w *Work) verdict(o deploy.Outcome, err error) string {
	refused, would := errors.AsType[*refusals](err)
	switch {
	case would:
		return refused.short()
	case err != nil:
		return err.Error()
	case w.repaired():
		return w.compared() + ": put back as it was released"
	case len(w.Drifts) > 0:
		return w.compared() + ": as it was released"
	case w.DryRun:
		return "nothing was changed: this was a dry run"
	case w.Aside != "":
		return "left to a newer run: " + w.Aside
	case len(w.Results) == 0 && len(w.Plans) > 0:
		return "nothing was changed: this was planned for the merge"
	case len(w.Results) == 0 && w.Image.Digest != "":
		return w.Image.String()
	case len(w.Results) == 0:
		return w.Run.Operation + " is done"
	case o == deploy.Held, o == deploy.Reverted, o == deploy.Failed:
		return w.Results[len(w.Results)-1].Reason
	case len(w.Environments) == 0:
		return w.Results[len(w.Results)-1].Reason // of what a scheduled run has looked at
	case o == deploy.Unchanged:
		return fmt.Sprintf("%s is live already in %s", w.Version, w.names())
	}
	return fmt.Sprintf("%s is live in %s", w.Version, w.names()) + w.watched()
}
