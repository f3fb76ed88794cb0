package steps

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout"
)

// ofShop is what acme/shop has released, or why it cannot be read.
type ofShop struct {
	place
	unread error
}

func (o ofShop) State(context.Context) (deploy.State, error) {
	r := deploy.Revision{ID: "1", App: "hello", Environment: o.name}
	record := deploy.Record{
		At: o.last, Phase: deploy.PhaseSettled, Outcome: deploy.Promoted, Candidate: r,
		Owner: deploy.Owner{Origin: deploy.Origin{Repository: "acme/shop"}},
	}
	return deploy.State{Live: &r, Running: []deploy.Running{{Revision: r}}, Record: record, History: []deploy.Record{record}}, o.unread
}

// ofHello is a run of another repository.
var ofHello = deploy.Owner{Origin: deploy.Origin{Repository: "acme/hello"}}

func TestAnEnvironmentOfAnotherRepositoryIsRefused(t *testing.T) {
	const why = "staging of hello was released by acme/shop, and this run is of acme/hello"
	gone := errors.New("the cluster is away")
	for name, c := range map[string]struct {
		owner          deploy.Owner
		unread         error
		dryRun         bool
		refused, later string
	}{
		"another":                  {owner: ofHello, refused: why},
		"planned":                  {owner: ofHello, dryRun: true, later: "staging: " + why},
		"on a command line":        {unread: gone},
		"not to be read":           {owner: ofHello, unread: gone, refused: "read who has released to staging: the cluster is away"},
		"not to be read by a plan": {owner: ofHello, unread: gone, dryRun: true},
	} {
		t.Run(name, func(t *testing.T) {
			env := deploy.Environment{Name: "staging", Strategy: deploy.Strategy{Kind: deploy.BlueGreen}}
			w := NewWork(Request{DryRun: c.dryRun, Owner: c.owner, Environments: []deploy.Environment{env}}, Tools{
				Engine: &rollout.Engine{},
				Target: func(context.Context, string, deploy.Environment) (deploy.Target, error) {
					return ofShop{place{name: "staging"}, c.unread}, nil
				},
			})
			if got := said(inspectTargets(t.Context(), w)); got != c.refused {
				t.Errorf("refused: %q", got)
			}
			if got := said(w.refusals(env)); got != c.later {
				t.Errorf("refused at its end: %q", got)
			}
		})
	}
}

func said(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestPreviewsOfAnotherRepositoryStay(t *testing.T) {
	w, removed, told := previews{"pr-1": 2 * time.Hour, "pr-2": 2 * time.Hour}.work(t, 1, "", nil)
	own := w.Target
	w.Owner, w.Engine = ofHello, &rollout.Engine{}
	w.Target = func(ctx context.Context, app string, env deploy.Environment) (deploy.Target, error) {
		target, err := own(ctx, app, env)
		if at, is := target.(place); is && env.Name == "pr-1" {
			return ofShop{place: at}, err
		}
		return target, err
	}
	for what, act := range map[string]func() error{
		"reap":      func() error { return reap(t.Context(), w) },
		"make room": func() error { return makeRoom(t.Context(), w) },
		"close":     func() error { return w.removePreview(t.Context(), deploy.Environment{Name: "pr-1"}, "it is over") },
	} {
		if err := act(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	slices.Sort(*removed)
	if diff := cmp.Diff([]string{"pr-2"}, slices.Compact(*removed)); diff != "" {
		t.Errorf("removed (-want +got):\n%s", diff)
	}
	if !strings.Contains(told.lines(), "it is left as it is: pr-1 of hello was released by acme/shop") {
		t.Errorf("told:\n%s", told.lines())
	}
}
