package rollout

import (
	"context"
	"fmt"
	"time"
)

// guard watches the replicas that have users already while a batch of a rolling
// starts, which may take as long as a version has to start: users must not be left
// that long with replicas that got sick. One that was taken away, with its node
// perhaps, is replaced meanwhile, and borne while others serve. It is the act's error,
// or that of the replicas, by which the act was ended.
func (r *rollout) guard(ctx context.Context, n int, act func(context.Context) error) error {
	serving := 0
	if n > 1 {
		serving = r.plan.Stages[n-2].Batch.Serving
	}
	if serving == 0 {
		return act(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	done := make(chan error, 1)
	go func() { done <- act(ctx) }()
	var unready time.Time
	known := roster{}
	for {
		select {
		case err := <-done:
			return err
		case <-time.After(r.poll()):
		}
		state, err := r.state(ctx, r.target)
		if err != nil {
			continue // the act itself says what is wrong with the target
		}
		running, _ := state.Find(r.plan.Candidate.ID)
		switch ready, gone := running.Ready(), known.gone(running); {
		case ready >= serving:
			known.anew(running)
			unready = time.Time{}
		case ready > 0 && ready+gone >= serving:
			unready = time.Time{}
		case unready.IsZero():
			unready = time.Now()
		case time.Since(unready) >= unreadyGrace:
			sick := fmt.Errorf("%d of %d replicas of %s that have users have not been ready for %s", serving-ready, serving, r.plan.Candidate, unreadyGrace)
			cancel(sick)
			if err := <-done; err == nil || overtaken(err) {
				return err // it was over before; the stage's own watch sees the rest
			}
			return sick
		}
	}
}
