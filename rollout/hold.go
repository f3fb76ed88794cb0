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
// somebody else holds is refused with their name; a hold whose run may have died
// is waited for first.
func (e *Engine) hold(ctx context.Context, s site, o deploy.Owner) (*hold, error) {
	err := e.take(ctx, s, o)
	if locked, ok := errors.AsType[*deploy.Locked](err); ok {
		err = e.outlive(ctx, s, o, locked)
	}
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

func (e *Engine) take(ctx context.Context, s site, o deploy.Owner) error {
	return within(ctx, readLimit, "take "+s.String(), func(ctx context.Context) error {
		return s.Lock(ctx, o, e.lockTTL())
	})
}

// The wait for a hold whose run may have died.
const (
	// outliveEvery is how often it is tried; each costs a request or two.
	outliveEvery = time.Second
	// outliveSlack is what a hold may last longer than this run would make its
	// own: clocks differ, and requests take their time.
	outliveSlack = 5 * time.Second
)

// outlive waits for a hold to run out, and takes the environment at once when it
// has. A living run renews its hold three times in its time to live, so that one
// which is renewed, or has come to another run, is refused, as is one whose owner
// the target sees alive, or that lasts longer than any that would be renewed.
func (e *Engine) outlive(ctx context.Context, s site, o deploy.Owner, first *deploy.Locked) error {
	left := time.Until(first.Lock.Expires)
	if first.Alive || left > e.lockTTL()+outliveSlack {
		return first
	}
	e.tell(ctx, deploy.Event{Kind: deploy.Notice, Message: fmt.Sprintf(
		"%s; if that run has died, its hold runs out at %s: waiting for that", first, first.Lock.Expires.UTC().Format(time.RFC3339))})
	ends := time.Now().Add(left + outliveSlack)
	for {
		if err := pause(ctx, max(min(outliveEvery, time.Until(first.Lock.Expires)), 50*time.Millisecond)); err != nil {
			return fmt.Errorf("waiting for a hold to run out (%s): %w", first.Error(), err)
		}
		err := e.take(ctx, s, o)
		locked, ok := errors.AsType[*deploy.Locked](err)
		switch {
		case !ok:
			return err
		case locked.Alive, locked.Lock.Owner.Run != first.Lock.Owner.Run,
			locked.Lock.Expires.After(first.Lock.Expires), time.Now().After(ends):
			return locked
		}
	}
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
