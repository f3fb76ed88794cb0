package kubernetes

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/apply"
	"github.com/slipway-ci/slipway/target/kubernetes/pods"
)

// others waits for the workloads of a set besides the app's.
func (t *Target) others(ctx context.Context, r deploy.Revision, all []*unstructured.Unstructured) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, o := range all {
		if !t.runsHere(o) {
			continue
		}
		group.Go(func() error {
			if err := t.rolledOut(ctx, r, o); err != nil {
				return fmt.Errorf("%s: %w", apply.ReferenceOf(o), err)
			}
			return nil
		})
	}
	return group.Wait()
}

// runsHere reports whether an object is a workload in the environment's namespace.
func (t *Target) runsHere(o *unstructured.Unstructured) bool {
	ns := o.GetNamespace()
	return o.GroupVersionKind().Group == "apps" && (ns == "" || ns == t.place.Namespace)
}

// rolledOut waits until the pods of another workload are those that it asks for,
// and are ready.
func (t *Target) rolledOut(ctx context.Context, r deploy.Revision, o *unstructured.Unstructured) error {
	options := t.options(r)
	options.Workload = pods.Workload{Kind: o.GetKind(), Name: o.GetName()}
	switch o.GetKind() {
	case "Deployment":
		selector, want, err := pods.Newest(ctx, t.kube, t.place.Namespace, o.GetName())
		if err != nil || want == 0 {
			return err
		}
		return pods.Wait(ctx, t.kube, t.place.Namespace, selector, want, options)
	case "StatefulSet", "DaemonSet":
		return t.replaced(ctx, o, options)
	}
	return nil
}

// replaced waits for a workload that replaces its pods in place.
func (t *Target) replaced(ctx context.Context, o *unstructured.Unstructured, options pods.Options) error {
	live, by, err := t.inPlaceOf(ctx, o.GetKind(), o.GetName())
	if err != nil {
		return err
	}
	if pods.ByHand(live) {
		t.log.Info("not waited for: its pods are replaced when you delete them (OnDelete)", "object", apply.ReferenceOf(o).String())
		return nil
	}
	if o.GetKind() == "StatefulSet" {
		t.unblockOne(ctx, o)
	}
	selector, err := metav1.LabelSelectorAsSelector(by)
	if err != nil {
		return err
	}
	return pods.RolledOut(ctx, t.kube, t.place.Namespace, selector.String(), options)
}

// inPlaceOf is a StatefulSet or DaemonSet as it is now, with what its pods are found
// by.
func (t *Target) inPlaceOf(ctx context.Context, kind, name string) (runtime.Object, *metav1.LabelSelector, error) {
	apps, ns := t.kube.AppsV1(), t.place.Namespace
	if kind == "DaemonSet" {
		d, err := apps.DaemonSets(ns).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, nil, err
		}
		return d, d.Spec.Selector, nil
	}
	s, err := apps.StatefulSets(ns).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return nil, nil, err
	}
	return s, s.Spec.Selector, nil
}

// unblock has the StatefulSets of a set, which was applied again, go back.
func (t *Target) unblock(ctx context.Context, all []*unstructured.Unstructured) {
	for _, o := range all {
		if o.GetKind() == "StatefulSet" && t.runsHere(o) {
			t.unblockOne(ctx, o)
		}
	}
}

// unblockOne deletes the broken pods of another revision for which a StatefulSet
// waits: it follows its template only when they are ready, which they never are. The
// set makes them anew. That it cannot be done ends nothing that was begun: it is said.
func (t *Target) unblockOne(ctx context.Context, o *unstructured.Unstructured) {
	set := apply.ReferenceOf(o).String()
	stuck, err := pods.Stuck(ctx, t.kube, t.place.Namespace, o.GetName(), pods.Limits{})
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		t.log.Warn("it is not known whether a broken pod of another revision holds it up", "object", set, "error", err)
		return
	}
	for i := range stuck {
		p := &stuck[i]
		err := t.kube.CoreV1().Pods(p.Namespace).Delete(ctx, p.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &p.UID}})
		if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
			continue // another one has its name by now
		}
		if err != nil {
			t.log.Warn("a broken pod of another revision holds it up and could not be deleted", "object", set,
				"error", err, "do", "kubectl delete pod -n "+p.Namespace+" "+p.Name)
			continue
		}
		t.log.Warn("deleted a broken pod of another revision, for which it would have waited for ever", "object", set, "pod", p.Name)
	}
}
