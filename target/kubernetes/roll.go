package kubernetes

import (
	"context"
	"fmt"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// turn is one Roll.
type turn struct {
	candidate deploy.Revision
	live      *deploy.Revision
	batch     deploy.Batch
	// runs and serves are replicas there are of the candidate, and of live.
	candidates, lives int
	// back: users leave the candidate, and its replicas are not waited for.
	back bool
}

// Roll brings about a batch of a rolling replacement. Both sides are Deployments
// of their own, so that what is replaced stands by until its batch has passed.
func (t *Target) Roll(ctx context.Context, r deploy.Revision, b deploy.Batch) error {
	return t.ended(ctx, t.roll(ctx, r, b), "roll %s to %s", t, r)
}

func (t *Target) roll(ctx context.Context, r deploy.Revision, b deploy.Batch) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if b.Candidate < 0 || b.Live < 0 || b.Serving < 0 || b.Serving > b.Candidate || b.Serving > b.Total || b.Total < 1 {
		return fmt.Errorf("a batch of %d candidate replicas, %d of them serving, with %d live ones to a total of %d cannot be",
			b.Candidate, b.Serving, b.Live, b.Total)
	}
	if t.place.Cluster.Gateway == nil {
		return errNoGateway(deploy.Rolling)
	}
	n, err := t.turn(ctx, r, b)
	if err != nil {
		return err
	}
	if n.back {
		if err := t.share(ctx, n); err != nil {
			return err
		}
	}
	if err := t.grow(ctx, n); err != nil {
		return err
	}
	if !n.back {
		if err := t.share(ctx, n); err != nil {
			return err
		}
	}
	return t.shrink(ctx, n)
}

// turn is what there is before a batch.
func (t *Target) turn(ctx context.Context, r deploy.Revision, b deploy.Batch) (turn, error) {
	n := turn{candidate: r, batch: b}
	f, err := t.facts(ctx)
	if err != nil {
		return n, err
	}
	if f.traffic.Live == r.ID {
		return n, fmt.Errorf("it is live already, so it cannot replace itself")
	}
	n.back = f.traffic.Candidate == r.ID && f.traffic.Share > b.Share()
	for i := range f.deployments {
		d := &f.deployments[i]
		if d.DeletionTimestamp != nil {
			continue
		}
		other, err := objects.RevisionOf(d)
		if err != nil {
			return n, err
		}
		switch other.ID {
		case r.ID:
			n.candidates = replicasOf(d)
		case f.traffic.Live:
			n.live, n.lives = &other, replicasOf(d)
		}
	}
	return n, nil
}

// share gives the candidate as much as its serving replicas are of all.
func (t *Target) share(ctx context.Context, n turn) error {
	_, err := t.front.change(ctx, func(f objects.Traffic) (objects.Traffic, error) {
		if n.batch.Candidate == 0 && f.Candidate != n.candidate.ID {
			return f, nil
		}
		return f.Split(n.candidate.ID, n.batch.Share(), 0), nil
	})
	return err
}

// grow starts what is missing on both sides and waits for it.
func (t *Target) grow(ctx context.Context, n turn) error {
	if n.live != nil && n.batch.Live > n.lives {
		if err := t.scale(ctx, n.live.ID, n.batch.Live); err != nil {
			return err
		}
	}
	if n.batch.Candidate > 0 {
		if err := t.enter(ctx, n); err != nil {
			return err
		}
	}
	if n.live == nil || n.batch.Live <= n.lives {
		return nil
	}
	return t.ready(ctx, *n.live, n.batch.Live)
}

// enter runs the candidate's replicas of the batch.
func (t *Target) enter(ctx context.Context, n turn) error {
	if !n.back {
		return t.start(ctx, n.candidate, n.batch.Candidate, asCandidate(n.candidate))
	}
	if err := t.provide(ctx, n.candidate); err != nil {
		return err
	}
	return t.atLeast(ctx, n.candidate, n.batch.Candidate)
}

// shrink ends what is too many on both sides.
func (t *Target) shrink(ctx context.Context, n turn) error {
	if n.candidates > n.batch.Candidate {
		if err := t.fewer(ctx, n.candidate.ID, n.batch.Candidate); err != nil {
			return err
		}
	}
	if n.live == nil || n.lives <= n.batch.Live {
		return nil
	}
	return t.fewer(ctx, n.live.ID, n.batch.Live)
}

func (t *Target) fewer(ctx context.Context, id string, replicas int) error {
	if err := t.scale(ctx, id, replicas); err != nil {
		return err
	}
	return t.atMost(ctx, id, replicas)
}
