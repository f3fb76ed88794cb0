package daemon

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/sandbox/process"
	"github.com/slipway-ci/slipway/target/sandbox/proxy"
)

// How a replica that has ended is started again, and when it is given up.
const (
	restartSoon = 100 * time.Millisecond
	restartLate = 10 * time.Second
	// steady is how long it has to run for the pauses to begin anew.
	steady = 10 * time.Second
	// exitsAllowed ends in a row before it was ever ready mean that it never
	// will be.
	exitsAllowed = 1
	// wrongPort is how long it may listen elsewhere alone.
	wrongPort = 2 * time.Second
	// logLimit bounds a replica's log, in bytes.
	logLimit = 1 << 20
	// logLines is how many lines are shown as evidence.
	logLines = 20
)

// replica is one copy of a revision, with a goroutine that keeps it running.
type replica struct {
	run  *run
	name string
	log  *process.Log
	// cancel ends the replica; done is closed when it has ended.
	cancel context.CancelFunc
	done   chan struct{}
	// wake cuts the pause before a restart short.
	wake chan struct{}

	// Guarded by the environment's mu:

	status   deploy.ReplicaStatus
	backend  proxy.Backend // where it listens; zero before the first start
	digest   string
	restarts int
	since    time.Time
	retiring bool
	// proven is whether it was ready since it was last asked to start; exits
	// counts how often it ended before.
	proven bool
	exits  int
	// trouble is what is wrong with it, in words that follow its name.
	trouble string
	doom    *doom
}

// doom is why a replica will never be ready.
type doom struct{ reason, hint string }

// newReplica starts a replica.
func newReplica(r *run, name string) (*replica, error) {
	path := r.env.logPath(r.revision.ID, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, diskError(path, err)
	}
	log, err := process.NewLog(path, logLimit)
	if err != nil {
		return nil, diskError(path, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	x := &replica{
		run: r, name: name, log: log, cancel: cancel,
		done: make(chan struct{}), wake: make(chan struct{}, 1),
		status: deploy.ReplicaStarting, since: now(), digest: "",
	}
	go x.supervise(ctx)
	return x, nil
}

// supervise keeps the replica running until ctx ends.
func (x *replica) supervise(ctx context.Context) {
	defer close(x.done)
	defer x.closeLog()
	pause := restartSoon
	for {
		began := time.Now()
		x.live(ctx)
		if time.Since(began) > steady {
			pause = restartSoon
		}
		select {
		case <-ctx.Done():
			return
		case <-x.wake:
			pause = restartSoon
		case <-time.After(pause):
			pause = min(2*pause, restartLate)
		}
		x.set(func() { x.restarts++; x.become(deploy.ReplicaStarting) })
	}
}

// live is one life of the replica, from its start to its end.
func (x *replica) live(ctx context.Context) {
	env := x.run.env
	image, err := env.images.get(ctx, x.run.revision.Image)
	if err != nil {
		x.unready(err)
		return
	}
	port, err := env.ports.take()
	if err != nil {
		x.unready(err)
		return
	}
	defer env.ports.release(port)
	p, err := process.Start(ctx, x.spec(image, port))
	if err != nil {
		x.unstartable(err)
		return
	}
	x.set(func() {
		x.digest, x.backend = image.Digest, proxy.Backend{ID: x.name, Addr: address(port)}
		x.become(deploy.ReplicaStarting)
	})
	x.watch(ctx, p, port)
}

// unready notes what stands in the way of a start.
func (x *replica) unready(err error) {
	_, final := errors.AsType[*unpullable](err)
	x.set(func() {
		x.trouble = err.Error()
		x.become(deploy.ReplicaExited)
		if final {
			x.doom = &doom{reason: x.trouble, hint: "look at where the image was pushed to"}
		}
	})
}

// unstartable notes that the image could not be executed. When that is not the
// image's fault, it gets another try.
func (x *replica) unstartable(err error) {
	reason := "cannot be executed: " + err.Error()
	x.set(func() {
		x.trouble = reason
		x.become(deploy.ReplicaExited)
		x.exits++
		if errors.Is(err, process.ErrImage) || x.exits > exitsAllowed && !x.proven {
			x.doom = &doom{reason: reason, hint: deploy.HintOf(err)}
		}
	})
}

// watch asks the process whether it can serve, until it or ctx ends.
func (x *replica) watch(ctx context.Context, p *process.Process, port int) {
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	w := watcher{replica: x, process: p, port: port}
	for {
		select {
		case <-ctx.Done():
			p.Stop(x.run.grace())
			return
		case <-p.Done():
			x.ended(p.Exit(), port)
			return
		case <-timer.C:
			w.look(ctx)
			timer.Reset(w.pause(time.Since(began)))
		}
	}
}

// closeLog closes the log; what it holds can still be read.
func (x *replica) closeLog() {
	if err := x.log.Close(); err != nil {
		x.run.env.log.Warn("close log", "replica", x.name, "error", err)
	}
}

// set changes the replica and everything that follows from it.
func (x *replica) set(change func()) {
	e := x.run.env
	e.mu.Lock()
	defer e.mu.Unlock()
	change()
	e.apply()
	e.notify()
}

// become changes the status; mu is held.
func (x *replica) become(s deploy.ReplicaStatus) {
	if x.status != s {
		x.status, x.since = s, now()
	}
}

// again gives a replica that was given up another chance; mu is held.
func (x *replica) again() {
	if x.status == deploy.ReplicaReady {
		return
	}
	x.proven, x.exits, x.doom = false, 0, nil
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// ended notes the end of a process that nobody asked to end. A process that
// died because another program took its port first is not to blame.
func (x *replica) ended(exit process.Exit, port int) {
	lost := isTaken(port)
	reason := exit.String()
	x.set(func() {
		x.trouble = reason
		x.become(deploy.ReplicaExited)
		if lost || x.proven {
			return
		}
		if x.exits++; x.exits > exitsAllowed {
			x.doom = &doom{reason: reason, hint: "the log says why; the app must keep running and answer on the port that PORT names"}
		}
	})
}

// rank orders replicas by how much they are worth keeping, the best first.
func (x *replica) rank() int {
	return slices.Index([]deploy.ReplicaStatus{deploy.ReplicaReady, deploy.ReplicaUnready, deploy.ReplicaStarting, deploy.ReplicaExited}, x.status)
}

// badness orders replicas by how they fared.
func (x *replica) badness() int {
	bad := 1000*x.rank() + min(x.restarts, 900)
	if x.doom != nil {
		bad += 10_000
	}
	return bad
}
