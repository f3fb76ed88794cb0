package daemon

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/sandbox/process"
)

// watcher finds out whether one life of a replica can serve.
type watcher struct {
	replica *replica
	process *process.Process
	port    int
	ready   bool
	missed  int
	// elsewhere is since when it has listened on other ports alone; asked is
	// when that was last looked at.
	elsewhere, asked time.Time
}

// look asks once and notes the answer.
func (w *watcher) look(ctx context.Context) {
	x := w.replica
	env, config := x.run.env, x.run.revision.Config
	err := env.prober.probe(ctx, w.port, config.Health)
	if ctx.Err() != nil || w.over() {
		return
	}
	if err == nil && !w.ready {
		err = w.impostor()
	}
	if err == nil {
		w.passed()
		return
	}
	w.failed(err)
}

// over reports whether the process has ended.
func (w *watcher) over() bool {
	select {
	case <-w.process.Done():
		return true
	default:
		return false
	}
}

// impostor tells when another program answers on the replica's port.
func (w *watcher) impostor() error {
	open, err := w.process.Listening()
	if err == nil && len(open) > 0 && !slices.Contains(open, w.port) {
		return fmt.Errorf("another program answers on its port %d", w.port)
	}
	return nil
}

// passed notes a good answer.
func (w *watcher) passed() {
	w.missed = 0
	if w.ready {
		return
	}
	w.ready = true
	x := w.replica
	x.set(func() {
		x.proven, x.exits, x.doom, x.trouble = true, 0, nil, ""
		x.become(deploy.ReplicaReady)
	})
}

// failed notes a bad answer. One that was ready keeps its users until it has
// missed a few in a row.
func (w *watcher) failed(err error) {
	x := w.replica
	if w.ready {
		if w.missed++; w.missed >= patience {
			w.ready = false
			x.set(func() { x.trouble = "does not pass its health check: " + err.Error(); x.become(deploy.ReplicaUnready) })
		}
		return
	}
	gone := w.listensElsewhere()
	x.set(func() {
		x.trouble = err.Error()
		if gone != nil && !x.proven {
			x.doom, x.trouble = gone, gone.reason
		}
	})
}

// listensElsewhere is the doom of a replica that has listened on other ports
// alone for too long.
func (w *watcher) listensElsewhere() *doom {
	if time.Since(w.asked) < probeSlower {
		return nil
	}
	w.asked = time.Now()
	open, err := w.process.Listening()
	if err != nil || len(open) == 0 || slices.Contains(open, w.port) {
		w.elsewhere = time.Time{}
		return nil
	}
	if w.elsewhere.IsZero() {
		w.elsewhere = time.Now()
	}
	if time.Since(w.elsewhere) < wrongPort {
		return nil
	}
	return &doom{
		reason: fmt.Sprintf("listens on %d, but PORT says %d", open[0], w.port),
		hint:   "make the app listen on the port that the environment variable PORT names",
	}
}

// pause is the time until the next look.
func (w *watcher) pause(lived time.Duration) time.Duration {
	switch {
	case w.ready:
		return probeReady
	case lived > probeTimeout:
		return probeSlower
	}
	return probeSoon
}
