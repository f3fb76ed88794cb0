package kubernetes

import (
	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/usage"
)

// Called says how what is counted elsewhere tells a revision of the environment
// from others: by its namespace, and by the name of its Service and Deployment.
func (t *Target) Called(revision string) (namespace, name string) {
	return t.place.Namespace, t.place.Name(revision)
}

// Usage measures what replicas of both revisions take, as the metric says, for
// one rollout. A live revision that is empty is that there is none.
func (t *Target) Usage(m deploy.Metric, live, candidate deploy.Revision) *usage.Source {
	o := usage.Options{Namespace: t.place.Namespace, Candidate: t.place.SelectPods(candidate.ID), Kubelets: m.Kubelets}
	if !live.IsZero() {
		o.Live = t.place.SelectPods(live.ID)
	}
	switch m.Kubernetes {
	case deploy.NeedCPU:
		o.CPU = m.Name
	case deploy.NeedMemory:
		o.Memory = m.Name
	case deploy.NeedRestarts:
		o.Restarts = m.Name
	}
	return usage.New(t.kube, o)
}
