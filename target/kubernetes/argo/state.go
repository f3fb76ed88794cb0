package argo

import (
	"cmp"
	"context"
	"errors"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/argo/concede"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
	"github.com/slipway-ci/slipway/target/kubernetes/pods"
)

// facts are what State reads. There is no rollout where none was released yet.
type facts struct {
	rollout *rollout
	sets    sets
	pods    []corev1.Pod
}

// State reads everything from the cluster: who has the users from the Rollout's
// status, what runs from the pods themselves.
func (t *Target) State(ctx context.Context) (deploy.State, error) {
	s, err := t.state(ctx)
	return s, t.ended(ctx, err, "read the state of %s", t)
}

func (t *Target) state(ctx context.Context) (deploy.State, error) {
	var s deploy.State
	if ctx.Err() != nil {
		return s, context.Cause(ctx)
	}
	var f facts
	group, limited := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		f, err = t.facts(limited)
		return err
	})
	group.Go(func() error { return t.Remember(limited, &s) })
	if err := group.Wait(); err != nil {
		return s, err
	}
	if f.rollout != nil {
		t.fill(&s, f)
	}
	return s, nil
}

func (t *Target) facts(ctx context.Context) (f facts, err error) {
	if f.rollout, err = t.find(ctx); err != nil || f.rollout == nil {
		return f, err
	}
	if f.rollout.Spec.Selector == nil {
		return f, errors.New("the Rollout has no selector")
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() (err error) {
		f.sets, err = t.sets(ctx, f.rollout)
		return err
	})
	group.Go(func() error {
		list, err := t.o.Kube.CoreV1().Pods(t.o.Namespace).List(ctx, metav1.ListOptions{LabelSelector: metav1.FormatLabelSelector(f.rollout.Spec.Selector)})
		if err == nil {
			f.pods = list.Items
		}
		return err
	})
	return f, group.Wait()
}

// fill says who has the users and what runs.
func (t *Target) fill(s *deploy.State, f facts) {
	live := f.sets.by(f.rollout.live())
	if live != nil && (!live.serves() || t.unborn(f.rollout, live, s.Record)) {
		live = nil
	}
	wanted := t.wanted(f)
	ready := map[string]int{}
	for i := range f.sets {
		one := &f.sets[i]
		running := t.running(one, f.pods)
		ready[one.revision.ID] += running.Ready()
		if len(running.Replicas) > 0 {
			s.Running = append(s.Running, running)
		}
	}
	if live != nil {
		s.Live = new(t.seenBy(live, f.pods))
	}
	if wanted.ID == "" || live != nil && live.revision.ID == wanted.ID {
		return
	}
	s.Candidate = &wanted
	s.Share = f.rollout.share(ready[wanted.ID], live != nil)
	if live != nil && f.rollout.Spec.Strategy.Canary != nil && !f.rollout.routed() {
		if all := ready[wanted.ID] + ready[live.revision.ID]; all > 0 {
			s.Share = deploy.Percent(100 * float64(ready[wanted.ID]) / float64(all))
		}
	}
}

// wanted is the revision that the Rollout shall run; a zero one where that is not
// known yet.
func (t *Target) wanted(f facts) deploy.Revision {
	wanted, ours := t.written(f.rollout.Spec.Template)
	if next := f.sets.by(f.rollout.Status.CurrentPodHash); !ours && next != nil && f.rollout.seen() {
		return next.revision
	}
	return wanted
}

// share of the users that the candidate has by what the Rollout says of itself.
func (r *rollout) share(ready int, live bool) deploy.Percent {
	w := r.Status.Canary.Weights
	if !live || ready == 0 || w == nil || !r.routed() || !r.seen() {
		return 0
	}
	return r.Spec.Strategy.Canary.percent(w.Canary.Weight)
}

// running is what runs of one template. All that has ever been ready has to stay
// so; what is being started is the Rollout's to wait for.
func (t *Target) running(one *set, all []corev1.Pod) deploy.Running {
	r := deploy.Running{Revision: t.seenBy(one, all), Replicas: pods.Replicas(of(one.hash, all), t.containerOf(one)), URL: t.o.Ways.URL(one.revision.ID)}
	r.Wanted = 0
	for _, replica := range r.Replicas {
		if replica.Status != deploy.ReplicaStarting {
			r.Wanted++
		}
	}
	r.Wanted = max(1, r.Wanted)
	return r
}

// containerOf is the name of the app's container in the pods of one template.
func (t *Target) containerOf(one *set) string {
	return cmp.Or(one.Spec.Template.Annotations[objects.AnnotationContainer], t.o.Container)
}

// seenBy is the revision of a template. Of one that was brought in by a tag, the
// pods say the digest.
func (t *Target) seenBy(one *set, all []corev1.Pod) deploy.Revision {
	r := one.revision
	if r.Image.Digest != "" {
		return r
	}
	for _, p := range pods.Digests(of(one.hash, all), t.containerOf(one)) {
		if p.Digest != "" {
			r.Image.Digest = p.Digest
			break
		}
	}
	return r
}

func of(hash string, all []corev1.Pod) []corev1.Pod {
	var own []corev1.Pod
	for i := range all {
		if all[i].Labels[concede.LabelHash] == hash {
			own = append(own, all[i])
		}
	}
	return own
}

// Evidence is about the replica of a revision that fared worst.
func (t *Target) Evidence(ctx context.Context, r deploy.Revision) (deploy.Evidence, error) {
	e, err := t.evidence(ctx, r)
	return e, t.ended(ctx, err, "ask after %s at %s", r, t)
}

func (t *Target) evidence(ctx context.Context, r deploy.Revision) (deploy.Evidence, error) {
	now, err := t.get(ctx)
	if err != nil {
		return deploy.Evidence{}, err
	}
	all, err := t.sets(ctx, now)
	if err != nil {
		return deploy.Evidence{}, err
	}
	one := all.of(r.ID)
	if one == nil {
		return deploy.Evidence{Reason: "no replica runs"}, nil
	}
	return pods.Evidence(ctx, t.o.Kube, t.o.Namespace, t.selector(one.hash), t.options(r, one.hash))
}
