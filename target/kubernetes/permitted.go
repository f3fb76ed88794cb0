package kubernetes

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
)

// Permitted asks the cluster, with one or two requests, whether this login may do
// all that an environment here needs. What it may not is said at once.
func (t *Target) Permitted(ctx context.Context) error {
	if err := t.cluster.Require(ctx, t.needs()); err != nil {
		return fmt.Errorf("%s: %w", t, err)
	}
	return nil
}

// needs are the permissions that the environment needs, by what is written of it.
func (t *Target) needs() []access.Permission {
	gateway := t.place.Cluster.Gateway
	byKubelets := slices.ContainsFunc(t.metrics, func(m deploy.Metric) bool { return m.Kubelets })
	byAPI := slices.ContainsFunc(t.metrics, func(m deploy.Metric) bool { return m.Kubernetes != deploy.NeedRestarts && !m.Kubelets })
	all := access.Least(t.place.Namespace, access.Needs{Routes: gateway != nil, Policies: t.place.Cluster.Isolated, Usage: byAPI})
	if byKubelets {
		all = append(all, access.Kubelets())
	}
	if gateway != nil {
		all = append(all, access.Gateway(cmp.Or(gateway.Namespace, t.place.Namespace), gateway.Name))
	}
	return all
}
