package daemon

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/sandbox/proxy"
)

// Bounds of the time between SIGTERM and SIGKILL; in between it is the
// revision's Drain.
const (
	graceLeast = time.Second
	graceMost  = 10 * time.Second
)

// run is a revision that runs: its replicas, and a route of its own. Its
// fields are guarded by the environment's mu.
type run struct {
	env      *environment
	revision deploy.Revision
	replicas []*replica
	route    *front
	port     int
	unpin    func()
	// stopping runs are in no table any more; gone is closed when the last
	// replica has ended.
	stopping bool
	gone     chan struct{}
	once     sync.Once
	// last are the backends that the arm had when it last had any.
	last []proxy.Backend
}

// scale brings about that at least the wanted replicas of a revision run.
func (e *environment) scale(w wanted) error {
	r, exists := e.runs[w.Revision.ID]
	if !exists {
		var err error
		if r, err = e.newRun(w.Revision); err != nil {
			return err
		}
		e.runs[w.Revision.ID] = r
		// Users who came while it did not run count against nobody.
		e.router.Forget(w.Revision.ID)
	}
	for len(r.staying()) < w.Replicas {
		replica, err := newReplica(r, r.freeName())
		if err != nil {
			return err
		}
		r.replicas = append(r.replicas, replica)
	}
	return nil
}

// newRun is a run without replicas.
func (e *environment) newRun(revision deploy.Revision) (*run, error) {
	l, port, err := e.ports.listen()
	if err != nil {
		return nil, fmt.Errorf("open a route to %s: %w", revision, err)
	}
	return &run{
		env: e, revision: revision, port: port,
		route: newFront(l, e.router.Route(revision.ID), e.log),
		unpin: e.images.pin(revision.Image.Digest),
		gone:  make(chan struct{}),
	}, nil
}

// freeName is the first name in line that no replica has.
func (r *run) freeName() string {
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s-%d", r.revision.ID, n)
		if !slices.ContainsFunc(r.replicas, func(other *replica) bool { return other.name == name }) {
			return name
		}
	}
}

// staying are the replicas that are not about to be ended.
func (r *run) staying() []*replica {
	return r.filter(func(x *replica) bool { return !x.retiring })
}

// ready are the replicas that can serve.
func (r *run) ready() []*replica {
	return r.filter(func(x *replica) bool { return !x.retiring && x.status == deploy.ReplicaReady })
}

func (r *run) filter(keep func(*replica) bool) []*replica {
	var kept []*replica
	for _, x := range r.replicas {
		if keep(x) {
			kept = append(kept, x)
		}
	}
	return kept
}

// surplus picks the replicas that are too many: those that cannot serve first,
// then the youngest.
func (r *run) surplus(keep int) []*replica {
	staying := r.staying()
	slices.SortStableFunc(staying, func(a, b *replica) int { return a.rank() - b.rank() })
	return staying[min(max(keep, 0), len(staying)):]
}

// worst is the replica that fared worst, nil where there is none.
func (r *run) worst() *replica {
	staying := r.staying()
	if len(staying) == 0 {
		return nil
	}
	return slices.MaxFunc(staying, func(a, b *replica) int { return a.badness() - b.badness() })
}

// grace is how long a replica may take to end after it was asked to.
func (r *run) grace() time.Duration {
	return min(max(r.revision.Config.Drain, graceLeast), graceMost)
}

// end stops all replicas and closes the route, without draining.
func (r *run) end() { r.once.Do(r.endOnce) }

func (r *run) endOnce() {
	r.env.mu.Lock()
	replicas := slices.Clone(r.replicas)
	r.env.mu.Unlock()
	for _, x := range replicas {
		x.cancel()
	}
	for _, x := range replicas {
		<-x.done
	}
	r.route.close()
	r.env.ports.release(r.port)
	r.unpin()
}
