package daemon

import (
	"fmt"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

// rev is a revision by its name alone.
func rev(id string) deploy.Revision { return deploy.Revision{ID: id} }

func TestHistoryKeepsWhatOneCanGoBackTo(t *testing.T) {
	var d document
	for i := range 30 {
		d.settle(deploy.Record{Version: uint64(i), Outcome: deploy.Promoted})
	}
	for i := range 30 {
		d.settle(deploy.Record{Version: uint64(30 + i), Outcome: deploy.Reverted})
	}
	promoted := 0
	for i, r := range d.History {
		if i > 0 && r.Version <= d.History[i-1].Version {
			t.Errorf("record %d comes after %d", r.Version, d.History[i-1].Version)
		}
		if r.Outcome == deploy.Promoted {
			promoted++
		}
	}
	if n := len(d.History); promoted != keepPromoted || n != keepPromoted+keepSettled {
		t.Errorf("%d records are kept, %d of them promoted", n, promoted)
	}
	if last := d.History[len(d.History)-1].Version; last != 59 {
		t.Errorf("the last record is %d", last)
	}
}

func TestDocumentIsCopiedBeforeItIsChanged(t *testing.T) {
	d := document{Runs: []wanted{{rev("a"), 1}}, History: []deploy.Record{{Version: 1}}}
	next := d.clone()
	next.want(rev("a"), 2)
	next.want(rev("b"), 1)
	next.settle(deploy.Record{Version: 2})
	if fmt.Sprint(d.Runs) != fmt.Sprint([]wanted{{rev("a"), 1}}) || len(d.History) != 1 {
		t.Errorf("the original has become %+v", d)
	}
}

func TestDropTakesTheCandidateOutOfTraffic(t *testing.T) {
	a, b := rev("a"), rev("b")
	start := document{Live: &a, Candidate: &b, Share: 30, Serving: &serving{1, 2}, Runs: []wanted{{a, 2}, {b, 1}}}
	for id, want := range map[string]document{
		"b": {Live: &a, Runs: []wanted{{a, 2}}},
		// What was live is named still: it has users again once it is started.
		"a": {Live: &a, Candidate: &b, Share: 30, Runs: []wanted{{b, 1}}},
		"c": start,
	} {
		d := start.clone()
		d.drop(id)
		if !same(d, want) {
			t.Errorf("without %s: %+v, want %+v", id, d, want)
		}
	}
}

func TestDocumentNamesAllItNeeds(t *testing.T) {
	a, b := rev("a"), rev("b")
	d := document{
		Live: &a, Candidate: &b, Runs: []wanted{{rev("c"), 1}},
		Record:  deploy.Record{Candidate: rev("d"), Previous: rev("e")},
		History: []deploy.Record{{Candidate: rev("f")}, {Previous: rev("g")}},
	}
	named := map[string]bool{}
	for _, r := range d.revisions() {
		named[r.ID] = true
	}
	for _, id := range []string{"a", "b", "c", "d", "e", "f", "g"} {
		if !named[id] {
			t.Errorf("%s is not named", id)
		}
	}
	if named[""] {
		t.Error("nothing is named")
	}
}
