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

// forecast adds to a plan what would become of the target's objects, and says what a
// release would be refused for, if anything, with what that means for the plan. A
// target that does not know, or in which nothing would change, is asked for the latter
// alone.
func (w *Work) forecast(ctx context.Context, d rollout.Deployment, plan *deploy.Plan) (what string, err error) {
	ctx, cancel := context.WithTimeout(ctx, forecastLimit)
	defer cancel()
	f, is := d.Target.(deploy.Forecaster)
	switch {
	case is && plan.Live.ID != plan.Candidate.ID:
		var foreseen deploy.Forecast
		if foreseen, err = f.Forecast(ctx, d.Candidate); foreseen.Objects != nil {
			plan.Forecast = &foreseen
		}
	case !w.refuses(plan.Environment):
		err = accepted(ctx, d.Target)
	}
	if unanswered(err) {
		return "what would change is not known in full", err
	}
	return "a release would be refused", err
}

// unanswered reports whether a target could not be asked: it was not reached, or the
// connection broke. That says nothing of a release.
func unanswered(err error) bool {
	_, broken := errors.AsType[net.Error](err)
	return broken || errors.Is(err, io.ErrUnexpectedEOF)
}

// unseen plans for an environment that could not be looked at: as if something was live
// there.
func (w *Work) unseen(ctx context.Context, d rollout.Deployment, err error) {
	environment := d.Candidate.Environment
	something := deploy.Revision{ID: "unknown", Environment: environment, Config: d.Candidate.Config}
	lines := stages(rollout.PlanFor(d, something))
	lines = append([]string{fmt.Sprintf("%s: %s would come after what is live now", d.Strategy.Kind, d.Candidate)}, lines...)
	for _, line := range lines {
		w.tell(ctx, deploy.Event{Kind: deploy.Notice, Environment: environment, Message: line})
	}
	const what = "what is there could not be read, so that what would change is not known"
	if !w.refuses(environment) {
		w.refuse(ctx, environment, what, err)
		return
	}
	// A login that may too little cannot read, either: it was warned of.
	w.tell(ctx, deploy.Event{Kind: deploy.Notice, Environment: environment, Message: fmt.Sprintf("%s: %v", what, err)})
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
