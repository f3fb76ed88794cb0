package daemon

import (
	"reflect"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/sandbox/proxy"
)

// apply puts the traffic in force that follows from the document and from
// which replicas can serve. mu is held.
func (e *environment) apply() {
	if e.closed {
		return
	}
	if err := e.router.Set(e.table()); err != nil {
		e.log.Error("move traffic", "error", err)
	}
}

// table is who gets which share. The candidate comes first and the baseline
// last, so that both grow at the live version's expense and nobody moves back and
// forth; revisions that stand by are there for their own routes.
func (e *environment) table() proxy.Table {
	var t proxy.Table
	d := e.doc
	candidates, lives := everyone, everyone
	if d.Serving != nil {
		candidates, lives = d.Serving.Candidate, d.Serving.Live
	}
	if d.Candidate != nil {
		t.Arms = append(t.Arms, e.arm(d.Candidate.ID, d.Share, candidates))
	}
	baseline := min(d.BaselineShare, 100-d.Share)
	if d.Live != nil {
		t.Arms = append(t.Arms, e.arm(d.Live.ID, max(0, 100-d.Share-baseline), lives))
	}
	if d.Baseline != nil {
		t.Arms = append(t.Arms, e.arm(d.Baseline.ID, baseline, everyone))
	}
	for _, w := range d.Runs {
		if id := w.Revision.ID; !d.isLive(id) && !d.isCandidate(id) && !d.isBaseline(id) {
			t.Arms = append(t.Arms, e.arm(id, 0, everyone))
		}
	}
	return t
}

// everyone means that all replicas serve.
const everyone = 0

// arm is a revision's part of the table: the first most of its replicas that
// can serve, all of them for everyone. While none can, it keeps the last ones
// that could, so that the users' requests wait or fail there and are counted.
func (e *environment) arm(id string, share deploy.Percent, most int) proxy.Arm {
	a := proxy.Arm{Revision: id, Share: share}
	r, runs := e.runs[id]
	if !runs || r.stopping {
		return a
	}
	for _, x := range r.ready() {
		a.Backends = append(a.Backends, x.backend)
	}
	if len(a.Backends) == 0 {
		a.Backends = r.fallback()
	}
	if most != everyone && len(a.Backends) > most {
		a.Backends = a.Backends[:most]
	}
	if len(a.Backends) > 0 {
		r.last = a.Backends
	}
	return a
}

// fallback is where the replicas of an arm are that had been ready before and
// of which none is now.
func (r *run) fallback() []proxy.Backend {
	if len(r.last) == 0 {
		return nil
	}
	var all []proxy.Backend
	for _, x := range r.staying() {
		if x.proven {
			all = append(all, x.backend)
		}
	}
	if len(all) == 0 {
		return r.last
	}
	return all
}

// same reports whether two documents say the same.
func same(a, b document) bool { return reflect.DeepEqual(a, b) }
