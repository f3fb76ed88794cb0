package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// fake is an environment in memory whose users send a hundred requests a
// second by the clock of the test. Its acts are recorded, and each can be made
// to fail or to hang by its name.
type fake struct {
	mu      sync.Mutex
	state   deploy.State
	acts    []string
	trouble map[string]func(ctx context.Context) error
	// rate of all requests, a second.
	rate float64
	// errors is the share of requests that a revision fails.
	errors map[string]float64
	counts map[string]*deploy.Traffic
	read   time.Time
	// digest is what replicas really run, where it is not what was asked for.
	digest string
	// restarts of each revision.
	restarts map[string]int
	// since is when the replicas of a revision were started.
	since map[string]time.Time
	// down is how many replicas of a revision are not ready.
	down map[string]int
	// spread is among how many groups of clients errors are; zero tells nothing of
	// them.
	spread int
	// alive says that the owner of the lock is seen.
	alive bool
	// deaf: it counts no requests, as a cluster.
	deaf bool
	// stolen makes the journal refuse as if another run wrote it.
	stolen bool
}

var (
	_ site            = (*fake)(nil)
	_ deploy.Splitter = (*fake)(nil)
	_ deploy.Roller   = (*fake)(nil)
	_ deploy.Witness  = (*fake)(nil)

	_ deploy.Baseliner = (*fake)(nil)
	_ deploy.Signaller = (*fake)(nil)
)

func newFake() *fake {
	return &fake{
		state:   deploy.State{URL: "http://users"},
		trouble: map[string]func(context.Context) error{},
		errors:  map[string]float64{}, counts: map[string]*deploy.Traffic{},
		rate: 100, restarts: map[string]int{}, since: map[string]time.Time{}, down: map[string]int{}, read: time.Now(),
	}
}

func (f *fake) String() string { return "fake" }

// do records an act, and lets trouble have its way before the change is made.
func (f *fake) do(ctx context.Context, act string, change func()) error {
	f.mu.Lock()
	f.acts = append(f.acts, act)
	trouble := f.trouble[act]
	f.mu.Unlock()
	if trouble != nil {
		if err := trouble(ctx); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count()
	change()
	return nil
}

// count lets the users' requests since the last count happen.
func (f *fake) count() {
	requests := time.Since(f.read).Seconds() * f.rate
	f.read = time.Now()
	share, baseline := f.state.Share.Fraction(), f.state.BaselineShare.Fraction()
	if f.state.Live != nil {
		f.serve(f.state.Live.ID, requests*(1-share-baseline))
	}
	if f.state.Baseline != nil {
		f.serve(f.state.Baseline.ID, requests*baseline)
	}
	if f.state.Candidate != nil {
		f.serve(f.state.Candidate.ID, requests*share)
	}
}

func (f *fake) serve(id string, requests float64) {
	if f.counts[id] == nil {
		f.counts[id] = &deploy.Traffic{}
	}
	c := f.counts[id]
	c.Requests += uint64(requests)
	c.Errors = uint64(float64(c.Requests) * f.errors[id])
}

func (f *fake) State(ctx context.Context) (deploy.State, error) {
	f.mu.Lock()
	trouble := f.trouble["state"]
	f.mu.Unlock()
	if trouble != nil {
		if err := trouble(ctx); err != nil {
			return deploy.State{}, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count()
	s := f.state
	s.Running = slices.Clone(s.Running)
	for i := range s.Running {
		r := &s.Running[i]
		r.Replicas = slices.Clone(r.Replicas)
		for j := range r.Replicas {
			r.Replicas[j].Restarts = f.restarts[r.Revision.ID]
			r.Replicas[j].Since = f.since[r.Revision.ID]
			if j < f.down[r.Revision.ID] {
				r.Replicas[j].Status = deploy.ReplicaUnready
			}
		}
		traffic := deploy.Traffic{}
		if c := f.counts[r.Revision.ID]; c != nil {
			traffic = *c
		}
		if r.Traffic, r.Spread = &traffic, f.spreadOf(traffic); f.deaf {
			r.Traffic, r.Spread = nil, deploy.Spread{}
		}
	}
	return s, ctx.Err()
}

// spreadOf is how the errors of a revision are spread.
func (f *fake) spreadOf(t deploy.Traffic) deploy.Spread {
	var s deploy.Spread
	for i := range 256 {
		errors := uint64(0)
		if f.spread > 0 && i < f.spread {
			errors = t.Errors / uint64(f.spread)
		}
		if f.spread > 0 {
			s.Add((t.Requests-t.Errors)/256+errors, errors)
		}
	}
	return s
}

// scale makes n replicas of a revision run.
func (f *fake) scale(r deploy.Revision, n int) {
	f.state.Running = slices.DeleteFunc(f.state.Running, func(x deploy.Running) bool { return x.Revision.ID == r.ID })
	if n == 0 {
		return
	}
	running := deploy.Running{Revision: r, URL: "http://" + r.ID}
	for i := range n {
		digest := r.Image.Digest
		if f.digest != "" {
			digest = f.digest
		}
		running.Replicas = append(running.Replicas, deploy.Replica{
			Name: fmt.Sprintf("%s-%d", r.ID, i), Status: deploy.ReplicaReady, Digest: digest,
		})
	}
	f.state.Running = append(f.state.Running, running)
}

func (f *fake) isLive(r deploy.Revision) bool { return f.state.Live != nil && f.state.Live.ID == r.ID }

func (f *fake) Start(ctx context.Context, r deploy.Revision) error {
	return f.do(ctx, "start "+r.Image.Version, func() {
		f.scale(r, r.Config.Replicas)
		if !f.isLive(r) {
			f.state.Candidate = &r
		}
	})
}

func (f *fake) Switch(ctx context.Context, r deploy.Revision) error {
	return f.do(ctx, "switch "+r.Image.Version, func() {
		f.state.Live, f.state.Candidate, f.state.Share, f.state.BaselineShare = &r, nil, 0, 0
	})
}

func (f *fake) Stop(ctx context.Context, r deploy.Revision) error {
	act := "stop " + r.Image.Version
	if r.IsBaseline() {
		act = "stop the baseline"
	}
	return f.do(ctx, act, func() {
		f.scale(r, 0)
		if f.state.Candidate != nil && f.state.Candidate.ID == r.ID {
			f.state.Candidate, f.state.Share, f.state.BaselineShare = nil, 0, 0
		}
		if f.state.Baseline != nil && f.state.Baseline.ID == r.ID {
			f.state.Baseline, f.state.BaselineShare = nil, 0
		}
	})
}

func (f *fake) Split(ctx context.Context, r deploy.Revision, share deploy.Percent) error {
	return f.do(ctx, fmt.Sprintf("split %s %s", r.Image.Version, share), func() { f.state.Share, f.state.BaselineShare = share, 0 })
}

func (f *fake) StartBaseline(ctx context.Context, r deploy.Revision) error {
	return f.do(ctx, "start the baseline of "+r.Image.Version, func() {
		f.scale(r, r.Config.Replicas)
		f.state.Baseline = &r
	})
}

func (f *fake) SplitBeside(ctx context.Context, r deploy.Revision, share, baseline deploy.Percent) error {
	return f.do(ctx, fmt.Sprintf("split %s %s beside %s", r.Image.Version, share, baseline), func() {
		f.state.Share, f.state.BaselineShare = share, baseline
	})
}

func (f *fake) Roll(ctx context.Context, r deploy.Revision, b deploy.Batch) error {
	act := fmt.Sprintf("roll %s %d/%d/%d", r.Image.Version, b.Candidate, b.Serving, b.Live)
	return f.do(ctx, act, func() {
		if b.Candidate > 0 {
			f.state.Candidate = &r
		}
		f.scale(r, b.Candidate)
		f.scale(*f.state.Live, b.Live)
		f.state.Share = b.Share()
	})
}

func (f *fake) Write(_ context.Context, r deploy.Record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stolen || r.Version != f.state.Record.Version {
		return deploy.ErrConflict
	}
	r.Version++
	f.state.Record = r
	if r.Phase == deploy.PhaseSettled {
		f.state.History = append(f.state.History, r)
	}
	return nil
}

func (f *fake) Lock(_ context.Context, o deploy.Owner, ttl time.Duration) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if l := f.state.Lock; l != nil && l.Owner.Run != o.Run && time.Now().Before(l.Expires) {
		return &deploy.Locked{Environment: "production", Lock: *l, Alive: f.alive}
	}
	f.state.Lock = &deploy.Lock{Owner: o, Since: time.Now(), Expires: time.Now().Add(ttl)}
	return nil
}

func (f *fake) Unlock(_ context.Context, o deploy.Owner) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.state.Lock != nil && f.state.Lock.Owner.Run == o.Run {
		f.state.Lock = nil
	}
	return nil
}

func (f *fake) Evidence(_ context.Context, r deploy.Revision) (deploy.Evidence, error) {
	return deploy.Evidence{Replica: r.ID + "-0", Reason: "exited with code 1", Log: []string{"last words"}}, nil
}

func (f *fake) Signal(_ context.Context, s deploy.Signal) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.Signal = &s
	return nil
}

// moving are the acts that the engine asked for, without reads.
func (f *fake) moving() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.acts)
}

var errBroken = errors.New("broken")

func broken(context.Context) error { return errBroken }

func hangs(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
