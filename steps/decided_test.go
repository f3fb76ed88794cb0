package steps

import (
	"context"
	"errors"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

// opinionated is a target that has stages and replicas of its own.
type opinionated struct {
	deploy.Target
	refuses error
}

func (o opinionated) Decided(_ context.Context, e deploy.Environment) (deploy.Environment, []string, error) {
	e.Strategy, e.Service.Replicas = deploy.Strategy{Kind: deploy.BlueGreen, Given: []deploy.Given{{}}}, 7
	return e, []string{"it has steps of its own"}, o.refuses
}

func TestATargetThatDecidesIsHeard(t *testing.T) {
	asked := []deploy.Environment{{Name: "production", Strategy: deploy.Strategy{Kind: deploy.BlueGreen}}}
	heard := &story{}
	w := NewWork(Request{Environments: asked}, Tools{
		Reporter: heard,
		Target:   func(context.Context, string, deploy.Environment) (deploy.Target, error) { return opinionated{}, nil },
	})
	if err := openTargets(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	d := w.deployment(w.Environments[0])
	if d.Candidate.Config.Replicas != 7 || len(d.Strategy.Given) != 1 {
		t.Errorf("deployed is %+v by %+v", d.Candidate.Config, d.Strategy)
	}
	if got := heard.lines(); got != "notice : production: it has steps of its own" {
		t.Errorf("told: %q", got)
	}
	if asked[0].Service.Replicas != 0 {
		t.Error("whoever asked has got another environment")
	}
	w.Past = &deploy.Revision{ID: "a"}
	if got := w.deployment(w.Environments[0]).Strategy; got.Kind != deploy.BlueGreen || len(got.Given) != 1 {
		t.Errorf("a rollback is %+v", got)
	}
}

func TestATargetThatDecidesMayRefuse(t *testing.T) {
	other := errors.New("the Rollout has other steps")
	w := NewWork(Request{Environments: []deploy.Environment{{Name: "production", Strategy: deploy.Strategy{Kind: deploy.BlueGreen}}}}, Tools{
		Target: func(context.Context, string, deploy.Environment) (deploy.Target, error) {
			return opinionated{refuses: other}, nil
		},
	})
	if err := openTargets(t.Context(), w); !errors.Is(err, other) {
		t.Errorf("got %v", err)
	}
}
