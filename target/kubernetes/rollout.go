package kubernetes

import (
	"context"

	"golang.org/x/sync/errgroup"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/argo"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// Rollout is an environment of an app that is a Rollout of Argo Rollouts, which
// env.Target.Cluster names. Its journal, history and hold are where those of other
// environments are. Nothing is asked of the cluster yet.
func (c *Client) Rollout(app string, env deploy.Environment) *argo.Target {
	t := c.Target(app, env)
	return argo.New(argo.Options{
		App: app, Environment: env.Name,
		Namespace: t.place.Namespace, Name: env.Target.Cluster.Rollout, Container: env.Target.Cluster.RolloutContainer,
		Kube: c.kube, Dynamic: c.dynamic, Cluster: c.cluster, Memory: t, Ways: ways{c.forward, t.place}, Log: c.log,
	})
}

var _ argo.Memory = (*Target)(nil)

// Remember reads what is kept beside the workload: record, history, signal, hold.
func (t *Target) Remember(ctx context.Context, s *deploy.State) error {
	var m *corev1.ConfigMap
	var l *coordinationv1.Lease
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		m, err = t.readState(ctx)
		return err
	})
	group.Go(func() (err error) {
		l, err = t.readLease(ctx)
		return err
	})
	if err := group.Wait(); err != nil {
		return err
	}
	if err := readJournal(m, s); err != nil {
		return err
	}
	hold, err := holdIn(l)
	s.Lock = hold
	return err
}

// ways are those of one environment.
type ways struct {
	all   *forwards
	place objects.Place
}

// Open opens the way to the pods that a selector finds.
func (w ways) Open(revision, selector string, port int) {
	w.all.open(w.place, revision, selector, port)
}

// URL of an open way; empty where there is none.
func (w ways) URL(revision string) string { return w.all.url(w.place, revision) }

// Close closes the way to a revision.
func (w ways) Close(revision string) { w.all.drop(w.place, revision) }
