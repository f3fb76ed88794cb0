package drift

import (
	"errors"
	"slices"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// TestWhatARecordHasLeft reads records that rest, and those that do not.
func TestWhatARecordHasLeft(t *testing.T) {
	before, after := deploy.Revision{ID: "before"}, deploy.Revision{ID: "after"}
	record := func(p deploy.Phase, o deploy.Outcome) deploy.Record {
		return deploy.Record{Phase: p, Outcome: o, Previous: before, Candidate: after}
	}
	shared := objects.Traffic{Live: "before", Candidate: "after", Share: 10}
	for name, c := range map[string]struct {
		record        deploy.Record
		all           []string
		brought       string
		settled, asks bool
		fails         bool
	}{
		"nothing":   {record: deploy.Record{}, all: []string{""}},
		"promoted":  {record: record(deploy.PhaseSettled, deploy.Promoted), all: []string{"after"}, brought: "after", settled: true},
		"reverted":  {record: record(deploy.PhaseSettled, deploy.Reverted), all: []string{"before"}, brought: "before", settled: true},
		"held":      {record: record(deploy.PhaseHeld, deploy.Held), all: []string{"before", "after"}, brought: "after", asks: true},
		"baking":    {record: record(deploy.PhaseBaking, deploy.Promoted), all: []string{"after", "before"}, brought: "after", asks: true},
		"not known": {record: record(deploy.PhaseSettled, deploy.Unknown), fails: true},
		"under way": {record: record(deploy.PhaseShifting, ""), fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			asked := false
			l, err := LeftBy(c.record, func() (objects.Traffic, error) { asked = true; return shared, nil })
			if (err != nil) != c.fails || asked != c.asks {
				t.Fatalf("error %v, asked for shares: %v", err, asked)
			}
			if c.fails {
				return
			}
			var ids []string
			for _, r := range l.Revisions() {
				ids = append(ids, r.ID)
			}
			if !slices.Equal(ids, c.all) || l.Brought.ID != c.brought || l.Settled != c.settled {
				t.Errorf("got %+v", l)
			}
			if c.asks && l.Traffic != shared || c.settled && l.Traffic != (objects.Traffic{Live: l.Live.ID}) {
				t.Errorf("users are with %+v", l.Traffic)
			}
		})
	}
}

func TestSharesThatCannotBeReadAreAnError(t *testing.T) {
	gone := errors.New("no answer")
	_, err := LeftBy(deploy.Record{Phase: deploy.PhaseHeld, Outcome: deploy.Held}, func() (objects.Traffic, error) { return objects.Traffic{}, gone })
	if !errors.Is(err, gone) {
		t.Errorf("got %v", err)
	}
}

func TestDifferencesThatAreUndone(t *testing.T) {
	one := deploy.Difference{Object: "Deployment shop/web", Field: ".spec.replicas", Live: "5"}
	two := deploy.Difference{Object: "Service shop/web", Change: deploy.DriftMissing}
	still := one
	still.Live = "7" // somebody else goes on with it
	if got := Without([]deploy.Difference{one, two}, []deploy.Difference{still}); len(got) != 1 || got[0] != two {
		t.Errorf("got %+v", got)
	}
}
