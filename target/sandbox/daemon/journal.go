package daemon

import (
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// write stores a record, if it follows the one that is stored.
func (e *environment) write(r deploy.Record) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if at := e.doc.Record.Version; r.Version != at {
		return fmt.Errorf("the journal of %s is at version %d, not %d: %w", e.key, at, r.Version, deploy.ErrConflict)
	}
	r.Version++
	err := e.update(func(d *document) {
		d.Record = r
		if r.Phase == deploy.PhaseSettled {
			d.settle(r)
		}
	})
	if err == nil && r.Phase == deploy.PhaseSettled {
		e.tidy()
	}
	return err
}

// lock gives the environment to an owner, or extends what the owner holds. It
// is the first act on an environment, so it sees to the stable URL, too; a
// port that is taken is told by the acts that need it.
func (e *environment) lock(port int, o deploy.Owner, ttl time.Duration) error {
	if o.Run == "" || ttl <= 0 {
		return fmt.Errorf("a lock needs the name of a run and a time to live, and got %q and %s", o.Run, ttl)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return e.errClosed()
	}
	if h := e.doc.Lock; h.holds(now()) && h.Owner.Run != o.Run {
		return &deploy.Locked{Environment: e.key.String(), Lock: h.Lock, Alive: h.ownerThere()}
	}
	if err := e.update(func(d *document) { d.Lock = newHold(d.Lock, o, ttl, now()) }); err != nil {
		return err
	}
	if err := e.open(port); err != nil {
		e.log.Warn("the environment cannot be reached", "error", err)
	}
	return nil
}

// signal leaves a word for the run that holds the environment.
func (e *environment) signal(s deploy.Signal) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.update(func(d *document) { d.Signal = &s })
}

// unlock ends the owner's lock.
func (e *environment) unlock(o deploy.Owner) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if h := e.doc.Lock; h == nil || h.Owner.Run != o.Run {
		return nil
	}
	return e.update(func(d *document) { d.Lock = nil })
}
