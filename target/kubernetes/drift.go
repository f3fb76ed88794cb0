package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/apply"
	"github.com/slipway-ci/slipway/target/kubernetes/drift"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

var _ deploy.Drifter = (*Target)(nil)

// remains reads from the journal what should be there.
func (t *Target) remains(ctx context.Context) (drift.Left, error) {
	m, err := t.readState(ctx)
	if err != nil {
		return drift.Left{}, err
	}
	var s deploy.State
	if err := readJournal(m, &s); err != nil {
		return drift.Left{}, err
	}
	return drift.LeftBy(s.Record, func() (objects.Traffic, error) { return t.front.read(ctx) })
}

// keptSecrets are the environment's secrets, as drift looks at them.
func (t *Target) keptSecrets() drift.Secrets { return drift.Secrets{Kube: t.kube, Place: t.place} }

// Drift compares what is live with what applying it again would come to, by dry
// runs of the server.
func (t *Target) Drift(ctx context.Context) ([]deploy.Difference, error) {
	c, err := t.comparison(ctx)
	if err != nil {
		return nil, t.ended(ctx, err, "compare %s", t)
	}
	return c.Told(), nil
}

// Repair undoes what Drift finds. Pods whose definition was put back are waited
// for, and a gateway until it follows.
func (t *Target) Repair(ctx context.Context, secret func(name string) string) ([]deploy.Difference, error) {
	c, err := t.comparison(ctx)
	if err != nil {
		return nil, t.ended(ctx, err, "compare %s", t)
	}
	if len(c.Told()) == 0 {
		return nil, nil
	}
	err = errors.Join(t.keptSecrets().Restore(ctx, c.Secrets, secret), c.Restore(ctx), t.restoreScalers(ctx, c), t.leadBack(ctx, c))
	if err == nil {
		err = t.inPlace(ctx, c)
	}
	if err != nil {
		return t.undone(ctx, c.Told()), t.ended(ctx, err, "repair %s", t)
	}
	return c.Told(), nil
}

// undone are those of the differences that are there no more; none where that
// cannot be told.
func (t *Target) undone(ctx context.Context, before []deploy.Difference) []deploy.Difference {
	after, err := t.Drift(ctx)
	if err != nil {
		return nil
	}
	return drift.Without(before, after)
}

func (t *Target) comparison(ctx context.Context) (drift.Comparison, error) {
	c := drift.Comparison{}
	var err error
	if c.Left, err = t.remains(ctx); err != nil || c.Left.Live.IsZero() {
		return c, err
	}
	if c.Client, err = apply.New(t.cluster.Config); err != nil {
		return c, err
	}
	c.Own.Options = t.bare()
	if c.Own.Expected, err = t.expected(ctx, c.Left); err != nil {
		return c, err
	}
	if err := c.Own.Compare(ctx, c.Client); err != nil {
		return c, err
	}
	if c.Set, err = t.shared(ctx, c.Left); err != nil {
		return c, err
	}
	if err := c.Set.Compare(ctx, c.Client); err != nil {
		return c, err
	}
	if c.Scaling, err = t.scaling(ctx, c.Left, c.Client); err != nil {
		return c, err
	}
	if c.Astray, err = t.astray(ctx, c.Left); err != nil {
		return c, err
	}
	c.Secrets, err = t.keptSecrets().Lost(ctx, c.Left.Revisions())
	return c, err
}

// bare is how objects of Slipway's own are compared.
func (t *Target) bare() apply.Options {
	return apply.Options{Owner: t.place.Base(), Namespace: t.place.Namespace, Inventory: t.place.Base(), Bare: true, Ignore: tolerated}
}

// tolerated are differences that are nobody's mistake: how pods log in to a
// registry, which slipway.yaml does not say, is added to their account.
func tolerated(d apply.Difference) bool {
	return d.Object.Kind == "ServiceAccount" && d.Change == apply.Added
}

// inPlace waits until what was put back is in force.
func (t *Target) inPlace(ctx context.Context, c drift.Comparison) error {
	kinds := c.Kinds()
	if err := t.others(ctx, c.Left.Brought, c.Set.Drifted()); err != nil {
		return err
	}
	if kinds["Deployment"] || len(c.Secrets) > 0 {
		for _, r := range c.Left.Revisions() {
			if err := t.renewed(ctx, r); err != nil {
				return err
			}
		}
	}
	if !kinds[objects.RouteKind] {
		return nil
	}
	same := func(f objects.Traffic) (objects.Traffic, error) { return f, nil }
	if _, err := t.front.change(ctx, same); err != nil {
		return err
	}
	return settle(ctx)
}

// settle gives a gateway a moment to follow a route that was put back: what it answers
// at objects.ProbePath is the same as before, so that nobody can ask it.
func settle(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("interrupted while the gateway follows: %w", ctx.Err())
	case <-time.After(lag):
		return nil
	}
}

// renewEvery is how often a Deployment is asked whether its pods are those of its
// definition.
const renewEvery = time.Second

// renewed waits until all pods of a revision are those that its Deployment asks
// for now, or it is certain that they never will be.
func (t *Target) renewed(ctx context.Context, r deploy.Revision) error {
	if r.IsZero() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, r.Config.StartTimeout+r.Config.Drain+time.Minute)
	defer cancel()
	for {
		d, err := t.deployment(ctx, r.ID)
		if err != nil || d == nil {
			return err
		}
		n := int32(replicasOf(d))
		if s := d.Status; s.ObservedGeneration >= d.Generation && s.UpdatedReplicas == n && s.Replicas == n && s.AvailableReplicas == n {
			return t.ready(ctx, r, int(n))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the pods of %s did not become those of its Deployment: %w", r, ctx.Err())
		case <-time.After(renewEvery):
		}
	}
}
