package kubernetes

import (
	"context"

	"golang.org/x/sync/errgroup"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
	"github.com/slipway-ci/slipway/target/kubernetes/pods"
)

// facts are what State reads, all at once.
type facts struct {
	traffic     objects.Traffic
	deployments []appsv1.Deployment
	pods        []corev1.Pod
	journal     *corev1.ConfigMap
	lease       *coordinationv1.Lease
}

// State reads everything from the cluster. What runs is told by the pods
// themselves, down to the digest that the node's runtime names.
func (t *Target) State(ctx context.Context) (deploy.State, error) {
	s, err := t.stateBy(ctx, t.look)
	return s, t.ended(ctx, err, "read the state of %s", t)
}

// state asks for everything: what follows from it must not rest on what was heard.
func (t *Target) state(ctx context.Context) (deploy.State, error) { return t.stateBy(ctx, t.facts) }

func (t *Target) stateBy(ctx context.Context, read func(context.Context) (facts, error)) (deploy.State, error) {
	if ctx.Err() != nil {
		return deploy.State{}, context.Cause(ctx)
	}
	f, err := read(ctx)
	if err != nil {
		return deploy.State{}, err
	}
	s := deploy.State{Share: f.traffic.Share, URL: t.urlOf(ctx)}
	for i := range f.deployments {
		d := &f.deployments[i]
		if d.DeletionTimestamp != nil {
			continue
		}
		r, err := objects.RevisionOf(d)
		if err != nil {
			return s, err
		}
		part(&s, f.traffic, r)
		running := deploy.Running{Revision: r, Replicas: replicasIn(f.pods, r.ID), URL: t.ways.In(t.place).URL(r.ID)}
		if replicasOf(d) > 0 || len(running.Replicas) > 0 {
			s.Running = append(s.Running, running)
		}
	}
	if s.Candidate == nil || s.Live == nil {
		s.Share = 0
	}
	if s.Baseline != nil && s.Live != nil {
		s.BaselineShare = f.traffic.BaselineShare
	}
	if err := readJournal(f.journal, &s); err != nil {
		return s, err
	}
	s.Lock, err = holdIn(f.lease)
	return s, err
}

// part notes what a revision is in the traffic.
func part(s *deploy.State, traffic objects.Traffic, r deploy.Revision) {
	switch r.ID {
	case traffic.Live:
		s.Live = &r
	case traffic.Candidate:
		s.Candidate = &r
	case traffic.Baseline:
		s.Baseline = &r
	}
}

func (t *Target) facts(ctx context.Context) (f facts, err error) {
	ns, o := t.place.Namespace, metav1.ListOptions{LabelSelector: t.place.Select()}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		f.traffic, err = t.front.read(ctx)
		return err
	})
	group.Go(func() error {
		list, err := t.kube.AppsV1().Deployments(ns).List(ctx, o)
		if err == nil {
			f.deployments = list.Items
		}
		return err
	})
	group.Go(func() error {
		list, err := t.kube.CoreV1().Pods(ns).List(ctx, o)
		if err == nil {
			f.pods = list.Items
		}
		return err
	})
	group.Go(func() (err error) {
		f.journal, err = t.readState(ctx)
		return err
	})
	group.Go(func() (err error) {
		f.lease, err = t.readLease(ctx)
		return err
	})
	return f, group.Wait()
}

// replicasIn are the pods of a revision that are not being removed.
func replicasIn(all []corev1.Pod, id string) []deploy.Replica {
	var own []corev1.Pod
	for i := range all {
		if all[i].Labels[objects.LabelRevision] == id {
			own = append(own, all[i])
		}
	}
	if len(own) == 0 {
		return nil
	}
	return pods.Replicas(own, objects.ContainerOf(&own[0]))
}
