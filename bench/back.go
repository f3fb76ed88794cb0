package main

import (
	"context"
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/internal/workshop"
)

// backLimit is for the time from the decision to go back until no user is sent
// to the bad version any more.
const backLimit = 200 * time.Millisecond

// wayBack measures how long users stay on a bad version once that is known: as
// slipway reports it, and as the users see it.
func (b *bench) wayBack(ctx context.Context) error {
	if err := b.production(2, "canary: {steps: [50%, 100%], hold: 5s}"); err != nil {
		return err
	}
	if err := b.release(ctx, "1.1.0"); err != nil {
		return err
	}
	if err := b.Use(bad); err != nil {
		return err
	}
	var reported, seen []time.Duration
	c, err := b.whileServing(ctx, func(users *workshop.Users) error {
		for range b.rounds(100, 5) {
			took, last, err := b.back(ctx, users)
			if err != nil {
				return err
			}
			reported, seen = append(reported, took), append(seen, last)
		}
		return nil
	})
	if err != nil {
		return err
	}
	b.below("way back, from the decision, as slipway reports it", reported, 0.99, backLimit)
	b.below("way back, until the last request that the bad version got", seen, 0.99, backLimit)
	b.unbroken("requests lost during these reverts", c)
	return nil
}

// back releases the bad version once.
func (b *bench) back(ctx context.Context, users *workshop.Users) (reported, seen time.Duration, err error) {
	r, err := b.deploy(ctx, 3, "release", "--version", bad)
	if err != nil {
		return 0, 0, err
	}
	decided, took, ok := r.Report.Back("production")
	if !ok {
		return 0, 0, fmt.Errorf("%s reports no way back", r.Command)
	}
	return took, max(0, users.Count().Last[bad].Sub(decided)), nil
}
