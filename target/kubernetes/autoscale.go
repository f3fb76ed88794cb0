package kubernetes

import (
	"context"
	"fmt"
	"math"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// Where the number of replicas follows their load, each revision has an autoscaler
// of its own from when it gets users, which ends with its Deployment. Nothing here
// fights it: a revision that gets users is first brought to the part of live's
// replicas that goes with its share, and while two revisions are there, neither
// autoscaler goes below what its side had when users were moved. A revision
// without users is idle, and would be scaled down to its fewest otherwise just
// before everybody comes back to it. The floors go when one revision is left.

// carry readies a candidate and what is live for a larger share of the users, by
// what the cluster has now. It does nothing where the number of replicas is fixed,
// and on the way back: what is gone back to has kept what it had, and nobody waits
// for a start.
func (t *Target) carry(ctx context.Context, r deploy.Revision, share deploy.Percent) error {
	if t.place.Cluster.Autoscale == nil || share <= 0 {
		return nil
	}
	f, err := t.front.read(ctx)
	if err != nil || f.Candidate != r.ID || share <= f.Share {
		return err
	}
	d, err := t.deployment(ctx, r.ID)
	if err != nil || d == nil {
		return err // who moves users says that it is not started
	}
	lives := 0
	if f.Live != "" {
		live, err := t.deployment(ctx, f.Live)
		if err != nil {
			return err
		}
		if live != nil {
			lives = replicasOf(live)
			if err := t.floor(ctx, live, lives); err != nil {
				return err
			}
		}
	}
	return t.bear(ctx, d, int(math.Ceil(share.Fraction()*float64(lives))))
}

// bear brings a revision to so many replicas, within its own bounds, and never to
// fewer than it has.
func (t *Target) bear(ctx context.Context, d *appsv1.Deployment, replicas int) error {
	r, err := objects.RevisionOf(d)
	if err != nil {
		return err
	}
	a := deploy.AutoscaleOf(r.Config)
	if a == nil {
		return nil
	}
	replicas = max(a.Within(replicas), replicasOf(d))
	if replicas > replicasOf(d) {
		if err := t.scale(ctx, r.ID, replicas); err != nil {
			return err
		}
	}
	if err := t.floor(ctx, d, replicas); err != nil {
		return err
	}
	return t.ready(ctx, r, replicas)
}

// floor makes the autoscaler of a revision, or raises the number below which it
// does not go.
func (t *Target) floor(ctx context.Context, d *appsv1.Deployment, replicas int) error {
	r, err := objects.RevisionOf(d)
	if err != nil {
		return err
	}
	wanted := t.place.Autoscaler(r, replicas, d.UID)
	if wanted == nil {
		return nil
	}
	api := t.kube.AutoscalingV2().HorizontalPodAutoscalers(t.place.Namespace)
	_, err = api.Create(ctx, wanted, creation)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	now, err := api.Get(ctx, wanted.Name, metav1.GetOptions{})
	if err != nil || now.Spec.MinReplicas != nil && *now.Spec.MinReplicas >= *wanted.Spec.MinReplicas {
		return unless(absent, err)
	}
	return t.setFloor(ctx, r.ID, int(*wanted.Spec.MinReplicas))
}

func (t *Target) setFloor(ctx context.Context, id string, replicas int) error {
	patch := fmt.Appendf(nil, `{"spec":{"minReplicas":%d}}`, replicas)
	_, err := t.kube.AutoscalingV2().HorizontalPodAutoscalers(t.place.Namespace).
		Patch(ctx, t.place.Name(id), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: objects.Manager})
	return unless(absent, err)
}

// relax lets the autoscaler of what is live go down again to what was asked for,
// once a revision has gone and no other is beside it.
func (t *Target) relax(ctx context.Context, gone deploy.Revision) error {
	if t.place.Cluster.Autoscale == nil {
		return nil
	}
	f, err := t.front.read(ctx)
	if err != nil || f.Live == "" || f.Live == gone.ID || f.Candidate != "" && f.Candidate != gone.ID {
		return err
	}
	d, err := t.deployment(ctx, f.Live)
	if err != nil || d == nil {
		return err
	}
	live, err := objects.RevisionOf(d)
	if err != nil || deploy.AutoscaleOf(live.Config) == nil {
		return err
	}
	return t.setFloor(ctx, live.ID, live.Config.Replicas)
}
