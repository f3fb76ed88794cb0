package steps

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout"
)

// agreedSchema is the version of the form of an Agreement.
const agreedSchema = 1

// Agreement is what a plan shows and people agree to: what would be done to
// each environment, as things stood then. A release that is given one does
// exactly this, or nothing.
type Agreement struct {
	Schema  int       `json:"schema"`
	App     string    `json:"app"`
	Version string    `json:"version"`
	Digest  string    `json:"digest"`
	Made    time.Time `json:"made"`
	// Plans are in the order in which they would be walked.
	Plans []deploy.Plan `json:"plans"`
}

// Agreement is what a dry run has found.
func (w *Work) Agreement() Agreement {
	return Agreement{Schema: agreedSchema, App: w.App.Name, Version: w.Version, Digest: w.Image.Digest, Made: time.Now().UTC(), Plans: w.Plans}
}

// ParseAgreement reads one as JSON.
func ParseAgreement(content []byte) (*Agreement, error) {
	a := &Agreement{}
	const hint = "make one with: slipway plan --out FILE"
	if err := json.Unmarshal(content, a); err != nil {
		return nil, deploy.Usage(hint, "it is not a plan: %w", err)
	}
	switch {
	case a.Schema != agreedSchema:
		return nil, deploy.Usage(hint, "it is a plan of form %d, and this slipway reads form %d", a.Schema, agreedSchema)
	case a.Version == "" || a.Digest == "" || len(a.Plans) == 0:
		return nil, deploy.Usage(hint, "it is a plan without a version, a digest or environments")
	}
	return a, nil
}

// compareWithPlan refuses a release that would do something else than what was
// agreed to. Nothing has been pushed or changed at that point.
func compareWithPlan(ctx context.Context, w *Work) error {
	changed := w.sameRelease()
	for _, env := range w.Environments {
		now, _, err := rollout.Preview(ctx, w.deployment(env))
		if err != nil {
			return err
		}
		for _, line := range w.Agreed.against(now) {
			changed = append(changed, env.Name+": "+line)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return deploy.Hinted(errors.New("the plan does not hold any more: "+strings.Join(changed, "; ")),
		"look at a new plan: slipway plan --out FILE")
}

// sameRelease says in what the release itself differs.
func (w *Work) sameRelease() []string {
	var changed []string
	a := w.Agreed
	if a.App != w.App.Name {
		changed = append(changed, fmt.Sprintf("it is for the app %s, not %s", a.App, w.App.Name))
	}
	if a.Version != w.Version {
		changed = append(changed, fmt.Sprintf("it is for version %s, and this is %s", a.Version, w.Version))
	}
	for _, p := range a.Plans {
		if _, asked := w.environment(p.Environment); !asked {
			changed = append(changed, fmt.Sprintf("%s is in it, and not in this release", p.Environment))
		}
	}
	return changed
}

// environment is one of those that the request deploys to.
func (w *Work) environment(name string) (deploy.Environment, bool) {
	for _, e := range w.Environments {
		if e.Name == name {
			return e, true
		}
	}
	return deploy.Environment{}, false
}

// against says what has changed about an environment since the plan was made.
func (a Agreement) against(now deploy.Plan) []string {
	var then *deploy.Plan
	for i := range a.Plans {
		if a.Plans[i].Environment == now.Environment {
			then = &a.Plans[i]
		}
	}
	if then == nil {
		return []string{"it is not in the plan"}
	}
	var changed []string
	if then.Live.ID != now.Live.ID {
		changed = append(changed, fmt.Sprintf("%s was live then, and %s is now", then.Live, now.Live))
	}
	if then.Candidate.ID != now.Candidate.ID {
		changed = append(changed, differences(then.Candidate, now.Candidate)...)
	}
	if !reflect.DeepEqual(then.Strategy, now.Strategy) || len(then.Stages) != len(now.Stages) {
		changed = append(changed, fmt.Sprintf("the strategy was %s in %d stages, and is %s in %d",
			then.Strategy.Kind, len(then.Stages), now.Strategy.Kind, len(now.Stages)))
	}
	return changed
}
