package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/slipway-ci/slipway/internal/workshop"
)

// What the users of the demo meet, and how many of their requests may fail.
const (
	tollRate  = 500
	tollLimit = 10
	tollYAML  = `service: {health: /healthz, replicas: 2}
environments: {production: {target: sandbox, strategy: {canary: {steps: [10%, 50%, 100%], hold: 2s}}}}
`
)

// toll is what a version that fails all requests costs, release by release.
type toll struct{ failed []int }

// failAll releases it time and again.
func (b *bench) failAll(ctx context.Context) (t toll, err error) {
	b.say("a version that %s", everything)
	w, err := b.Beside("failing")
	if err != nil {
		return t, err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	url, err := begin(ctx, w, tollYAML)
	if err != nil {
		return t, err
	}
	users := workshop.Send(url, tollRate)
	defer users.End()
	if err := past(ctx, users, tollRate); err != nil {
		return t, err
	}
	for range b.rounds {
		if err := b.failOnce(ctx, w, users, &t); err != nil {
			return t, err
		}
	}
	if c := users.End(); c.Failed() > c.Faults[failing] {
		return t, fmt.Errorf("%d requests failed that the version did not fail itself; the first that was lost, %s", c.Failed()-c.Faults[failing], c.FirstLost)
	}
	return t, nil
}

func (b *bench) failOnce(ctx context.Context, w *workshop.Workshop, users *workshop.Users, t *toll) error {
	before := users.Count()
	r, err := release(ctx, w, failing)
	if err == nil {
		err = r.Exits(reverted)
	}
	if err == nil {
		err = workshop.Pause(ctx, 300*time.Millisecond) // for the last answers
	}
	if err != nil {
		return err
	}
	failed := users.Count().Since(before).Faults[failing]
	b.say("  %d failed: %s", failed, r.Report.Reason("production"))
	t.failed = append(t.failed, failed)
	return nil
}

// table shows the least, the median and the most.
func (t toll) table() string {
	sorted := slices.Sorted(slices.Values(t.failed))
	if len(sorted) == 0 {
		return ""
	}
	return fmt.Sprintf("A version that fails all requests, at %d requests a second through 10%%, 50%% and 100%%, has failed so many until users were back, in %d releases: least %d, median %d, most %d; below %d is wanted.\n",
		tollRate, len(sorted), sorted[0], sorted[len(sorted)/2], sorted[len(sorted)-1], tollLimit)
}

// judge is an error in a long run whose median is not below the limit.
func (b *bench) judge(t toll) error {
	sorted := slices.Sorted(slices.Values(t.failed))
	if b.short || len(sorted) == 0 || sorted[len(sorted)/2] < tollLimit {
		return nil
	}
	return fmt.Errorf("above the limit: a version that fails all requests has failed %d, not less than %d", sorted[len(sorted)/2], tollLimit)
}
