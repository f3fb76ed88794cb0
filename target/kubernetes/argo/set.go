package argo

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/argo/concede"
)

// Set is a user's own manifests with a Rollout in them: whoever drives the Rollout
// brings in all else of it, too.
type Set interface {
	// Written is the Rollout of the manifests that this command brings in; nil where
	// it brings none in.
	Written() *unstructured.Unstructured
	// Bring applies a revision's manifests, the Rollout after all else is there.
	Bring(ctx context.Context, r deploy.Revision) error
	// Back applies the Rollout alone as a revision's manifests have it, whoever has
	// changed it meanwhile. One that is of no manifests gets the Rollout as it is, with
	// the template.
	Back(ctx context.Context, r deploy.Revision, template map[string]any) error
	// Rest applies what Back has left out, and waits for none of it.
	Rest(ctx context.Context, r deploy.Revision) error
	// Withdraw removes the Rollout, if Slipway has made it.
	Withdraw(ctx context.Context) error
}

// ofSet reports whether a revision is of a user's own manifests.
func ofSet(r deploy.Revision) bool { return r.Config.Settings[deploy.SettingManifests] != "" }

// bring gives the Rollout a revision on the way forward. It gives what the Rollout
// was before; nil where it was not there.
func (t *Target) bring(ctx context.Context, r deploy.Revision) (*rollout, error) {
	if t.o.Set == nil || !ofSet(r) {
		return t.set(ctx, r)
	}
	before, err := t.find(ctx)
	if err != nil {
		return nil, err
	}
	// Also where the Rollout has it already: a run that was killed may have left out
	// what else there is.
	return before, t.o.Set.Bring(ctx, r)
}

// find is get, and nil where the Rollout is one that a release makes and none has
// made it yet.
func (t *Target) find(ctx context.Context) (*rollout, error) {
	now, err := t.get(ctx)
	if t.o.Set != nil && apierrors.IsNotFound(err) {
		return nil, nil // none is an answer
	}
	return now, err
}

// rewrite gives the Rollout what a revision was, in which whatever the manifests of
// another one have changed is as it was.
func (t *Target) rewrite(ctx context.Context, r deploy.Revision, all sets) error {
	if ofSet(r) {
		return t.o.Set.Back(ctx, r, nil)
	}
	s := all.of(r.ID)
	if s == nil {
		return errors.New("it has no ReplicaSet of " + r.String() + " any more: its revisionHistoryLimit is over")
	}
	rs, err := t.o.Dynamic.Resource(replicaSets).Namespace(t.o.Namespace).Get(ctx, s.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	template, _, err := unstructured.NestedMap(rs.Object, "spec", "template")
	if err != nil {
		return err
	}
	unstructured.RemoveNestedField(template, "metadata", "labels", concede.LabelHash)
	unstructured.RemoveNestedField(template, "metadata", "creationTimestamp")
	return t.o.Set.Back(ctx, r, template)
}

// unpreceded reports whether a revision is the first that there is, so that nothing
// is left when it is taken back.
func (t *Target) unpreceded(ctx context.Context, r deploy.Revision, all sets) (bool, error) {
	if t.o.Set == nil {
		return false, nil
	}
	for i := range all {
		if all[i].revision.ID != r.ID {
			return false, nil
		}
	}
	var s deploy.State
	if err := t.Remember(ctx, &s); err != nil {
		return false, err
	}
	return first(s.Record, r), nil
}

// first reports whether a rollout that is under way brings in a revision where
// nothing was.
func first(record deploy.Record, r deploy.Revision) bool {
	return record.Unfinished() && record.Previous.IsZero() && record.Candidate.ID == r.ID
}

// withdraw removes the Rollout, and waits until it is gone.
func (t *Target) withdraw(ctx context.Context) error {
	if err := t.o.Set.Withdraw(ctx); err != nil {
		return err
	}
	err := t.follow(ctx, func(*rollout) (bool, error) { return false, nil })
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
