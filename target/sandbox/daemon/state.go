package daemon

import (
	"cmp"
	"slices"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/sandbox/wire"
)

// state is all of the environment at one moment.
func (e *environment) state() deploy.State {
	e.mu.Lock()
	defer e.mu.Unlock()
	d := e.doc
	s := deploy.State{
		Live: d.Live, Candidate: d.Candidate, Share: d.Share, URL: e.url(),
		Baseline: d.Baseline, BaselineShare: d.BaselineShare,
		Record: d.Record, History: slices.Clone(d.History), Signal: d.Signal,
	}
	if d.Lock.holds(now()) {
		lock := d.Lock.Lock
		s.Lock = &lock
	}
	for _, r := range e.runs {
		if len(r.replicas) > 0 {
			s.Running = append(s.Running, e.runningOf(r))
		}
	}
	return s
}

// url is the stable address, also while another program has its port.
func (e *environment) url() string {
	if e.doc.Port == 0 {
		return ""
	}
	return "http://" + address(e.doc.Port)
}

// runningOf is what runs of a revision.
func (e *environment) runningOf(r *run) deploy.Running {
	traffic := e.router.Traffic(r.revision.ID)
	running := deploy.Running{Revision: r.revision, URL: r.route.url(), Traffic: &traffic, Spread: e.router.Spread(r.revision.ID)}
	for _, x := range r.replicas {
		running.Replicas = append(running.Replicas, x.report())
	}
	return running
}

// report is the replica as a State shows it.
func (x *replica) report() deploy.Replica {
	return deploy.Replica{Name: x.name, Status: x.status, Digest: x.digest, Restarts: x.restarts, Since: x.since}
}

// status is the environment in a few words.
func (e *environment) status() wire.Environment {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := wire.Environment{App: e.key.app, Name: e.key.name, URL: e.url(), Share: e.doc.Share}
	if e.doc.Live != nil {
		s.Live = e.doc.Live.Image.Version
	}
	if e.doc.Candidate != nil {
		s.Candidate = e.doc.Candidate.Image.Version
	}
	if trouble := cmp.Or(e.trouble, e.unsaved); trouble != nil {
		s.Problem = problem(trouble)
	}
	for _, w := range e.doc.Runs {
		if r, runs := e.runs[w.Revision.ID]; runs {
			for _, x := range r.replicas {
				s.Replicas = append(s.Replicas, wire.Replica{Version: w.Revision.Image.Version, Replica: x.report()})
			}
		}
	}
	return s
}

// problem is an error with what to do about it.
func problem(err error) string {
	if hint := deploy.HintOf(err); hint != "" {
		return err.Error() + ": " + hint
	}
	return err.Error()
}
