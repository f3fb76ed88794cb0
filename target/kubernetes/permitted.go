package kubernetes

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
	"github.com/slipway-ci/slipway/target/kubernetes/apply"
	"github.com/slipway-ci/slipway/target/kubernetes/bundle"
)

// Permitted asks the cluster whether this login may do all that an environment here
// needs. What it may not is said at once, and so is a gateway that would bring it no
// users.
func (t *Target) Permitted(ctx context.Context) error {
	needs := t.needs()
	if t.bundles.written != nil {
		more, err := t.needsOf(ctx, t.bundles.written)
		if err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
		needs = append(needs, more...)
	}
	if err := t.cluster.Require(ctx, needs); err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}
	if err := t.gated(ctx); err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}
	if err := t.unclaimed(ctx); err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}
	return t.moved(ctx)
}

// needsOf are the permissions that the objects of a user's manifests need.
func (t *Target) needsOf(ctx context.Context, b *bundle.Bundle) ([]access.Permission, error) {
	options, applied := t.applying(), b.Set.Objects
	if !t.withoutHooks() && !b.Rollout() {
		applied = slices.Concat(applied, b.HookObjects())
	}
	kinds, err := t.applier.Kinds(ctx, applied, options)
	if err != nil {
		return nil, err
	}
	brings, err := t.bringsDefinitions(ctx, b, options)
	if err != nil {
		return nil, err
	}
	var needs []access.Permission
	if b.Ordered() {
		needs = append(needs, access.Unblocking(t.place.Namespace))
	}
	for _, k := range kinds {
		needs = append(needs, needsOfKind(k, options.Confined, brings)...)
	}
	return needs, nil
}

// worksHere reports whether there is one-off work around a deployment, of slipway.yaml
// or of what is brought in.
func (t *Target) worksHere() bool {
	b := t.bundles.written
	return !t.tasks.IsZero() || b != nil && b.HasWork() && !t.withoutHooks()
}

// bringsDefinitions reports whether the set has a definition that it applies. That
// this login may not look at them is left to who asks for its permissions.
func (t *Target) bringsDefinitions(ctx context.Context, b *bundle.Bundle, o apply.Options) (bool, error) {
	brought, err := t.applier.Brought(ctx, b.Set.Objects, o)
	if apierrors.IsForbidden(err) {
		return false, nil
	}
	return slices.ContainsFunc(brought, func(o *unstructured.Unstructured) bool { return o.GetKind() == "CustomResourceDefinition" }), err
}

// needsOfKind are the permissions to apply objects of a kind. Of the whole cluster,
// nothing is removed again but by an environment that is confined.
func needsOfKind(k apply.Kind, confined, definitions bool) []access.Permission {
	switch {
	case k.Group == "" && k.Resource == "namespaces" && confined:
		return nil // they are passed over
	case k.Resource == "customresourcedefinitions" && confined && !definitions:
		return []access.Permission{{Verb: "get", Group: k.Group, Resource: k.Resource, Wide: true}}
	case k.Namespace == "" && !confined, k.Resource == "customresourcedefinitions":
		return access.Lasting(k.Group, k.Resource)
	case k.Group == "apps":
		return append(access.Applied(k.Group, k.Resource, k.Namespace), access.Permission{Verb: "watch", Group: k.Group, Resource: k.Resource, Namespace: k.Namespace})
	}
	return access.Applied(k.Group, k.Resource, k.Namespace)
}

// needs are the permissions that the environment needs, by what is written of it.
func (t *Target) needs() []access.Permission {
	gateway := t.place.Cluster.Gateway
	byKubelets := slices.ContainsFunc(t.metrics, func(m deploy.Metric) bool { return m.Kubelets })
	byAPI := slices.ContainsFunc(t.metrics, func(m deploy.Metric) bool { return m.Kubernetes != deploy.NeedRestarts && !m.Kubelets })
	all := access.Least(t.place.Namespace, access.Needs{
		Routes: gateway != nil, Policies: t.place.Cluster.Isolated, Usage: byAPI, Hooks: t.worksHere(), Scaling: t.place.Cluster.Autoscale != nil,
		Shares: gateway == nil && (t.kind == deploy.Canary || t.kind == deploy.Rolling),
	})
	if byKubelets {
		all = append(all, access.Kubelets())
	}
	if t.place.Cluster.Quota != nil && t.ownNamespace() {
		all = append(all, access.Quota(t.place.Namespace)...)
	}
	if gateway != nil {
		all = append(all, access.Gateway(cmp.Or(gateway.Namespace, t.place.Namespace), gateway.Name))
	}
	return all
}
