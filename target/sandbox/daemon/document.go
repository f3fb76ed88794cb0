package daemon

import (
	"slices"

	"github.com/slipway-ci/slipway/deploy"
)

// What is kept of the history: the last settled records, and of those that
// were promoted enough to go back by.
const (
	keepSettled  = 25
	keepPromoted = 10
)

// document is what is remembered of an environment. It is a value: an act
// changes a copy, which becomes the document once it is on disk.
type document struct {
	App         string `json:"app"`
	Environment string `json:"environment"`
	// Port of the stable URL; 0 until the first act.
	Port      int              `json:"port"`
	Live      *deploy.Revision `json:"live,omitempty"`
	Candidate *deploy.Revision `json:"candidate,omitempty"`
	Share     deploy.Percent   `json:"share"`
	// Baseline is the live revision once more.
	Baseline      *deploy.Revision `json:"baseline,omitempty"`
	BaselineShare deploy.Percent   `json:"baselineShare,omitempty"`
	// Serving limits how many replicas of each side serve, after a Roll.
	Serving *serving `json:"serving,omitempty"`
	// Runs are the revisions that are to run, those above among them.
	Runs    []wanted        `json:"runs,omitempty"`
	Record  deploy.Record   `json:"record"`
	History []deploy.Record `json:"history,omitempty"`
	Lock    *hold           `json:"lock,omitempty"`
	// Signal is the last one that a run was given.
	Signal *deploy.Signal `json:"signal,omitempty"`
}

// wanted is a revision that is to run in a number of replicas.
type wanted struct {
	Revision deploy.Revision `json:"revision"`
	Replicas int             `json:"replicas"`
}

// serving is how many replicas of each side get traffic.
type serving struct {
	Candidate int `json:"candidate"`
	Live      int `json:"live"`
}

// clone copies what acts change in place. Revisions and records are replaced
// as a whole and may be shared.
func (d document) clone() document {
	d.Runs = slices.Clone(d.Runs)
	d.History = slices.Clone(d.History)
	return d
}

// isLive reports whether the revision is the live one.
func (d document) isLive(id string) bool { return d.Live != nil && d.Live.ID == id }

// live is the live revision; zero where there is none.
func (d document) live() deploy.Revision {
	if d.Live == nil {
		return deploy.Revision{}
	}
	return *d.Live
}

// isCandidate reports whether the revision is the candidate.
func (d document) isCandidate(id string) bool { return d.Candidate != nil && d.Candidate.ID == id }

// isBaseline reports whether the revision is the baseline.
func (d document) isBaseline(id string) bool { return d.Baseline != nil && d.Baseline.ID == id }

// find is what is wanted of a revision.
func (d document) find(id string) (wanted, bool) {
	i := d.index(id)
	if i < 0 {
		return wanted{}, false
	}
	return d.Runs[i], true
}

func (d document) index(id string) int {
	return slices.IndexFunc(d.Runs, func(w wanted) bool { return w.Revision.ID == id })
}

// want sets the number of replicas of a revision.
func (d *document) want(r deploy.Revision, replicas int) {
	if i := d.index(r.ID); i >= 0 {
		d.Runs[i].Replicas = replicas
		return
	}
	d.Runs = append(d.Runs, wanted{Revision: r, Replicas: replicas})
}

// wantAtLeast raises the number of replicas of a revision.
func (d *document) wantAtLeast(r deploy.Revision, replicas int) {
	w, _ := d.find(r.ID)
	d.want(r, max(w.Replicas, replicas))
}

// drop takes a revision out of what runs, and out of traffic if it was not live.
func (d *document) drop(id string) {
	d.Runs = slices.DeleteFunc(d.Runs, func(w wanted) bool { return w.Revision.ID == id })
	if d.isCandidate(id) {
		d.Candidate, d.Share, d.Serving = nil, 0, nil
		d.BaselineShare = 0
	}
	if d.isBaseline(id) {
		d.Baseline, d.BaselineShare = nil, 0
	}
	if d.isLive(id) {
		d.Serving = nil
	}
}

// settle appends a record to the history and lets go of what is too old.
func (d *document) settle(r deploy.Record) {
	all := slices.Concat(d.History, []deploy.Record{r})
	promoted := 0
	kept := []deploy.Record{}
	for i, record := range slices.Backward(all) {
		recent := len(all)-i <= keepSettled
		needed := record.Outcome == deploy.Promoted && promoted < keepPromoted
		if record.Outcome == deploy.Promoted {
			promoted++
		}
		if recent || needed {
			kept = append(kept, record)
		}
	}
	slices.Reverse(kept)
	d.History = kept
}

// revisions are all that the environment runs or could go back to.
func (d document) revisions() []deploy.Revision {
	var all []deploy.Revision
	add := func(r deploy.Revision) {
		if !r.IsZero() {
			all = append(all, r)
		}
	}
	for _, w := range d.Runs {
		add(w.Revision)
	}
	if d.Live != nil {
		add(*d.Live)
	}
	if d.Candidate != nil {
		add(*d.Candidate)
	}
	for _, record := range append([]deploy.Record{d.Record}, d.History...) {
		add(record.Candidate)
		add(record.Previous)
	}
	return all
}
