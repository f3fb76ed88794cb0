package kubernetes

import (
	"context"
	"fmt"
	"math"

	appsv1 "k8s.io/api/apps/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// Where the number of replicas follows their load, each revision has an autoscaler
// of its own from when it gets users, which ends with its Deployment: one that
// slipway.yaml asks for, or that of a user's manifests. Nothing here fights it: a
// revision that gets users is first brought to the part of live's replicas that goes
// with its share, and while two revisions are there, neither autoscaler goes below
// what its side had when users were moved. A revision without users is idle, and
// would be scaled down to its fewest otherwise just before everybody comes back to
// it. The floors go when one revision is left.

// mayScale reports whether the number of a revision's replicas may follow their
// load, without asking the cluster.
func (t *Target) mayScale(r deploy.Revision) bool {
	return t.place.Cluster.Autoscale != nil || r.Config.Settings[deploy.SettingManifests] != ""
}

// bounds are between which numbers of replicas a revision's autoscaler goes; nil
// where their number is fixed.
func (t *Target) bounds(ctx context.Context, r deploy.Revision) (*deploy.Autoscale, error) {
	b, err := t.bundle(ctx, r)
	if err != nil || b == nil {
		return deploy.AutoscaleOf(r.Config), err
	}
	return b.Scaling(), nil
}

// carry readies a candidate and what is live for a larger share of the users, by
// what the cluster has now. It does nothing where the number of replicas is fixed,
// and on the way back: what is gone back to has kept what it had, and nobody waits
// for a start.
func (t *Target) carry(ctx context.Context, r deploy.Revision, share deploy.Percent) error {
	if share <= 0 || !t.mayScale(r) {
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
	if f.Live == "" {
		standing, err := t.standing(ctx, r)
		if err != nil {
			return err
		}
		return t.bear(ctx, d, standing, false)
	}
	live, err := t.deployment(ctx, f.Live)
	switch {
	case err != nil:
		return err
	case live == nil: // somebody has removed it
		return t.bear(ctx, d, 0, false)
	}
	lives := replicasOf(live)
	if err := t.floor(ctx, live, lives); err != nil {
		return err
	}
	return t.bear(ctx, d, int(math.Ceil(share.Fraction()*float64(lives))), true)
}

// standing are the replicas of what ran before Slipway: the Deployment of a user's
// manifests that somebody else has applied, from which users come over.
func (t *Target) standing(ctx context.Context, r deploy.Revision) (int, error) {
	b, err := t.bundle(ctx, r)
	if err != nil || b == nil {
		return 0, err
	}
	d, err := t.kube.AppsV1().Deployments(t.place.Namespace).Get(ctx, b.App.Workload.GetName(), metav1.GetOptions{})
	if err != nil {
		return 0, unless(absent, err)
	}
	return replicasOf(d), nil
}

// bear brings a revision to so many replicas, within its own bounds, and never to
// fewer than it has. Its autoscaler keeps them while another revision is beside it.
func (t *Target) bear(ctx context.Context, d *appsv1.Deployment, replicas int, beside bool) error {
	r, err := objects.RevisionOf(d)
	if err != nil {
		return err
	}
	a, err := t.bounds(ctx, r)
	if err != nil || a == nil {
		return err
	}
	replicas = max(a.Within(replicas), replicasOf(d))
	if replicas > replicasOf(d) {
		if err := t.scale(ctx, r.ID, replicas); err != nil {
			return err
		}
	}
	least := a.Min
	if beside {
		least = replicas
	}
	if err := t.floor(ctx, d, least); err != nil {
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
	wanted, err := t.autoscaler(ctx, r, replicas, d.UID)
	if err != nil || wanted == nil {
		return err
	}
	api := t.autoscalers(wanted)
	_, err = api.Create(ctx, wanted, creation)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	now, err := api.Get(ctx, wanted.GetName(), metav1.GetOptions{})
	if err != nil || floorOf(now) >= floorOf(wanted) {
		return unless(absent, err)
	}
	return t.setFloor(ctx, wanted, floorOf(wanted))
}

// autoscaler is that of a revision, with a floor; nil where the number of its
// replicas is fixed.
func (t *Target) autoscaler(ctx context.Context, r deploy.Revision, floor int, deployment types.UID) (*unstructured.Unstructured, error) {
	b, err := t.bundle(ctx, r)
	if err != nil {
		return nil, err
	}
	if b != nil {
		return b.Autoscaler(t.place, r, floor, deployment)
	}
	a := t.place.Autoscaler(r, floor, deployment)
	if a == nil {
		return nil, nil //nolint:nilnil // none is an answer
	}
	return plain(a)
}

// tryAutoscaler has the cluster check the autoscaler of a user's manifests, which is
// not made before users are moved.
func (t *Target) tryAutoscaler(ctx context.Context, r deploy.Revision) error {
	o, err := t.autoscaler(ctx, r, r.Config.Replicas, "")
	if err != nil || o == nil {
		return err
	}
	o.SetOwnerReferences(nil)
	_, err = t.autoscalers(o).Create(ctx, o, metav1.CreateOptions{FieldManager: objects.Manager, DryRun: []string{metav1.DryRunAll}})
	if err = unless(apierrors.IsAlreadyExists, err); err != nil {
		return fmt.Errorf("the autoscaler of the manifests: %w", err)
	}
	return nil
}

// autoscalers are those of the kind of one.
func (t *Target) autoscalers(like *unstructured.Unstructured) dynamic.ResourceInterface {
	of := schema.GroupVersionResource{Group: "autoscaling", Resource: "horizontalpodautoscalers"}
	if like.GetKind() == objects.KindScaledObject {
		of = schema.GroupVersionResource{Group: "keda.sh", Resource: "scaledobjects"}
	}
	of.Version = like.GroupVersionKind().Version
	return t.dynamic.Resource(of).Namespace(t.place.Namespace)
}

// floorOf is the number below which an autoscaler does not go; zero where it does
// not say.
func floorOf(autoscaler *unstructured.Unstructured) int {
	n, _, err := unstructured.NestedInt64(autoscaler.Object, "spec", objects.FloorOf(autoscaler.GetKind()))
	if err != nil {
		return 0
	}
	return int(n)
}

func (t *Target) setFloor(ctx context.Context, autoscaler *unstructured.Unstructured, replicas int) error {
	patch := fmt.Appendf(nil, `{"spec":{%q:%d}}`, objects.FloorOf(autoscaler.GetKind()), replicas)
	_, err := t.autoscalers(autoscaler).
		Patch(ctx, autoscaler.GetName(), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: objects.Manager})
	return unless(absent, err)
}

// reinforce gives the revision that users went back to as many replicas as those
// needed that they came from, where these had become more meanwhile. It is done
// after users were moved, and nobody waits for it: going back is one write.
func (t *Target) reinforce(ctx context.Context, r deploy.Revision, before objects.Traffic, to string) error {
	from, share := leftBy(before, to)
	if from == "" || !t.mayScale(r) {
		return nil
	}
	left, err := t.deployment(ctx, from)
	if err != nil || left == nil {
		return err
	}
	d, err := t.deployment(ctx, to)
	if err != nil || d == nil {
		return err
	}
	return t.raise(ctx, d, needed(replicasOf(left), share))
}

// leftBy is from which revision users go back to another one, and what share of
// them it had; none where they do not go back.
func leftBy(before objects.Traffic, to string) (from string, share deploy.Percent) {
	switch {
	case to == "" || to == before.Candidate:
		return "", 0
	case to != before.Live:
		return before.Live, 100
	case before.Share > 0:
		return before.Candidate, before.Share
	}
	return "", 0
}

// raise brings a revision to so many replicas, within its own bounds, without
// waiting for them.
func (t *Target) raise(ctx context.Context, d *appsv1.Deployment, replicas int) error {
	r, err := objects.RevisionOf(d)
	if err != nil {
		return err
	}
	a, err := t.bounds(ctx, r)
	if err != nil || a == nil {
		return err
	}
	replicas = a.Within(replicas)
	if replicas <= replicasOf(d) {
		return nil
	}
	if err := t.scale(ctx, r.ID, replicas); err != nil {
		return err
	}
	return t.floor(ctx, d, replicas)
}

// needed is how many replicas all users need at the least, if so many were what a
// share of them needed: the last of these may have had little to do.
func needed(replicas int, share deploy.Percent) int {
	if replicas < 1 || share <= 0 {
		return replicas
	}
	return int(math.Floor(float64(replicas-1)/share.Fraction())) + 1
}

// relax lets the autoscaler of what is live go down again to what was asked for,
// once a revision has gone and no other is beside it.
func (t *Target) relax(ctx context.Context, gone deploy.Revision) error {
	if !t.mayScale(gone) {
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
	if err != nil {
		return err
	}
	a, err := t.bounds(ctx, live)
	if err != nil || a == nil {
		return err
	}
	made, err := t.autoscaler(ctx, live, a.Min, d.UID)
	if err != nil {
		return err
	}
	return t.setFloor(ctx, made, a.Min)
}
