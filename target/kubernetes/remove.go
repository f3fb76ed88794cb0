package kubernetes

import (
	"context"
	"errors"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/apply"
	"github.com/slipway-ci/slipway/target/kubernetes/bundle"
	"github.com/slipway-ci/slipway/target/kubernetes/feed"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// Remove removes all that is in the environment, and its namespace where that
// was made for it alone.
func (t *Target) Remove(ctx context.Context) error {
	return t.ended(ctx, t.remove(ctx), "remove %s", t)
}

func (t *Target) remove(ctx context.Context) error {
	f, err := t.farewell(ctx)
	if err != nil {
		return err
	}
	if err := f.say(ctx, bundle.EventPreDelete); err != nil {
		return err
	}
	if f.silent(bundle.EventPostDelete) {
		if gone, err := t.removePlace(ctx); gone || err != nil {
			return err
		}
	}
	if err := t.removeParts(ctx, f); err != nil {
		return err
	}
	_, err = t.removePlace(ctx)
	return err
}

// removeParts removes one after the other what is in the environment.
func (t *Target) removeParts(ctx context.Context, f farewell) error {
	for _, part := range []func(context.Context) error{
		t.removeRoute, t.removeApplied, t.removeRevisions, t.removeSettings,
		func(ctx context.Context) error { return f.say(ctx, bundle.EventPostDelete) },
		f.endTasks, t.removeHooks,
		func(ctx context.Context) error { return t.forgetSets(ctx, nil) },
		t.unbound, t.removeShared,
	} {
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// removePlace removes the namespace with all that is in it, where it is the
// environment's alone.
func (t *Target) removePlace(ctx context.Context) (gone bool, err error) {
	if !t.ownNamespace() {
		return false, nil
	}
	if err := t.removeWide(ctx); err != nil {
		return false, err
	}
	return t.removeNamespace(ctx)
}

// removeWide removes what the manifests have brought outside of a namespace that is
// about to go, and tells what of it stays.
func (t *Target) removeWide(ctx context.Context) error {
	options := t.applying()
	options.Keep = func(r apply.Reference) bool { return r.Namespace == t.place.Namespace }
	pruned, err := t.applier.Prune(ctx, nil, options)
	t.tellLeft(pruned)
	return err
}

// removeNamespace removes a namespace with the environment's labels, and waits
// until it is gone. One that somebody else has made stays.
func (t *Target) removeNamespace(ctx context.Context) (bool, error) {
	api, name := t.kube.CoreV1().Namespaces(), t.place.Namespace
	n, err := api.Get(ctx, name, metav1.GetOptions{})
	switch {
	case absent(err):
		return true, nil
	case err != nil:
		return false, err
	case n.Labels[objects.LabelManagedBy] != objects.Manager || t.mine(n) != nil:
		return false, nil
	}
	if err := unless(absent, api.Delete(ctx, name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &n.UID}})); err != nil {
		return false, err
	}
	f := feed.Feed{What: "the namespace " + name + " to go", List: feed.Listing(api.List), Watch: api.Watch, Options: feed.Named(name)}
	err = feed.Until(ctx, f, func(all map[string]*corev1.Namespace) (bool, error) {
		left := all[name]
		return left == nil || left.UID != n.UID, nil
	})
	return err == nil, err
}

func (t *Target) removeRoute(ctx context.Context) error {
	if t.place.Cluster.Gateway == nil || t.place.Front.Route != "" {
		return nil // there is none, or it goes with all that was applied
	}
	api := t.dynamic.Resource(routes).Namespace(t.place.Namespace)
	o, err := api.Get(ctx, t.place.RouteName(), metav1.GetOptions{})
	if absent(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := t.mine(o); err != nil {
		return err
	}
	return unless(absent, api.Delete(ctx, o.GetName(), metav1.DeleteOptions{}))
}

func (t *Target) removeRevisions(ctx context.Context) error {
	list, err := t.kube.AppsV1().Deployments(t.place.Namespace).List(ctx, metav1.ListOptions{LabelSelector: t.place.Select()})
	if err != nil {
		return err
	}
	for i := range list.Items {
		id := list.Items[i].Labels[objects.LabelRevision]
		r := deploy.Revision{ID: id}
		if err := errors.Join(t.takeDown(ctx, r), t.endTasks(ctx, r)); err != nil {
			return err
		}
		t.ways.In(t.place).Close(id)
	}
	return nil
}

// removeShared removes what all revisions share, the journal after the secrets
// of which it speaks.
func (t *Target) removeShared(ctx context.Context) error {
	core, ns, o := t.kube.CoreV1(), t.place.Namespace, metav1.ListOptions{LabelSelector: t.place.Select()}
	secrets, err := core.Secrets(ns).List(ctx, o)
	if err != nil {
		return err
	}
	for i := range secrets.Items {
		if err := unless(absent, core.Secrets(ns).Delete(ctx, secrets.Items[i].Name, metav1.DeleteOptions{})); err != nil {
			return err
		}
	}
	services, err := core.Services(ns).List(ctx, o)
	if err != nil {
		return err
	}
	for i := range services.Items {
		if err := unless(absent, core.Services(ns).Delete(ctx, services.Items[i].Name, metav1.DeleteOptions{})); err != nil {
			return err
		}
	}
	if m, err := t.readState(ctx); err != nil || m != nil {
		if err == nil {
			err = unless(absent, core.ConfigMaps(ns).Delete(ctx, m.Name, metav1.DeleteOptions{}))
		}
		if err != nil {
			return err
		}
	}
	if l, err := t.readLease(ctx); err != nil || l != nil {
		if err == nil {
			err = unless(absent, t.kube.CoordinationV1().Leases(ns).Delete(ctx, l.Name, metav1.DeleteOptions{}))
		}
		if err != nil {
			return err
		}
	}
	return t.removeAccount(ctx)
}

// removeSettings removes those of revisions that a killed run has left; the others
// go with their revision.
func (t *Target) removeSettings(ctx context.Context) error {
	api := t.kube.CoreV1().ConfigMaps(t.place.Namespace)
	list, err := api.List(ctx, metav1.ListOptions{LabelSelector: t.place.Select() + "," + objects.LabelRevision})
	if err != nil {
		return err
	}
	for i := range list.Items {
		if err := unless(absent, api.Delete(ctx, list.Items[i].Name, metav1.DeleteOptions{})); err != nil {
			return err
		}
	}
	return nil
}

func (t *Target) removeAccount(ctx context.Context) error {
	api := t.kube.CoreV1().ServiceAccounts(t.place.Namespace)
	a, err := api.Get(ctx, t.place.Base(), metav1.GetOptions{})
	if absent(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := t.mine(a); err != nil {
		return err
	}
	return unless(absent, api.Delete(ctx, a.Name, metav1.DeleteOptions{}))
}

// Environments are the names of an app's environments in the namespaces where a
// target puts them: one namespace, or one for each environment.
func (c *Client) Environments(ctx context.Context, app string, env deploy.Environment) ([]string, error) {
	selector := metav1.ListOptions{LabelSelector: objects.LabelApp + "=" + app}
	var names []string
	if strings.Contains(env.Target.Cluster.Namespace, deploy.EnvironmentPlace) {
		list, err := c.kube.CoreV1().Namespaces().List(ctx, selector)
		if err != nil {
			return nil, c.ended(ctx, err, "list the environments of %s", app)
		}
		for i := range list.Items {
			names = append(names, list.Items[i].Labels[objects.LabelEnvironment])
		}
		return names, nil
	}
	namespace := env.Target.Cluster.Namespace
	if namespace == "" {
		namespace = c.cluster.Namespace
	}
	list, err := c.kube.CoreV1().ConfigMaps(namespace).List(ctx, selector)
	if err != nil {
		return nil, c.ended(ctx, err, "list the environments of %s in %s", app, namespace)
	}
	for i := range list.Items {
		name := list.Items[i].Labels[objects.LabelEnvironment]
		if !slices.Contains(names, name) { // settings are kept in ConfigMaps, too
			names = append(names, name)
		}
	}
	return names, nil
}
