package kubernetes

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/apply"
	"github.com/slipway-ci/slipway/target/kubernetes/argo/concede"
	"github.com/slipway-ci/slipway/target/kubernetes/bundle"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// driving is the manifests of an environment with a Rollout in them.
type driving struct{ *Target }

// Written is the Rollout of the manifests that this command brings in; nil where it
// brings none in.
func (d driving) Written() *unstructured.Unstructured {
	if d.bundles.written == nil {
		return nil
	}
	return d.bundles.written.App.Workload
}

// Bring applies a revision's manifests. What somebody else owns is told before
// anything changes; the Rollout comes last, when all that its pods need is there and
// the other workloads are ready.
func (d driving) Bring(ctx context.Context, r deploy.Revision) error {
	b, err := d.bundle(ctx, r)
	if err != nil {
		return err
	}
	if err := d.inNamespace(ctx); err != nil {
		return err
	}
	if err := d.bound(ctx, r); err != nil {
		return err
	}
	options := d.applying()
	options.Returning = d.goesBack(r)
	options.Force = options.Force || options.Returning
	options.BeforeLast = func(ctx context.Context) error {
		if err := d.furnish(ctx, b, r); err != nil {
			return err
		}
		return d.others(ctx, r, b.Set.Objects)
	}
	return d.applyDriven(ctx, b, r, options)
}

// furnish makes what the pods of a revision read, and keeps the manifests.
func (d driving) furnish(ctx context.Context, b *bundle.Bundle, r deploy.Revision) error {
	if err := d.keep(ctx, b); err != nil {
		return err
	}
	for _, s := range r.Secrets {
		if err := d.secret(ctx, s); err != nil {
			return err
		}
	}
	return d.copies(ctx, b)
}

// Rest applies a revision's manifests again after a way back, and waits for none of
// it: users are back already.
func (d driving) Rest(ctx context.Context, r deploy.Revision) error {
	b, err := d.bundle(ctx, r)
	if err != nil {
		return err
	}
	options := d.applying()
	options.Force, options.Returning = true, true // the way back waits for nobody
	if err := d.applyDriven(ctx, b, r, options); err != nil {
		return err
	}
	d.unblock(ctx, b.Set.Objects)
	return nil
}

// checked refuses the written manifests where the cluster would, as those of other
// apps are. What the Rollout's controller has written is let be, as when they are
// applied.
func (d driving) checked(ctx context.Context) error {
	b := d.bundles.written
	if b == nil {
		return nil
	}
	options, err := d.checking(ctx)
	if err != nil {
		return err
	}
	all, yield, err := d.conceded(ctx, b, unbuiltOf(b))
	if err != nil {
		return err
	}
	options.Yield = yield
	if err = d.wouldApply(ctx, all, options); concede.Fleeting(err) {
		return nil
	}
	return err
}

// conceded are the objects of a revision's manifests with a Rollout, in which what
// its controller and autoscalers have the say of is as it is. Yield says which of
// these fields are taken all the same, with the value that they have.
func (d driving) conceded(ctx context.Context, b *bundle.Bundle, r deploy.Revision) (all []*unstructured.Unstructured, yield func(apply.Held) bool, err error) {
	if all, err = b.Driven(d.place, r); err != nil {
		return nil, nil, err
	}
	yield, err = concede.Objects(ctx, all, b.App.Autoscaler != nil, func(ctx context.Context, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
		return d.applier.Live(ctx, o, d.applying())
	})
	return all, yield, err
}

// contests bounds how often a set is applied anew, because an autoscaler or the
// Rollout's controller was faster.
const contests = 5

func (d driving) applyDriven(ctx context.Context, b *bundle.Bundle, r deploy.Revision, options apply.Options) error {
	d.bundles.mu.Lock()
	done := d.bundles.applied == r.ID
	d.bundles.mu.Unlock()
	if done {
		return nil
	}
	options.Last = d.isRollout
	for n := 1; ; n++ {
		all, yield, err := d.conceded(ctx, b, r)
		if err != nil {
			return err
		}
		options.Yield = yield
		result, err := d.applier.Apply(ctx, all, options)
		d.tell(result)
		if concede.Fleeting(err) && n < contests && ctx.Err() == nil {
			continue
		}
		if err != nil {
			return fmt.Errorf("apply the manifests: %w", err)
		}
		break
	}
	d.bundles.mu.Lock()
	defer d.bundles.mu.Unlock()
	d.bundles.applied = r.ID
	return nil
}

// tell logs what a cluster said to what was applied, and what was taken.
func (t *Target) tell(result apply.Result) {
	for _, warning := range result.Warnings {
		t.log.Warn("the cluster warns of the manifests", "warning", warning)
	}
	for _, o := range result.Remade {
		t.log.Info("made anew, since the pods of a Job cannot be changed", "object", o.String())
	}
	for _, stayed := range result.Stayed {
		t.log.Warn("stays as it is: the cluster does not let it be changed back", "object", stayed.Object.String(), "why", stayed.Why)
	}
	for _, taken := range result.Taken {
		t.log.Warn("taken over", "field", taken.String())
	}
}

// Back applies the Rollout alone. It is taken from whoever has changed it meanwhile:
// the way back waits for nobody.
func (d driving) Back(ctx context.Context, r deploy.Revision, template map[string]any) error {
	d.bundles.mu.Lock()
	d.bundles.applied = "" // whatever it was, the Rollout is another one's now
	d.bundles.mu.Unlock()
	live, err := d.liveRollout(ctx)
	if err != nil {
		return err
	}
	b, o, err := d.backTo(ctx, r, template, live)
	if err != nil {
		return err
	}
	concede.Replicas(o, live, b.App.Autoscaler != nil)
	options := d.applying()
	options.Force = true
	result, err := d.applier.Apply(ctx, []*unstructured.Unstructured{o}, options)
	d.tell(result)
	if err != nil {
		return fmt.Errorf("apply the Rollout: %w", err)
	}
	return nil
}

// backTo is the Rollout of a revision: of its own manifests, or, where it is of
// none, of those that are there now, with the template that it had.
func (d driving) backTo(ctx context.Context, r deploy.Revision, template map[string]any, live *unstructured.Unstructured) (*bundle.Bundle, *unstructured.Unstructured, error) {
	of := r
	if template != nil {
		of = revisionIn(live)
	}
	b, err := d.bundle(ctx, of)
	if err != nil {
		return nil, nil, err
	}
	if b == nil {
		return nil, nil, deploy.Hinted(fmt.Errorf("no release has brought what the Rollout %s is now", live.GetName()),
			"go back by hand: kubectl argo rollouts undo %s -n %s", live.GetName(), live.GetNamespace())
	}
	if template == nil {
		if err := d.furnish(ctx, b, r); err != nil {
			return nil, nil, err
		}
	}
	o, err := b.RolloutOf(d.place, of)
	if err == nil && template != nil {
		err = unstructured.SetNestedMap(o.Object, template, "spec", "template")
	}
	return b, o, err
}

// liveRollout is the Rollout as it is now.
func (d driving) liveRollout(ctx context.Context) (*unstructured.Unstructured, error) {
	return d.dynamic.Resource(rollouts).Namespace(d.place.Namespace).Get(ctx, d.place.Front.Rollout, metav1.GetOptions{})
}

// Withdraw removes the Rollout, if Slipway has made it. All else stays, as it does
// where another workload is taken back.
func (d driving) Withdraw(ctx context.Context) error {
	options := d.applying()
	options.Keep = func(o apply.Reference) bool { return !d.isRollout(o) }
	pruned, err := d.applier.Prune(ctx, nil, options)
	if err != nil {
		return err
	}
	for _, left := range pruned.Left {
		if d.isRollout(left.Object) {
			return deploy.Hinted(fmt.Errorf("%s stays: %s", left.Object, left.Why), "remove it by hand, or release a version that starts")
		}
	}
	d.bundles.mu.Lock()
	defer d.bundles.mu.Unlock()
	d.bundles.applied = ""
	return nil
}

// isRollout reports whether an object is the Rollout that is driven.
func (d driving) isRollout(o apply.Reference) bool {
	return o.Kind == bundle.KindRollout && o.Name == d.place.Front.Rollout
}

// revisionIn is the revision that a Rollout's template names; a zero one where
// somebody else has written it.
func revisionIn(rollout *unstructured.Unstructured) deploy.Revision {
	text, _, _ := unstructured.NestedString(rollout.Object, "spec", "template", "metadata", "annotations", objects.AnnotationRevision)
	var r deploy.Revision
	if json.Unmarshal([]byte(text), &r) != nil {
		return deploy.Revision{}
	}
	return r
}
