package rollout

import (
	"context"
	"slices"

	"github.com/slipway-ci/slipway/deploy"
)

// Own refuses, with a *deploy.Foreign, a run to which the environment does not
// belong: another repository has released what is live there, or is on its way
// there, under the same name. Where either repository is not known, as on a
// command line, nobody is refused.
func (e *Engine) Own(s deploy.State, o deploy.Owner) error {
	by, holds := holder(s)
	if !holds || !o.Origin.Known() || by.Owner.Origin.Is(o.Origin) || e.releasesFrom(by.Owner.Origin) {
		return nil
	}
	foreign := &deploy.Foreign{App: by.Candidate.App, Environment: by.Candidate.Environment, Holder: by.Owner, From: o.Origin}
	other := foreign.Holder.Origin.Repository
	return deploy.Usage(
		"two apps need two names, or in a cluster two namespaces; where it is one app that has moved, or that both release, say so in slipway.yaml: released-from: ["+other+"]",
		"%w", foreign)
}

// releasesFrom reports whether a repository is one of those that slipway.yaml names.
func (e *Engine) releasesFrom(o deploy.Origin) bool {
	return slices.ContainsFunc(e.ReleasedFrom, func(name string) bool { return o.Is(deploy.Origin{Repository: name}) })
}

// holder is the record of who has an environment: of the rollout that is not over,
// else of what was promoted last. Records of runs outside of GitHub say nothing of
// that, and are passed over. There is none where nothing is live or on its way.
func holder(s deploy.State) (deploy.Record, bool) {
	if r := s.Record; r.Unfinished() && r.Owner.Origin.Known() {
		return r, true
	}
	if liveIn(s).IsZero() {
		return deploy.Record{}, false
	}
	for _, r := range slices.Backward(s.History) {
		if r.Outcome == deploy.Promoted && r.Owner.Origin.Known() {
			return r, true
		}
	}
	return deploy.Record{}, false
}

// ownState reads the state of an environment that belongs to the run.
func (e *Engine) ownState(ctx context.Context, s site, o deploy.Owner) (deploy.State, error) {
	state, err := e.state(ctx, s)
	if err == nil {
		err = e.Own(state, o)
	}
	return state, err
}

// leftAlone is the result of a run that would look after what others have begun, and
// finds that it is another repository's.
func (e *Engine) leftAlone(ctx context.Context, s deploy.State, why error) Result {
	live := liveIn(s)
	e.tell(ctx, deploy.Event{Kind: deploy.Notice, Environment: s.Record.Candidate.Environment, Message: "left alone: " + why.Error()})
	return Result{Outcome: deploy.Unchanged, Reason: why.Error(), URL: s.URL, Live: live, Previous: live}
}
