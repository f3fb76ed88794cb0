package rollout

import (
	"cmp"
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// crew is what a gate remembers of the replicas of one revision.
type crew struct {
	// restarts is their count at the first look.
	restarts *int
	// unready is since when, zero when all is well.
	unready time.Time
	// met is when each was seen first that was starting then, by its name; zero of
	// all others.
	met map[string]time.Time
	// relieved: some are not ready that took the place of others.
	relieved bool
}

// complete reports whether all replicas that there should be are ready.
func (c *crew) complete() bool { return c.unready.IsZero() && !c.relieved }

// muster fails when replicas have died, or have been unready for too long. One that
// has taken the place of another, whose node was drained perhaps, may take as long to
// start as any, while others serve.
func (c *crew) muster(r deploy.Revision, running deploy.Running, want int, grace time.Duration) error {
	restarts := running.Restarts()
	if c.restarts == nil {
		c.restarts = &restarts
	}
	ready, reliefs := running.Ready(), c.reliefs(r, running)
	c.relieved = ready > 0 && ready < want && ready+reliefs >= want
	switch {
	case restarts > *c.restarts:
		return fmt.Errorf("a replica of %s died while it was watched", r)
	case ready >= want, c.relieved:
		c.unready = time.Time{}
	case c.unready.IsZero():
		c.unready = time.Now()
	case time.Since(c.unready) >= grace:
		return fmt.Errorf("%d of %d replicas of %s have not been ready for %s", want-ready, want, r, grace)
	}
	return nil
}

// reliefs counts the replicas that are starting, within their time for it. A gate
// begins when all were ready, so that each of them has come since.
func (c *crew) reliefs(r deploy.Revision, running deploy.Running) (n int) {
	if c.met == nil {
		c.met = map[string]time.Time{}
	}
	limit := cmp.Or(r.Config.StartTimeout, deploy.DefaultStartTimeout)
	for _, one := range running.Replicas {
		at, known := c.met[one.Name]
		if !known {
			if one.Status == deploy.ReplicaStarting {
				at = time.Now()
			}
			c.met[one.Name] = at
		}
		if one.Status == deploy.ReplicaStarting && !at.IsZero() && time.Since(at) < limit {
			n++
		}
	}
	return n
}

// roster are names of replicas that have been ready.
type roster map[string]bool

// gone counts those of them that are there no more, and notes who is ready now: what
// takes a replica away is not the version.
func (r roster) gone(running deploy.Running) int {
	there := map[string]bool{}
	for _, one := range running.Replicas {
		there[one.Name] = true
		if one.Status == deploy.ReplicaReady {
			r[one.Name] = true
		}
	}
	n := 0
	for name := range r {
		if !there[name] {
			n++
		}
	}
	return n
}

// anew forgets those who are gone.
func (r roster) anew(running deploy.Running) {
	clear(r)
	r.gone(running)
}
