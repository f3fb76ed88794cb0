package steps

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout"
)

// forecastLimit bounds what a plan asks a target about its objects.
const forecastLimit = time.Minute

// forecastLines is how many lines a plan has about objects, unless all are asked for.
const forecastLines = 20

// forecast adds to a plan what would become of the target's objects. What a release
// would be refused for is kept for the end of the run.
func (w *Work) forecast(ctx context.Context, d rollout.Deployment, plan *deploy.Plan) {
	f, is := d.Target.(deploy.Forecaster)
	if !is || plan.Live.ID == plan.Candidate.ID {
		return
	}
	limited, cancel := context.WithTimeout(ctx, forecastLimit)
	defer cancel()
	foreseen, err := f.Forecast(limited, d.Candidate)
	if foreseen.Objects != nil {
		plan.Forecast = &foreseen
	}
	switch {
	case unanswered(err):
		w.refuse(ctx, plan.Environment, "what would change is not known in full", err)
	case err != nil:
		w.refuse(ctx, plan.Environment, "a release would be refused, or end badly", err)
	}
}

// unanswered reports whether a target could not be asked: it was not reached, or the
// connection broke. That says nothing of a release.
func unanswered(err error) bool {
	_, broken := errors.AsType[net.Error](err)
	return broken || errors.Is(err, io.ErrUnexpectedEOF)
}

// refuse warns of why a release would not come to an environment, and keeps it for the
// end of the run.
func (w *Work) refuse(ctx context.Context, environment, what string, err error) {
	w.warn(ctx, environment, what, err)
	w.refused = append(w.refused, fmt.Errorf("%s: %w", environment, err))
}

// unseen plans for an environment that could not be looked at: as if something was live
// there.
func (w *Work) unseen(ctx context.Context, d rollout.Deployment, err error) {
	environment := d.Candidate.Environment
	w.refuse(ctx, environment, "what is there could not be read, so that what would change is not known", err)
	something := deploy.Revision{ID: "unknown", Environment: environment, Config: d.Candidate.Config}
	lines := stages(rollout.PlanFor(d, something))
	lines = append([]string{fmt.Sprintf("%s: %s would come after what is live now", d.Strategy.Kind, d.Candidate)}, lines...)
	for _, line := range lines {
		w.tell(ctx, deploy.Event{Kind: deploy.Notice, Environment: environment, Message: line})
	}
}

// refusals are an error once all environments were planned for.
func (w *Work) refusals(env deploy.Environment) error {
	if len(w.refused) == 0 || env.Name != w.Environments[len(w.Environments)-1].Name {
		return nil
	}
	err := errors.Join(w.refused...)
	if hint := deploy.HintOf(w.refused[0]); hint != "" {
		err = deploy.Hinted(err, "%s", hint)
	}
	return err
}

// objects are lines about what would become of a target's objects: first how many, then
// each field that would change, and what would be made and removed.
func objects(f *deploy.Forecast, all bool) []string {
	if f == nil {
		return nil
	}
	n := map[deploy.Fate]int{}
	var lines, others []string
	for _, o := range f.Objects {
		n[o.Fate]++
		switch o.Fate {
		case deploy.FateMade:
			others = append(others, "+ "+o.Object)
		case deploy.FateRemoved:
			others = append(others, "- "+o.Object)
		case deploy.FateChanged:
			for _, field := range o.Fields {
				lines = append(lines, "~ "+o.Object+" "+field.String())
			}
		}
		for _, taken := range o.Taken {
			lines = append(lines, "! taken over: "+taken)
		}
	}
	lines = append(lines, others...)
	for _, unknown := range f.Unknown {
		lines = append(lines, "? not known: "+unknown)
	}
	for _, warning := range f.Warnings {
		lines = append(lines, "! the cluster warns: "+warning)
	}
	if more := len(lines) - forecastLines; more > 0 && !all {
		lines = append(lines[:forecastLines], fmt.Sprintf("… and %d more lines: slipway plan --verbose shows them", more))
	}
	return append([]string{fmt.Sprintf("objects: %d would change, %d be made, %d be removed; %d stay as they are",
		n[deploy.FateChanged], n[deploy.FateMade], n[deploy.FateRemoved], f.Unchanged)}, lines...)
}
