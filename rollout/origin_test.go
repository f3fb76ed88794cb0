package rollout

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// of is a run of a repository.
func of(repository, id string) deploy.Owner {
	return deploy.Owner{
		Run: "run of " + repository, URL: "https://github.com/" + repository + "/actions/runs/1",
		Origin: deploy.Origin{Repository: repository, ID: id},
	}
}

// done is the record of a deployment of the old version that is over.
func done(o deploy.Owner, outcome deploy.Outcome) deploy.Record {
	return deploy.Record{Owner: o, Phase: deploy.PhaseSettled, Outcome: outcome, Candidate: oldOne}
}

func TestAnEnvironmentIsOfOneRepository(t *testing.T) {
	shop, hello := of("acme/shop", "1"), of("acme/hello", "2")
	held := deploy.Record{Owner: hello, Phase: deploy.PhaseHeld, Candidate: newOne}
	for name, c := range map[string]struct {
		history []deploy.Record
		record  deploy.Record
		empty   bool
		by      deploy.Owner
		also    []string
		refused bool
	}{
		"nobody has released":       {by: hello},
		"the same":                  {history: []deploy.Record{done(hello, deploy.Promoted)}, by: hello},
		"another":                   {history: []deploy.Record{done(shop, deploy.Promoted)}, by: hello, refused: true},
		"another, in other letters": {history: []deploy.Record{done(of("Acme/Hello", ""), deploy.Promoted)}, by: hello},
		"renamed":                   {history: []deploy.Record{done(of("acme/old", "2"), deploy.Promoted)}, by: hello},
		"renamed, without a number": {history: []deploy.Record{done(of("acme/old", ""), deploy.Promoted)}, by: of("acme/hello", ""), refused: true},
		"on a command line":         {history: []deploy.Record{done(shop, deploy.Promoted)}, by: me},
		"after a command line":      {history: []deploy.Record{done(me, deploy.Promoted)}, by: hello},
		"a command line between":    {history: []deploy.Record{done(shop, deploy.Promoted), done(me, deploy.Promoted)}, by: hello, refused: true},
		"it is named":               {history: []deploy.Record{done(shop, deploy.Promoted)}, by: hello, also: []string{"acme/other", "ACME/shop"}},
		"others are named":          {history: []deploy.Record{done(shop, deploy.Promoted)}, by: hello, also: []string{"acme/other"}, refused: true},
		"the last one counts":       {history: []deploy.Record{done(shop, deploy.Promoted), done(hello, deploy.Promoted)}, by: hello},
		"what failed does not":      {history: []deploy.Record{done(shop, deploy.Promoted), done(hello, deploy.Reverted)}, by: hello, refused: true},
		"nothing is live any more":  {history: []deploy.Record{done(shop, deploy.Promoted)}, by: hello, empty: true},
		"the first is on its way":   {record: held, by: shop, empty: true, refused: true},
		"the next is on its way":    {history: []deploy.Record{done(shop, deploy.Promoted)}, record: held, by: hello},
	} {
		t.Run(name, func(t *testing.T) {
			state := serving().state
			if c.empty {
				state = newFake().state
			}
			state.History, state.Record = c.history, c.record
			err := (&Engine{ReleasedFrom: c.also}).Own(state, c.by)
			if _, is := errors.AsType[*deploy.Foreign](err); is != c.refused || (err != nil) != c.refused {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAForeignEnvironmentIsTold(t *testing.T) {
	state := serving().state
	state.History = []deploy.Record{done(of("acme/shop", "1"), deploy.Promoted)}
	err := (&Engine{}).Own(state, of("acme/hello", "2"))
	const want = "production of hello was released by acme/shop (https://github.com/acme/shop/actions/runs/1), and this run is of acme/hello"
	if err == nil || err.Error() != want || !deploy.IsUsage(err) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if hint := deploy.HintOf(err); !strings.Contains(hint, "released-from: [acme/shop]") {
		t.Errorf("the hint names no way on: %s", hint)
	}
}

// TestAForeignEnvironmentIsNotTouched has all that acts at an environment meet one
// that another repository has released to since somebody looked.
func TestAForeignEnvironmentIsNotTouched(t *testing.T) {
	hello := of("acme/hello", "2")
	for name, c := range map[string]struct {
		phase deploy.Phase
		act   func(*testing.T, *Engine, *fake) Result
		want  deploy.Outcome
	}{
		"deploy": {deploy.PhaseSettled, func(t *testing.T, e *Engine, f *fake) Result {
			d := deployment(f, deploy.BlueGreen)
			d.Owner = hello
			return e.Deploy(t.Context(), d)
		}, deploy.Failed},
		"resume": {deploy.PhaseHeld, func(t *testing.T, e *Engine, f *fake) Result {
			return e.Resume(t.Context(), Deployment{Target: f, Owner: hello})
		}, deploy.Failed},
		"abort": {deploy.PhaseHeld, func(t *testing.T, e *Engine, f *fake) Result {
			return e.Abort(t.Context(), Deployment{Target: f, Owner: hello})
		}, deploy.Failed},
		"pause": {deploy.PhaseHolding, func(t *testing.T, e *Engine, f *fake) Result {
			f.state.Lock = &deploy.Lock{Owner: of("acme/shop", "1"), Expires: time.Now().Add(time.Hour)}
			return e.Pause(t.Context(), Deployment{Target: f, Owner: hello})
		}, deploy.Failed},
		"settle": {deploy.PhaseStarting, func(t *testing.T, e *Engine, f *fake) Result {
			return e.Settle(t.Context(), f, hello)
		}, deploy.Unchanged},
		"bake": {deploy.PhaseBaking, func(t *testing.T, e *Engine, f *fake) Result {
			return e.Bake(t.Context(), Deployment{Target: f, Owner: hello})
		}, deploy.Unchanged},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := serving()
				f.state.Record = deploy.Record{Owner: of("acme/shop", "1"), Phase: c.phase, Outcome: deploy.Promoted, Candidate: oldOne}
				f.state.History = []deploy.Record{f.state.Record}
				r := c.act(t, &Engine{}, f)
				if r.Outcome != c.want || !strings.Contains(r.Reason, "released by acme/shop") {
					t.Errorf("%s: %s", r.Outcome, r.Reason)
				}
				for _, act := range f.acts {
					if act != "lock" && act != "unlock" {
						t.Errorf("it has done: %s", act)
					}
				}
			})
		})
	}
}
