package rollout

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// drifting is an environment that others have changed.
type drifting struct {
	*fake
	differs []deploy.Difference
	// again is what somebody changes after each repair.
	again []deploy.Difference
	// meanwhile happens while it is compared.
	meanwhile func()
	repairs   int
}

func (d *drifting) Drift(context.Context) ([]deploy.Difference, error) {
	if d.meanwhile != nil {
		d.meanwhile()
	}
	return d.differs, nil
}

func (d *drifting) Repair(context.Context, func(string) string) ([]deploy.Difference, error) {
	if d.state.Lock == nil || d.state.Lock.Owner.Run != me.Run {
		return nil, errors.New("it is not held by the run that repairs")
	}
	d.repairs++
	undone := d.differs
	d.differs = d.again
	return undone, nil
}

var edited = []deploy.Difference{{Object: "Deployment shop/hello", Change: deploy.DriftChanged, Field: ".spec.replicas", Applied: "2", Live: "3", Manager: "kubectl"}}

func TestDriftIsToldWhileNobodyIsAtWork(t *testing.T) {
	for name, c := range map[string]struct {
		prepare func(*drifting)
		says    string
	}{
		"at rest":         {},
		"held":            {prepare: func(d *drifting) { d.state.Record.Phase = deploy.PhaseHeld }},
		"a run at work":   {prepare: func(d *drifting) { _ = d.Lock(context.Background(), somebody, time.Hour) }, says: "a release is under way: fake is held by grace"},
		"left unfinished": {prepare: func(d *drifting) { d.state.Record.Phase = deploy.PhaseShifting }, says: `left in phase "shifting"`},
		"a run that comes": {prepare: func(d *drifting) {
			d.meanwhile = func() { _ = d.Lock(context.Background(), somebody, time.Hour) }
		}, says: "a release is under way"},
		"a run that has come and gone": {prepare: func(d *drifting) { d.meanwhile = func() { d.state.Record.Version++ } }, says: "a release was under way"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &drifting{fake: serving(), differs: edited}
				if c.prepare != nil {
					c.prepare(d)
				}
				found, err := (&Engine{}).Drift(t.Context(), d)
				if c.says == "" {
					if err != nil || len(found) != 1 {
						t.Errorf("found %v, %v", found, err)
					}
					return
				}
				if err == nil || !strings.Contains(err.Error(), c.says) || deploy.HintOf(err) == "" || len(found) > 0 {
					t.Errorf("found %v, %v (%s)", found, err, deploy.HintOf(err))
				}
			})
		})
	}
	if _, err := (&Engine{}).Drift(t.Context(), serving()); !errors.Is(err, ErrNoDrift) {
		t.Errorf("a target that cannot: %v", err)
	}
}

func TestRepairHoldsTheEnvironment(t *testing.T) {
	none := func(string) string { return "" }
	synctest.Test(t, func(t *testing.T) {
		d := &drifting{fake: serving(), differs: edited}
		undone, err := (&Engine{}).Repair(t.Context(), d, me, none)
		if err != nil || len(undone) != 1 || d.repairs != 1 || d.state.Lock != nil {
			t.Errorf("undone %v, %v, lock %+v", undone, err, d.state.Lock)
		}
		again, err := (&Engine{}).Repair(t.Context(), d, me, none)
		if err != nil || len(again) != 0 {
			t.Errorf("once more: %v, %v", again, err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		d := &drifting{fake: serving(), differs: edited}
		_ = d.Lock(t.Context(), somebody, time.Hour)
		if _, err := (&Engine{}).Repair(t.Context(), d, me, none); err == nil || d.repairs > 0 || !strings.Contains(err.Error(), "held by grace") {
			t.Errorf("beside another run: %v", err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		d := &drifting{fake: serving(), differs: edited}
		d.state.Record.Phase = deploy.PhaseShifting
		if _, err := (&Engine{}).Repair(t.Context(), d, me, none); err == nil || d.repairs > 0 || d.state.Lock != nil {
			t.Errorf("an unfinished rollout: %v, lock %+v", err, d.state.Lock)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		d := &drifting{fake: serving(), differs: edited, again: edited}
		undone, err := (&Engine{}).Repair(t.Context(), d, me, none)
		if err == nil || len(undone) != 1 || !strings.Contains(err.Error(), "differs again") || deploy.HintOf(err) == "" {
			t.Errorf("somebody fights for it: %v, %v", undone, err)
		}
	})
}
