package pods

import (
	"context"
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
)

// rollout is how far a workload has come that replaces its pods one after the
// other under their own names or on their own nodes: a StatefulSet or a DaemonSet.
type rollout struct {
	// done: all pods that are to be of the newest revision are, and can serve.
	done bool
	// reached is how many pods are of it, wanted how many are to be.
	reached, wanted int
	// label and newest tell the pods of the newest revision; empty where the
	// status does not tell them.
	label, newest string
}

// generationLabel is on the pods of a DaemonSet: of which generation of the
// template they are. Its own controller goes by it, and its status has no revision.
const generationLabel = "pod-template-generation"

// ByHand reports whether a workload's pods are replaced by whoever deletes them,
// so that nobody can wait for it.
func ByHand(o runtime.Object) bool {
	switch w := o.(type) {
	case *appsv1.StatefulSet:
		return w.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType
	case *appsv1.DaemonSet:
		return w.Spec.UpdateStrategy.Type == appsv1.OnDeleteDaemonSetStrategyType
	}
	return false
}

// rolloutOf reads how far a workload is; nil where it is neither kind. It is right
// only when the controller has seen the current generation.
func rolloutOf(o runtime.Object) *rollout {
	switch w := o.(type) {
	case *appsv1.StatefulSet:
		return rolloutOfSet(w)
	case *appsv1.DaemonSet:
		want := w.Status.DesiredNumberScheduled
		return &rollout{
			done:    w.Status.UpdatedNumberScheduled >= want && w.Status.NumberAvailable >= want,
			reached: int(w.Status.UpdatedNumberScheduled), wanted: int(want),
			label: generationLabel, newest: w.Annotations[appsv1.DeprecatedTemplateGeneration],
		}
	}
	return nil
}

// rolloutOfSet heeds the partition, below which pods stay as they are.
func rolloutOfSet(w *appsv1.StatefulSet) *rollout {
	replicas, partition := int32(1), int32(0)
	if w.Spec.Replicas != nil {
		replicas = *w.Spec.Replicas
	}
	if u := w.Spec.UpdateStrategy.RollingUpdate; u != nil && u.Partition != nil {
		partition = *u.Partition
	}
	s, want := w.Status, max(replicas-partition, 0)
	done := s.UpdatedReplicas >= want && s.ReadyReplicas >= replicas
	if partition == 0 {
		done = s.UpdatedReplicas == replicas && s.ReadyReplicas == replicas && s.CurrentRevision == s.UpdateRevision
	}
	return &rollout{
		done: done || replicas == 0, reached: int(s.UpdatedReplicas), wanted: int(want),
		label: appsv1.ControllerRevisionHashLabelKey, newest: s.UpdateRevision,
	}
}

// concerns reports whether a pod is of the newest revision, or is to be taken for
// one because that is not known.
func (r *rollout) concerns(pod *corev1.Pod) bool {
	of := pod.Labels[r.label]
	return r.newest == "" || of == "" || of == r.newest
}

// RolledOut returns nil when a StatefulSet or DaemonSet has replaced its pods as
// kubectl rollout status has it: the controller has seen the current generation,
// and the pods that are to be of the newest revision are, and are ready. Pods below
// the partition of a StatefulSet need to be ready alone.
//
// It returns a *deploy.Doomed once a pod of the newest revision will never be ready:
// no other one can take its place. The time-out of the options is about each pod: it
// begins anew when one more is ready. Other errors are those of Wait. The selector is
// that of the workload.
func RolledOut(ctx context.Context, client kubernetes.Interface, namespace, selector string, o Options) error {
	if o.Workload.Kind != "StatefulSet" && o.Workload.Kind != "DaemonSet" {
		return fmt.Errorf("%s does not replace its pods in place", o.Workload)
	}
	return o.wait(ctx, client, namespace, selector, &view{inOrder: true})
}

// decideRollout is decide for a workload that is replaced in place.
func (v *view) decideRollout() (*finding, bool) {
	r := v.standing.rollout
	if r.done {
		return nil, true
	}
	ready := 0
	for _, s := range v.concerned() {
		switch s.verdict.State {
		case Doomed:
			return v.worst(), true
		case Ready:
			ready++
		case Waiting, Gone:
		}
	}
	if ready > v.best {
		v.best = ready
		v.advanced()
	}
	return nil, false
}

// concerned are the pods that a wait is about: all, or, where they are replaced in
// place, those of the newest revision.
func (v *view) concerned() []*seen {
	all := v.there()
	if !v.inOrder || v.standing == nil || v.standing.rollout == nil {
		return all
	}
	var newest []*seen
	for _, s := range all {
		if v.standing.rollout.concerns(s.pod) {
			newest = append(newest, s)
		}
	}
	return newest
}

// short is what a workload lacks when the time is over and no pod says why.
func (r *rollout) short() Verdict {
	told := fmt.Sprintf("has %d of %d pods of its newest revision", r.reached, r.wanted)
	if r.reached >= r.wanted {
		told = "has its pods, of which not all are ready"
	}
	return Verdict{State: Waiting, Told: told, Hint: "look at its pods and events: kubectl describe"}
}

// deadline ends a context with errTimeUp when nothing has advanced for so long.
func deadline(ctx context.Context, limit time.Duration) (limited context.Context, advanced, stop func()) {
	limited, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(limit, func() { cancel(errTimeUp) })
	return limited, func() { timer.Reset(limit) }, func() { timer.Stop(); cancel(nil) }
}
