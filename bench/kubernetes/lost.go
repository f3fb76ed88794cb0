package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/internal/workshop"
)

// losing counts what users lose in good releases, and when a run is interrupted
// in the middle and goes back.
func (b *bench) losing(ctx context.Context) (_ []row, err error) {
	const ns = "bench-lost"
	defer func() { err = errors.Join(err, b.forget(context.WithoutCancel(ctx), ns)) }()
	if err := b.namespace(ctx, ns); err != nil {
		return nil, err
	}
	moves := []struct {
		name, strategy string
		back           bool
	}{
		{"rolling", "rolling: {hold: 0s}", false},
		{"a canary", "canary: {steps: [10%, 50%, 100%], hold: 2s}", false},
		{"blue-green", "blue-green: {keep: 0s}", false},
		{"a canary that is interrupted, and goes back", "canary: {steps: [50%, 100%], hold: 10m}", true},
	}
	if err := b.configure(ns, moves[0].strategy, 2); err != nil {
		return nil, err
	}
	live := 0
	if _, err := b.release(ctx, versions[live]); err != nil {
		return nil, err
	}
	for i, m := range moves {
		if b.Short && (i == 1 || i == 2) {
			continue
		}
		if err := b.configure(ns, m.strategy, 2); err != nil {
			return nil, err
		}
		var all workshop.Count
		for range either(b, 3, 1) {
			users := b.users(ns)
			if m.back {
				err = b.interrupted(ctx, versions[1-live], users)
			} else {
				var r workshop.Result
				if r, err = b.release(ctx, versions[1-live]); err == nil && i == 1 && all.Sent == 0 {
					b.asked("a canary that is watched for 4 s", r)
				}
				live = 1 - live
			}
			all = all.Plus(users.End())
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.name, err)
			}
		}
		measured := fmt.Sprintf("%d of %d", all.Failed(), all.Sent)
		if all.FirstLost != "" {
			measured += ", the first one " + all.FirstLost
		}
		b.none(fmt.Sprintf("requests lost at %d a second, %s", perSecond, m.name), all.Failed(), "%s", measured)
	}
	return nil, nil
}

// interrupted releases a version and interrupts the run, as Ctrl-C does, as soon
// as that has users.
func (b *bench) interrupted(ctx context.Context, version string, users *workshop.Users) error {
	if err := b.shop.Use(version); err != nil {
		return err
	}
	ctx, interrupt := context.WithCancel(ctx)
	defer interrupt()
	ended := make(chan error, 1)
	go func() {
		_, err := b.shop.Deploy(ctx, nil, "release", "--version", version)
		ended <- err
	}()
	limit := time.After(2 * time.Minute)
	for {
		select {
		case err := <-ended:
			return fmt.Errorf("the run ended before %s had users: %w", version, err)
		case <-limit:
			return fmt.Errorf("%s has had no users for two minutes", version)
		case <-time.After(100 * time.Millisecond):
		}
		if users.Count().Answered[version] > 0 {
			break
		}
	}
	interrupt()
	if err := <-ended; err == nil {
		return errors.New("a run that was interrupted says that all is well")
	}
	last := users.Count().Last[version]
	time.Sleep(time.Second)
	if later := users.Count().Last[version]; !later.Equal(last) {
		return fmt.Errorf("users still reach %s, which was taken back", version)
	}
	return nil
}
