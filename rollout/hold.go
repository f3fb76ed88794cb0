package rollout

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// hold is an environment taken by this run, and the goroutine that keeps it.
type hold struct {
	// ctx ends with the caller's, or when the hold is lost to somebody else.
	ctx    context.Context
	cancel context.CancelCauseFunc
	// stop ends the goroutine, stopped says that it has.
	stop, stopped chan struct{}
	target        deploy.Locker
	owner         deploy.Owner
}

// hold takes the environment and renews it until release. An environment that
// somebody else holds is refused with their name.
func (e *Engine) hold(ctx context.Context, s site, o deploy.Owner) (*hold, error) {
	err := within(ctx, readLimit, "take "+s.String(), func(ctx context.Context) error {
		return s.Lock(ctx, o, e.lockTTL())
	})
	if locked, ok := errors.AsType[*deploy.Locked](err); ok {
		return nil, deploy.Hinted(locked, "wait until that run has ended; a hold whose run has died runs out at %s, or is finished by: slipway settle",
			locked.Lock.Expires.UTC().Format(time.RFC3339))
	}
	if err != nil {
		return nil, err
	}
	h := &hold{target: s, owner: o, stop: make(chan struct{}), stopped: make(chan struct{})}
	h.ctx, h.cancel = context.WithCancelCause(ctx)
	go h.keep(e.lockTTL())
	return h, nil
}

// keep renews the hold until release. It goes on when the run is cancelled,
// because the way back needs the hold, too.
func (h *hold) keep(ttl time.Duration) {
	defer close(h.stopped)
	tick := time.NewTicker(ttl / 3)
	defer tick.Stop()
	alive := context.WithoutCancel(h.ctx)
	for {
		select {
		case <-h.stop:
			return
		case <-tick.C:
		}
		ctx, cancel := context.WithTimeout(alive, ttl/3)
		err := h.target.Lock(ctx, h.owner, ttl)
		cancel()
		if locked, ok := errors.AsType[*deploy.Locked](err); ok {
			h.cancel(fmt.Errorf("the hold was lost: %w", locked))
			return
		}
	}
}

// release gives the environment back. It does so also when the run was
// cancelled; what it cannot give back runs out by itself.
func (h *hold) release() {
	close(h.stop)
	<-h.stopped
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.ctx), readLimit)
	defer cancel()
	_ = h.target.Unlock(ctx, h.owner)
	h.cancel(nil)
}
