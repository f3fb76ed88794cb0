package kubernetes

import (
	"context"
	"fmt"
	"strings"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/feed"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// parallel bounds the requests that are made at once.
const parallel = 8

var (
	creation = metav1.CreateOptions{FieldManager: objects.Manager}
	update   = metav1.UpdateOptions{FieldManager: objects.Manager}
)

// provide makes what a revision's pods need before they are made: the account
// they run as, their settings and secrets, their Service.
func (t *Target) provide(ctx context.Context, r deploy.Revision) error {
	own, err := t.ownService(ctx, r)
	if err != nil {
		return err
	}
	if r.Config.Settings[deploy.SettingManifests] != "" {
		err = t.provideSet(ctx, r)
	} else if err = t.account(ctx); err == nil {
		err = t.bound(ctx, r)
	}
	if err != nil {
		return err
	}
	core, policies := t.kube.CoreV1(), t.kube.PolicyV1().PodDisruptionBudgets(t.place.Namespace)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, s := range r.Secrets {
		group.Go(func() error { return t.secret(ctx, s) })
	}
	group.Go(func() error {
		_, err := core.Services(t.place.Namespace).Create(ctx, own, creation)
		return unless(apierrors.IsAlreadyExists, err)
	})
	made := r.Config.Settings[deploy.SettingManifests] == ""
	if settings := t.place.Settings(r); settings != nil && made {
		group.Go(func() error {
			_, err := core.ConfigMaps(t.place.Namespace).Create(ctx, settings, creation)
			return unless(apierrors.IsAlreadyExists, err)
		})
	}
	if budget := t.place.Budget(r); budget != nil && made {
		group.Go(func() error {
			_, err := policies.Create(ctx, budget, creation)
			return unless(apierrors.IsAlreadyExists, err)
		})
	}
	if fence := t.place.Fence(r); fence != nil {
		group.Go(func() error {
			_, err := t.kube.NetworkingV1().NetworkPolicies(t.place.Namespace).Create(ctx, fence, creation)
			return unless(apierrors.IsAlreadyExists, err)
		})
	}
	return group.Wait()
}

// account makes the account that pods run as, and first the namespace where
// slipway.yaml names one that is not there.
func (t *Target) account(ctx context.Context) error {
	accounts := t.kube.CoreV1().ServiceAccounts(t.place.Namespace)
	_, err := accounts.Create(ctx, t.place.ServiceAccount(), creation)
	if !absent(err) {
		return unless(apierrors.IsAlreadyExists, err)
	}
	if err := t.makeNamespace(ctx, err); err != nil {
		return err
	}
	_, err = accounts.Create(ctx, t.place.ServiceAccount(), creation)
	return unless(apierrors.IsAlreadyExists, err)
}

// makeNamespace makes the one that slipway.yaml names; without a name there it is
// an error that it is missing.
func (t *Target) makeNamespace(ctx context.Context, missing error) error {
	if t.place.Cluster.Namespace == "" {
		return deploy.Hinted(missing, "make the namespace %s, or name another one: target: {kubernetes: {namespace: …}}", t.place.Namespace)
	}
	_, err := t.kube.CoreV1().Namespaces().Create(ctx, t.namespace(), creation)
	if err = unless(apierrors.IsAlreadyExists, err); err != nil {
		return deploy.Hinted(fmt.Errorf("make the namespace %s: %w", t.place.Namespace, err), "have somebody make it who may")
	}
	return nil
}

// namespace is one to make: with the labels of the environment, which let it be
// removed again, only where it is this environment's alone.
func (t *Target) namespace() *corev1.Namespace {
	n := t.place.NamespaceObject()
	if !t.ownNamespace() {
		n.Labels = map[string]string{objects.LabelManagedBy: objects.Manager}
	}
	return n
}

// ownNamespace reports whether no other environment can be in the namespace.
func (t *Target) ownNamespace() bool {
	return strings.Contains(t.place.Cluster.Namespace, deploy.EnvironmentPlace)
}

// secret keeps one version of a value. Without a value it must be there.
func (t *Target) secret(ctx context.Context, s deploy.Secret) error {
	secrets := t.kube.CoreV1().Secrets(t.place.Namespace)
	if s.Reveal() == "" {
		_, err := secrets.Get(ctx, t.place.SecretName(s), metav1.GetOptions{})
		if absent(err) {
			return deploy.Hinted(fmt.Errorf("the namespace %s does not have the secret %s any more", t.place.Namespace, s),
				"release with its value: the environment variable %s", s.Name)
		}
		return err
	}
	_, err := secrets.Create(ctx, t.place.Secret(s), creation)
	return unless(apierrors.IsAlreadyExists, err)
}

// deployment is that of a revision; nil where there is none, or it is being
// removed.
func (t *Target) deployment(ctx context.Context, id string) (*appsv1.Deployment, error) {
	d, err := t.kube.AppsV1().Deployments(t.place.Namespace).Get(ctx, t.place.Name(id), metav1.GetOptions{})
	if absent(err) || err == nil && d.DeletionTimestamp != nil {
		return nil, nil // none is an answer
	}
	if err != nil {
		return nil, err
	}
	return d, nil
}

// atLeast makes the Deployment of a revision, or raises its replicas.
func (t *Target) atLeast(ctx context.Context, r deploy.Revision, replicas int) error {
	made, err := t.workload(ctx, r, replicas)
	if err != nil {
		return err
	}
	_, err = t.kube.AppsV1().Deployments(t.place.Namespace).Create(ctx, made, creation)
	if !apierrors.IsAlreadyExists(err) {
		return err
	}
	d, err := t.deployment(ctx, r.ID)
	switch {
	case err != nil:
		return err
	case d == nil:
		return fmt.Errorf("%s is being removed", made.Name)
	case replicasOf(d) >= replicas:
		return nil
	}
	return t.scale(ctx, r.ID, replicas)
}

func replicasOf(d *appsv1.Deployment) int {
	if d.Spec.Replicas == nil {
		return 1
	}
	return int(*d.Spec.Replicas)
}

// scale sets the number of replicas, and touches no other field.
func (t *Target) scale(ctx context.Context, id string, replicas int) error {
	patch := fmt.Appendf(nil, `{"spec":{"replicas":%d}}`, replicas)
	_, err := t.kube.AppsV1().Deployments(t.place.Namespace).
		Patch(ctx, t.place.Name(id), types.MergePatchType, patch, metav1.PatchOptions{FieldManager: objects.Manager})
	return err
}

// takeDown removes a revision's objects and waits until its pods have ended. The
// Service goes last: while pods drain, it is what requests under way came by.
func (t *Target) takeDown(ctx context.Context, r deploy.Revision) error {
	name, ns, background := t.place.Name(r.ID), t.place.Namespace, metav1.DeletePropagationBackground
	err := t.kube.AppsV1().Deployments(ns).Delete(ctx, name, metav1.DeleteOptions{PropagationPolicy: &background})
	if err := unless(absent, err); err != nil {
		return err
	}
	if err := t.noneLeft(ctx, r.ID); err != nil {
		return err
	}
	var o metav1.DeleteOptions
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return unless(absent, t.kube.CoreV1().Services(ns).Delete(ctx, name, o)) })
	group.Go(func() error { return unless(absent, t.kube.CoreV1().ConfigMaps(ns).Delete(ctx, name, o)) })
	group.Go(func() error { return unless(absent, t.kube.PolicyV1().PodDisruptionBudgets(ns).Delete(ctx, name, o)) })
	if t.place.Cluster.Isolated {
		group.Go(func() error { return unless(absent, t.kube.NetworkingV1().NetworkPolicies(ns).Delete(ctx, name, o)) })
	}
	return group.Wait()
}

// noneLeft waits until no pod of a revision is there any more.
func (t *Target) noneLeft(ctx context.Context, id string) error {
	return t.follow(ctx, id, func(all map[string]*corev1.Pod) bool { return len(all) == 0 })
}

// atMost waits until the pods of a revision that are too many have been told to
// end.
func (t *Target) atMost(ctx context.Context, id string, n int) error {
	return t.follow(ctx, id, func(all map[string]*corev1.Pod) bool {
		staying := 0
		for _, p := range all {
			if p.DeletionTimestamp == nil {
				staying++
			}
		}
		return staying <= n
	})
}

// follow watches the pods of a revision until they are as is wanted, or ctx ends.
func (t *Target) follow(ctx context.Context, id string, met func(map[string]*corev1.Pod) bool) error {
	defer t.watched.learnt.Add(1)
	api := t.kube.CoreV1().Pods(t.place.Namespace)
	f := feed.Feed{
		What: "pods of " + t.place.Name(id) + " to end", List: feed.Listing(api.List), Watch: api.Watch,
		Options: metav1.ListOptions{LabelSelector: t.place.SelectPods(id)},
	}
	return feed.Until(ctx, f, func(all map[string]*corev1.Pod) (bool, error) { return met(all), nil })
}
