package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/apply"
	"github.com/slipway-ci/slipway/target/kubernetes/argo/concede"
	"github.com/slipway-ci/slipway/target/kubernetes/bundle"
	"github.com/slipway-ci/slipway/target/kubernetes/drift"
)

// Drift compares the Rollout with what the last release has left, and all else of
// its manifests where it is a part of some.
func (r *Rollout) Drift(ctx context.Context) ([]deploy.Difference, error) {
	c, err := r.comparison(ctx)
	if err != nil {
		return nil, r.own.ended(ctx, err, "compare %s", r)
	}
	return c.Told(), nil
}

// Repair undoes what Drift finds, and waits until the Rollout has come to rest again.
func (r *Rollout) Repair(ctx context.Context, secret func(name string) string) ([]deploy.Difference, error) {
	c, err := r.comparison(ctx)
	if err != nil || len(c.Told()) == 0 {
		return nil, r.own.ended(ctx, err, "compare %s", r)
	}
	err = r.own.keptSecrets().Restore(ctx, c.Secrets, secret)
	if missing(c) && !r.whole() {
		err = errors.Join(err, deploy.Hinted(errors.New("the Rollout is not there"), "apply it with what applies it, and release again"))
	} else {
		err = errors.Join(err, c.Restore(ctx))
	}
	if err == nil {
		err = r.inPlace(ctx, c)
	}
	if err != nil {
		return r.undone(ctx, c.Told()), r.own.ended(ctx, err, "repair %s", r)
	}
	return c.Told(), nil
}

// missing reports whether the Rollout is not there.
func missing(c drift.Comparison) bool {
	return slices.ContainsFunc(c.Set.Found, func(d apply.Difference) bool { return d.Object.Kind == bundle.KindRollout && d.Change == apply.Missing })
}

// undone are those of the differences that are there no more.
func (r *Rollout) undone(ctx context.Context, before []deploy.Difference) []deploy.Difference {
	after, err := r.Drift(ctx)
	if err != nil {
		return nil
	}
	return drift.Without(before, after)
}

func (r *Rollout) comparison(ctx context.Context) (drift.Comparison, error) {
	var c drift.Comparison
	var err error
	if c.Left, err = r.own.remains(ctx); err != nil || c.Left.Live.IsZero() {
		return c, err
	}
	if c.Client, err = apply.New(r.own.cluster.Config); err != nil {
		return c, err
	}
	if r.whole() {
		err = r.expectSet(ctx, &c)
	} else {
		err = r.expectAlone(ctx, &c)
	}
	if err != nil {
		return c, err
	}
	if err := c.Own.Compare(ctx, c.Client); err != nil {
		return c, err
	}
	if err := c.Set.Compare(ctx, c.Client); err != nil {
		return c, err
	}
	if err := r.unname(ctx, c.Set.Found); err != nil {
		return c, err
	}
	c.Secrets, err = r.own.keptSecrets().Lost(ctx, c.Left.Revisions())
	return c, err
}

// unname takes the Rollout's controller for nobody.
func (r *Rollout) unname(ctx context.Context, found []apply.Difference) error {
	if len(found) == 0 {
		return nil
	}
	live, err := r.own.dynamic.Resource(rollouts).Namespace(r.own.place.Namespace).Get(ctx, r.Name(), metav1.GetOptions{})
	if err != nil {
		return unless(absent, err)
	}
	concede.Unname(live, found)
	return nil
}

// expectSet expects the manifests that were brought in last, and the settings that
// each version reads.
func (r *Rollout) expectSet(ctx context.Context, c *drift.Comparison) error {
	c.Own.Options = apply.Options{Owner: r.own.place.Base(), Namespace: r.own.place.Namespace, Inventory: r.own.place.Base(), Bare: true}
	for _, rev := range c.Left.Revisions() {
		b, err := r.own.bundle(ctx, rev)
		if err != nil {
			return err
		}
		if b == nil {
			continue
		}
		copies, err := b.Copies(r.own.place)
		if err != nil {
			return err
		}
		for _, o := range copies {
			if !slices.ContainsFunc(c.Own.Expected, func(other *unstructured.Unstructured) bool {
				return other.GetKind() == o.GetKind() && other.GetName() == o.GetName()
			}) {
				c.Own.Expected = append(c.Own.Expected, o)
			}
		}
	}
	var err error
	c.Set.Expected, c.Set.Options, err = r.own.Applied(ctx, c.Left.Brought)
	c.Set.Options.Ignore = concede.Restless(r.Name())
	return err
}

// expectAlone expects the Rollout as it was released, whoever applies it.
func (r *Rollout) expectAlone(ctx context.Context, c *drift.Comparison) error {
	m, err := r.own.readState(ctx)
	if err != nil || m == nil {
		return err
	}
	if m.Data[keySpec] == "" {
		return deploy.Hinted(fmt.Errorf("what %s was released as is not known: that release was by an older version of Slipway", r),
			"release again: the next release keeps it")
	}
	o, err := r.Released([]byte(m.Data[keySpec]), c.Left.Brought)
	if err != nil {
		return err
	}
	c.Set.Expected = []*unstructured.Unstructured{o}
	c.Set.Options = apply.Options{
		Owner: r.own.place.Base(), Namespace: r.own.place.Namespace, Inventory: r.own.place.Base(), Bare: true, Ignore: concede.Restless(r.Name()),
	}
	return nil
}

// inPlace waits until what was put back is in force.
func (r *Rollout) inPlace(ctx context.Context, c drift.Comparison) error {
	if err := r.own.others(ctx, c.Left.Brought, c.Set.Drifted()); err != nil {
		return err
	}
	if !slices.ContainsFunc(c.Set.Found, func(d apply.Difference) bool { return d.Object.Kind == bundle.KindRollout && d.Object.Name == r.Name() }) {
		return nil
	}
	var s deploy.State
	if err := r.own.Remember(ctx, &s); err != nil {
		return err
	}
	share := deploy.Percent(100)
	if s.Record.Held() {
		share = s.Record.Share
	}
	return r.Settle(ctx, c.Left.Brought, share)
}
