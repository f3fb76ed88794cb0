package kubernetes

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/apply"
	"github.com/slipway-ci/slipway/target/kubernetes/bundle"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
	"github.com/slipway-ci/slipway/target/kubernetes/pods"
)

var _ deploy.Hooked = (*Target)(nil)

// Hooks are those of the chart that a revision was made of, each a task of its own.
// It reads the set of a past revision from the cluster.
func (t *Target) Hooks(ctx context.Context, r deploy.Revision, o deploy.Occasion) (deploy.Tasks, error) {
	b, err := t.hooked(ctx, r)
	if err != nil || b == nil {
		return deploy.Tasks{}, t.ended(ctx, err, "read the hooks of %s at %s", r, t)
	}
	return deploy.Tasks{Before: t.hooksAt(b, bundle.EventBefore(o)), After: t.hooksAt(b, bundle.EventAfter(o))}, nil
}

// hooked is the set of a revision; nil where it has none, or its hooks are left out,
// as beside a Rollout.
func (t *Target) hooked(ctx context.Context, r deploy.Revision) (*bundle.Bundle, error) {
	if t.withoutHooks() {
		return nil, nil // none is an answer
	}
	b, err := t.bundle(ctx, r)
	if err != nil || b != nil && b.Rollout() {
		return nil, err
	}
	return b, nil
}

func (t *Target) withoutHooks() bool {
	m := t.place.Cluster.Manifests
	return m != nil && m.NoHooks
}

// hooksAt are the hooks of an event as tasks.
func (t *Target) hooksAt(b *bundle.Bundle, event string) []deploy.Task {
	limit := deploy.DefaultTaskTimeout
	if m := t.place.Cluster.Manifests; m != nil {
		limit = cmp.Or(m.HookTimeout, limit)
	}
	var all []deploy.Task
	for _, h := range b.Hooks(event) {
		all = append(all, deploy.Task{Name: h.Name(), Hook: event, Timeout: limit})
	}
	return all
}

// runHook brings one hook in. After the last one of its event, and after one that
// has failed, those go that are to be removed then.
func (t *Target) runHook(ctx context.Context, r deploy.Revision, task deploy.Task, log func(line string)) error {
	b, err := t.bundle(ctx, r)
	if err != nil {
		return err
	}
	var hooks []bundle.Hook
	if b != nil {
		hooks = b.Hooks(task.Hook)
	}
	i := slices.IndexFunc(hooks, func(h bundle.Hook) bool { return h.Name() == task.Name })
	if i < 0 {
		return fmt.Errorf("the manifests of %s have no hook %s for %s", r, task.Name, task.Hook)
	}
	err = t.bringHook(ctx, b, r, hooks[i], task, log)
	switch {
	case err != nil:
		t.dropHooks(ctx, r, hooks[i:i+1], bundle.WhenFailed, log)
		t.dropHooks(ctx, r, hooks[:i], bundle.WhenSucceeded, log)
	case i == len(hooks)-1:
		t.dropHooks(ctx, r, hooks, bundle.WhenSucceeded, log)
	}
	return err
}

func (t *Target) bringHook(ctx context.Context, b *bundle.Bundle, r deploy.Revision, h bundle.Hook, task deploy.Task, log func(line string)) error {
	if !h.Works() {
		return t.applyHook(ctx, b, r, h, log)
	}
	job, err := b.HookJob(t.place, r, h, task.Timeout)
	if err != nil {
		return err
	}
	job.Labels[apply.OwnerLabel] = t.place.Base()
	if err := t.prepareSet(ctx, b, job.Spec.Template.Spec); err != nil {
		return err
	}
	o := pods.JobOptions{Task: task.Name, Line: log, Mine: t.replaceable(h)}
	o.Options = pods.Options{Revision: r, Hide: b.Confidential(), Timeout: task.Timeout, Log: t.log}
	return pods.RunJob(ctx, t.kube, job, o)
}

// replaceable says whether a Job that is there may be removed for a hook's: one of
// this environment, or one that Helm has left of the same hook and would replace.
func (t *Target) replaceable(h bundle.Hook) func(*batchv1.Job) error {
	return func(there *batchv1.Job) error {
		owner := there.Labels[apply.OwnerLabel]
		switch {
		case owner == t.place.Base(), owner == "" && there.Annotations[bundle.AnnotationHook] != "" && h.Removed(bundle.BeforeCreation):
			return nil
		case owner != "":
			return deploy.Hinted(fmt.Errorf("the Job %s/%s belongs to %s", there.Namespace, there.Name, owner), "give the chart another release: target: {kubernetes: {release: …}}")
		}
		return deploy.Hinted(fmt.Errorf("a Job %s/%s is there that Slipway has not made", there.Namespace, there.Name), "remove it, or give the hook another name")
	}
}

// hooking is how hooks are applied that are not one-off work. They are in an
// inventory of their own: nothing is pruned of it, since the next set need not bring
// in again what one before has left for it.
func (t *Target) hooking() apply.Options {
	o := t.applying()
	o.Inventory = t.place.Base() + "-hooks"
	return o
}

func (t *Target) applyHook(ctx context.Context, b *bundle.Bundle, r deploy.Revision, h bundle.Hook, log func(line string)) error {
	if err := t.inNamespace(ctx); err != nil {
		return err
	}
	if err := t.keep(ctx, b); err != nil {
		return err
	}
	result, err := t.applier.Apply(ctx, []*unstructured.Unstructured{b.HookObject(t.place, r, h)}, t.hooking())
	if err != nil {
		return fmt.Errorf("apply the hook %s: %w", h.Name(), err)
	}
	for what, all := range map[string][]apply.Reference{"created": result.Created, "changed": result.Changed, "is there already": result.Unchanged} {
		for _, o := range all {
			log(fmt.Sprintf("%s %s", o, what))
		}
	}
	return nil
}

// dropTime bounds the removal of hooks, which goes on when a run is cancelled.
const dropTime = 30 * time.Second

// dropHooks removes the hooks that a policy removes, the last first. That it cannot
// does no harm: they are removed with their revision, or before they are made anew.
func (t *Target) dropHooks(ctx context.Context, r deploy.Revision, hooks []bundle.Hook, p bundle.Policy, log func(line string)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropTime)
	defer cancel()
	for _, h := range slices.Backward(hooks) {
		if !h.Removed(p) {
			continue
		}
		if err := t.dropHook(ctx, r, h, log); err != nil {
			log(fmt.Sprintf("%s is left, which %s is to remove: %v", h.Name(), p, err))
		}
	}
}

func (t *Target) dropHook(ctx context.Context, r deploy.Revision, h bundle.Hook, log func(line string)) error {
	if h.Works() {
		own := labels.Set{objects.LabelTask: h.Object.GetName(), objects.LabelHook: h.Event}
		return pods.EndJobs(ctx, t.kube, t.place.Namespace, t.place.SelectTasks(r.ID)+","+own.String())
	}
	o := t.hooking()
	gvk := h.Object.GroupVersionKind()
	o.Keep = func(there apply.Reference) bool {
		same := there.Group == gvk.Group && there.Kind == gvk.Kind && there.Name == h.Object.GetName()
		return !same || there.Namespace != "" && there.Namespace != cmp.Or(h.Object.GetNamespace(), t.place.Namespace)
	}
	pruned, err := t.applier.Prune(ctx, nil, o)
	for _, left := range pruned.Left {
		log(fmt.Sprintf("%s is left: %s", left.Object, left.Why))
	}
	return err
}
