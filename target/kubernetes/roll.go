package kubernetes

import (
	"context"
	"fmt"
	"math"

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
	// scaled: the number of replicas follows their load, on one side at least.
	scaled bool
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
	if err := possible(b); err != nil {
		return err
	}
	n, err := t.turn(ctx, r, b)
	if err != nil {
		return err
	}
	if err := t.carry(ctx, r, b.Share()); err != nil {
		return err
	}
	if n.back {
		if err := t.returnable(ctx, r.ID); err != nil {
			return err
		}
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
	return t.conclude(ctx, n)
}

// possible refuses a batch that cannot be, or leaves users to nobody.
func possible(b deploy.Batch) error {
	switch {
	case b.Candidate < 0 || b.Live < 0 || b.Serving < 0 || b.Serving > b.Candidate || b.Serving > b.Total || b.Total < 1:
		return fmt.Errorf("a batch of %d candidate replicas, %d of them serving, with %d live ones to a total of %d cannot be",
			b.Candidate, b.Serving, b.Live, b.Total)
	case b.Live == 0 && b.Serving < b.Total:
		return fmt.Errorf("a batch in which %d of %d replicas serve, and none of the live revision runs, would leave users to nobody", b.Serving, b.Total)
	}
	return nil
}

// conclude ends what is too many. Without a gateway, where one that served has
// been ended, another does.
func (t *Target) conclude(ctx context.Context, n turn) error {
	if n.candidates <= n.batch.Candidate && n.lives <= n.batch.Live {
		return nil
	}
	if err := t.shrink(ctx, n); err != nil || t.place.Cluster.Gateway != nil {
		return err
	}
	return t.share(ctx, n)
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
	n.back = f.traffic.Candidate == r.ID && f.traffic.Share > b.Share()+rounding
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
	return t.unscaled(ctx, n)
}

// unscaled leaves the number of replicas to what follows their load: the batch is
// then a share of the users, and no more of either side is ended than of one that
// has none.
func (t *Target) unscaled(ctx context.Context, n turn) (turn, error) {
	var live *deploy.Autoscale
	candidate, err := t.bounds(ctx, n.candidate)
	if err == nil && n.live != nil {
		live, err = t.bounds(ctx, *n.live)
	}
	if err != nil {
		return n, err
	}
	if n.scaled = live != nil || candidate != nil; live != nil {
		n.batch.Live = max(n.batch.Live, n.lives)
	}
	if candidate != nil && n.batch.Serving > 0 {
		part := int(math.Ceil(n.batch.Share().Fraction() * float64(n.lives)))
		n.batch.Candidate = max(n.batch.Candidate, n.candidates, candidate.Within(part))
	}
	return n, nil
}

// rounding is more than what a share may have lost by being written down.
const rounding = 0.01

// share gives the candidate as much as its serving replicas are of all.
func (t *Target) share(ctx context.Context, n turn) error {
	if n.live != nil && t.place.Cluster.Gateway == nil && n.batch.Serving > 0 && n.batch.Serving < n.batch.Total {
		return t.shareByReplicas(ctx, n)
	}
	_, err := t.front.change(ctx, func(f objects.Traffic) (objects.Traffic, error) {
		if n.batch.Candidate == 0 && f.Candidate != n.candidate.ID {
			return f, nil
		}
		return f.Split(n.candidate.ID, n.batch.Share(), 0), nil
	})
	return err
}

// shareByReplicas makes as many replicas serve as the batch says, or as many of
// each side as come near to that where there are more of them.
func (t *Target) shareByReplicas(ctx context.Context, n turn) error {
	s, err := t.sides(ctx, n.live.ID, n.candidate.ID)
	if err != nil {
		return err
	}
	want := parts{candidate: n.batch.Serving, live: n.batch.Total - n.batch.Serving}
	if n.scaled {
		want = nearest(n.batch.Share(), ready(s.candidate), ready(s.live))
	}
	return s.divide(ctx, want)
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
