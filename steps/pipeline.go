package steps

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout"
)

// Step is one part of a pipeline.
type Step struct {
	// Name is what it does, in the imperative, for people.
	Name string
	Run  func(ctx context.Context, w *Work) error
	// Writes: it changes something, so a dry run leaves it out.
	Writes bool
	// Afterwards: what was asked for is done by then. An interruption does not
	// make a failure of it.
	Afterwards bool
}

// Pipeline is steps in their order.
type Pipeline []Step

// Release brings the commit at hand to all environments of the request.
func Release(r Request) Pipeline {
	p := Pipeline{
		{Name: "work out the version", Run: findVersion},        // from the input, the tag, or git
		{Name: "collect the secrets", Run: collectSecrets},      // a missing one is told before anything is built
		{Name: "look at the environments", Run: inspectTargets}, // whether they can do what the strategy needs
		imageStep(r), // whichever way there is to it; nothing sent yet
	}
	jumps := slices.ContainsFunc(r.Environments, r.jumps)
	if r.DryRun || r.Agreed != nil || jumps {
		p = append(p, Step{Name: "work out the digest", Run: digestImage}) // a push would find it
	}
	if jumps {
		p = append(p, Step{Name: "keep to the order of environments", Run: keepOrder})
	}
	if r.Agreed != nil {
		p = append(p, Step{Name: "compare with the plan", Run: compareWithPlan}) // exactly what was agreed to, or nothing
	}
	p = append(p, Step{Name: "push the image", Run: pushImage, Writes: true}) // by digest, then the tag
	p = append(p, deployments(r)...)
	return append(p, tags(r)...) // the last environment has it
}

// Promote brings a version that has been built to an environment: the digest
// that the environment before it has passed, where there is one.
func Promote(r Request) Pipeline {
	p := append(Pipeline{
		{Name: "collect the secrets", Run: collectSecrets},
		{Name: "look at the environments", Run: inspectTargets},
		{Name: "find the version", Run: findReleased},
	}, deployments(r)...)
	return append(p, tags(r)...)
}

// Rollback brings back what an environment ran before, with the configuration
// and the secrets of then. It does not ask today's checks about yesterday's
// version, and switches all users at once: going back has to be fast.
func Rollback(r Request) Pipeline {
	return append(Pipeline{
		{Name: "look at the environments", Run: inspectTargets},
		{Name: "find the revision to go back to", Run: findPrevious},
	}, deployments(r)...)
}

// Build makes the image alone, and pushes it on request. Floating tags follow
// it where that is asked for, too: nothing has been released.
func Build(r Request, push, move bool) Pipeline {
	push = push && !r.DryRun
	p := Pipeline{
		{Name: "work out the version", Run: func(ctx context.Context, w *Work) error {
			w.stays = !push
			return findVersion(ctx, w)
		}},
		imageStep(r),
	}
	if push {
		p = append(p, Step{Name: "push the image", Run: pushImage})
		if move {
			p = append(p, Step{Name: "move the tags", Run: moveTags, Afterwards: true})
		}
		return p
	}
	return append(p, Step{Name: "work out the digest", Run: tellImage})
}

func deployments(r Request) Pipeline {
	var p Pipeline
	for i, env := range r.Environments {
		if env.Repository != "" {
			p = append(p, Step{Name: "copy the image for " + env.Name, Writes: true, Run: func(ctx context.Context, w *Work) error {
				return w.copyImage(ctx, w.Environments[i]) // by digest, before anybody could miss it
			}})
		}
		p = append(p, Step{Name: "deploy to " + env.Name, Run: func(ctx context.Context, w *Work) error {
			if i == 0 {
				w.queue(ctx)
			}
			return w.deploy(ctx, w.Environments[i]) // as its target has it
		}})
	}
	return p
}

// Run walks the pipeline and tells each step. It stops at the first that
// fails, and answers with the outcome of the whole.
func (p Pipeline) Run(ctx context.Context, w *Work) (deploy.Outcome, error) {
	began := time.Now()
	w.tell(ctx, deploy.Event{Kind: deploy.RunStarted, Run: &w.Run, Message: w.title()})
	err := p.walk(ctx, w)
	outcome := w.outcome(err)
	ended := deploy.Event{
		Kind: deploy.RunEnded, Outcome: outcome, Message: w.verdict(outcome, err), Hint: deploy.HintOf(err), Took: time.Since(began),
		Asked: err == nil,
	}
	if _, would := errors.AsType[*refusals](err); would {
		ended.Hint = "" // the warnings have one each
	}
	w.tell(ctx, ended)
	return outcome, err
}

func (p Pipeline) walk(ctx context.Context, w *Work) error {
	for _, step := range p {
		if step.Writes && w.DryRun {
			continue
		}
		if err := ctx.Err(); err != nil && !step.Afterwards {
			return fmt.Errorf("interrupted before it could %s: %w", step.Name, context.Cause(ctx))
		}
		began := time.Now()
		w.tell(ctx, deploy.Event{Kind: deploy.StepStarted, Message: step.Name})
		err := step.Run(ctx, w)
		w.tell(ctx, deploy.Event{Kind: deploy.StepEnded, Message: step.Name, Took: time.Since(began)})
		if err != nil {
			return err
		}
	}
	return nil
}

// stopped is a deployment that ended otherwise than well: it stops a pipeline.
type stopped struct{ result rollout.Result }

// Error is what happened where.
func (s *stopped) Error() string { return s.result.Environment + ": " + s.result.Reason }

// Unwrap gives the cause.
func (s *stopped) Unwrap() error {
	if s.result.Hint == "" {
		return s.result.Err
	}
	return deploy.Hinted(s.result.Err, "%s", s.result.Hint)
}

// outcome of the run: that of the deployment that stopped it, else that of the
// last that has changed anything.
func (w *Work) outcome(err error) deploy.Outcome {
	if s, ok := errors.AsType[*stopped](err); ok {
		return s.result.Outcome
	}
	if u, ok := errors.AsType[*unlike](err); ok {
		return u.outcome
	}
	if err != nil {
		return deploy.Failed
	}
	outcome := deploy.Unchanged
	if w.repaired() {
		outcome = deploy.Promoted
	}
	for _, r := range w.Results {
		if r.Outcome != deploy.Unchanged {
			outcome = r.Outcome // all went as asked, whatever that was
		}
	}
	return outcome
}
