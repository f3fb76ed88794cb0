package kubernetes

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/apply"
	"github.com/slipway-ci/slipway/target/kubernetes/drift"
)

// scaling are the autoscalers that there should be, and how they differ. That of a
// Deployment which is not there has gone with it, or is about to.
func (t *Target) scaling(ctx context.Context, l drift.Left, client *apply.Client) (drift.Family, error) {
	f := drift.Family{Options: t.bare()}
	gone, err := t.scalers(ctx, l, &f)
	if err != nil {
		return f, err
	}
	err = f.Compare(ctx, client)
	f.Found = append(f.Found, gone...)
	return f, err
}

// scalers fills in the autoscalers of what is live, and of those beside it that have
// got users. It gives those whose Deployment is not there.
func (t *Target) scalers(ctx context.Context, l drift.Left, f *drift.Family) (gone []apply.Difference, err error) {
	for _, r := range l.Revisions() {
		a, err := t.bounds(ctx, r)
		if err != nil {
			return nil, err
		}
		if a == nil {
			continue
		}
		d, err := t.deployment(ctx, r.ID)
		if err != nil {
			return nil, err
		}
		if d == nil && r.ID != l.Live.ID {
			continue // a rollout that rests need not have it still
		}
		o, err := t.scaler(ctx, l, r, d)
		switch {
		case err != nil:
			return nil, err
		case o == nil:
		case d == nil:
			gone = append(gone, apply.Difference{Object: apply.ReferenceOf(o), Change: apply.Missing})
		default:
			f.Expected = append(f.Expected, o)
		}
	}
	return gone, nil
}

// scaler is the autoscaler of a revision as it should be, and d its Deployment; nil
// for one that has not got any users yet. In the middle of a rollout it goes no lower
// than what users were moved with, within what the revision asks for.
func (t *Target) scaler(ctx context.Context, l drift.Left, r deploy.Revision, d *appsv1.Deployment) (*unstructured.Unstructured, error) {
	uid := types.UID("")
	if d != nil {
		uid = d.UID
	}
	fewest, err := t.autoscaler(ctx, r, 0, uid)
	if err != nil {
		return nil, err
	}
	now, err := t.autoscalers(fewest).Get(ctx, fewest.GetName(), metav1.GetOptions{})
	if err != nil && !absent(err) {
		return nil, err
	}
	missing := err != nil
	switch {
	case missing && r.ID == l.Traffic.Candidate && l.Traffic.Share == 0:
		return nil, nil // it gets one with its users
	case l.Settled, missing && d == nil:
		return fewest, nil
	case missing:
		return t.autoscaler(ctx, r, replicasOf(d), uid)
	}
	return t.autoscaler(ctx, r, floorOf(now), uid)
}

// restoreScalers puts autoscalers back, once the Deployments are there with which
// they end.
func (t *Target) restoreScalers(ctx context.Context, c drift.Comparison) error {
	if len(c.Scaling.Found) == 0 {
		return nil
	}
	now := drift.Family{Options: c.Scaling.Options}
	if _, err := t.scalers(ctx, c.Left, &now); err != nil {
		return err
	}
	_, err := c.Client.Repair(ctx, now.Expected, c.Scaling.Found, now.Options)
	return err
}
