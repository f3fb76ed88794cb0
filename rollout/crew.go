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
	// met is when each was seen first, by its name; zero of those that were there at
	// the first look.
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

// reliefs counts the replicas that came after the first look, and are within their
// time to start.
func (c *crew) reliefs(r deploy.Revision, running deploy.Running) (n int) {
	first, limit := c.met == nil, cmp.Or(r.Config.StartTimeout, deploy.DefaultStartTimeout)
	if first {
		c.met = map[string]time.Time{}
	}
	for _, one := range running.Replicas {
		at, known := c.met[one.Name]
		if !known {
			if !first {
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
