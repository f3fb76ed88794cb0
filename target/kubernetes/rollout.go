package kubernetes

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
	"github.com/slipway-ci/slipway/target/kubernetes/argo"
)

// Rollout is an environment of an app that is a Rollout of Argo Rollouts. Its
// journal, history and hold are where those of other environments are.
type Rollout struct {
	*argo.Target
	own *Target
}

var (
	_ deploy.Target    = (*Rollout)(nil)
	_ deploy.Splitter  = (*Rollout)(nil)
	_ deploy.Journal   = (*Rollout)(nil)
	_ deploy.Locker    = (*Rollout)(nil)
	_ deploy.Witness   = (*Rollout)(nil)
	_ deploy.Signaller = (*Rollout)(nil)
	_ deploy.Decider   = (*Rollout)(nil)
	_ deploy.Permitted = (*Rollout)(nil)
	_ deploy.Accepter  = (*Rollout)(nil)
	_ deploy.Adviser   = (*Rollout)(nil)
	_ deploy.Drifter   = (*Rollout)(nil)
	_ deploy.Remover   = (*Rollout)(nil)
	_ argo.Memory      = (*Target)(nil)
	_ argo.Set         = driving{}
)

// Rollout is an environment of an app that is a Rollout which others apply, and
// which env.Target.Cluster names. Nothing is asked of the cluster yet.
func (c *Client) Rollout(app string, env deploy.Environment) *Rollout {
	return c.Target(app, env).driven(env.Target.Cluster.Rollout, env.Target.Cluster.RolloutContainer, nil)
}

// Driven is the environment as its Rollout is driven, which its manifests have; nil
// where Slipway itself moves its users.
func (t *Target) Driven() *Rollout {
	f := t.place.Front
	if f.Rollout == "" {
		return nil
	}
	return t.driven(f.Rollout, f.Container, driving{t})
}

func (t *Target) driven(name, container string, set argo.Set) *Rollout {
	return &Rollout{own: t, Target: argo.New(argo.Options{
		App: t.place.App, Environment: t.place.Environment, Namespace: t.place.Namespace, Name: name, Container: container,
		Kube: t.kube, Dynamic: t.dynamic, Cluster: t.cluster, Memory: t, Ways: t.ways.In(t.place), Set: set, Log: t.log,
	})}
}

// whole reports whether the Rollout is a part of manifests that Slipway applies.
func (r *Rollout) whole() bool { return r.own.place.Front.Rollout != "" }

// Permitted asks the cluster whether this login may drive the Rollout, and bring in
// all else that there is of manifests.
func (r *Rollout) Permitted(ctx context.Context) error {
	if !r.whole() {
		return r.Target.Permitted(ctx)
	}
	needs := access.DrivenSet(r.own.place.Namespace)
	if r.own.place.Cluster.Quota != nil && r.own.ownNamespace() {
		needs = append(needs, access.Quota(r.own.place.Namespace)...)
	}
	if b := r.own.bundles.written; b != nil {
		more, err := r.own.needsOf(ctx, b)
		if err != nil {
			return fmt.Errorf("%s: %w", r, err)
		}
		needs = append(needs, more...)
	}
	if err := r.own.cluster.Require(ctx, needs); err != nil {
		return fmt.Errorf("%s: %w", r, err)
	}
	return r.own.moved(ctx)
}

// Accepts asks the cluster whether it would take the manifests.
func (r *Rollout) Accepts(ctx context.Context) error {
	if !r.whole() {
		return nil
	}
	return driving{r.own}.checked(ctx)
}

// Advise says what people should know of the manifests.
func (r *Rollout) Advise(deploy.Strategy) ([]string, error) {
	if b := r.own.bundles.written; b != nil {
		return b.Notes(false), nil
	}
	return nil, nil
}

// Remove removes all that the manifests have brought, and the namespace where that
// was made for the environment alone. A Rollout that others apply stays.
func (r *Rollout) Remove(ctx context.Context) error {
	if !r.whole() {
		return deploy.Usage("remove it with what applies it", "%s is not Slipway's to remove", r)
	}
	return r.own.Remove(ctx)
}

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

// NoteSpec keeps what a Rollout that others apply was released as.
func (t *Target) NoteSpec(ctx context.Context, spec []byte) error {
	return contend(ctx, func() error {
		m, err := t.readState(ctx)
		if err != nil || m == nil || m.Data[keySpec] == string(spec) {
			return err
		}
		m.Data[keySpec] = string(spec)
		_, err = t.kube.CoreV1().ConfigMaps(m.Namespace).Update(ctx, m, update)
		return err
	})
}
