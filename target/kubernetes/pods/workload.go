package pods

import (
	"fmt"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-ci/slipway/target/kubernetes/feed"
)

// Workload is what makes the pods. As long as its controller has not seen its
// current generation, nothing that the pods are counts.
type Workload struct {
	// Kind is Deployment, ReplicaSet, StatefulSet or DaemonSet.
	Kind, Name string
}

// Kinds are those that a Workload can be of.
var Kinds = []string{"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"}

// String is Deployment hello.
func (w Workload) String() string { return w.Kind + " " + w.Name }

// feed follows the one object.
func (w Workload) feed(client kubernetes.Interface, namespace string) (feed.Feed, error) {
	apps := client.AppsV1()
	f := feed.Feed{What: w.String(), Options: feed.Named(w.Name)}
	switch w.Kind {
	case "Deployment":
		f.List, f.Watch = feed.Listing(apps.Deployments(namespace).List), apps.Deployments(namespace).Watch
	case "ReplicaSet":
		f.List, f.Watch = feed.Listing(apps.ReplicaSets(namespace).List), apps.ReplicaSets(namespace).Watch
	case "StatefulSet":
		f.List, f.Watch = feed.Listing(apps.StatefulSets(namespace).List), apps.StatefulSets(namespace).Watch
	case "DaemonSet":
		f.List, f.Watch = feed.Listing(apps.DaemonSets(namespace).List), apps.DaemonSets(namespace).Watch
	default:
		return feed.Feed{}, fmt.Errorf("pods of a %q cannot be waited for; there are %v", w.Kind, Kinds)
	}
	return f, nil
}

// podFeed follows the pods of a revision.
func podFeed(client kubernetes.Interface, namespace, selector string) feed.Feed {
	all := client.CoreV1().Pods(namespace)
	return feed.Feed{What: "pods", List: feed.Listing(all.List), Watch: all.Watch, Options: metav1.ListOptions{LabelSelector: selector}}
}

// standing is what a workload says of itself.
type standing struct {
	// current: its controller has seen what is wanted.
	current bool
	// refused is why it cannot make a pod, since then; empty where it can.
	refused string
	since   time.Time
	// late is what it says of its own deadline, if that is over.
	late string
	// rollout is how far a StatefulSet or DaemonSet is; nil for others.
	rollout *rollout
}

// standingOf reads a workload's status; false where it is none.
func standingOf(o runtime.Object) (standing, bool) {
	switch w := o.(type) {
	case *appsv1.Deployment:
		s := standing{current: w.Status.ObservedGeneration >= w.Generation}
		for _, c := range w.Status.Conditions {
			switch {
			case c.Type == appsv1.DeploymentReplicaFailure && c.Status == corev1.ConditionTrue:
				s.refused, s.since = c.Message, c.LastTransitionTime.Time
			case c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse && c.Reason == "ProgressDeadlineExceeded":
				s.late = c.Message
			}
		}
		return s, true
	case *appsv1.ReplicaSet:
		s := standing{current: w.Status.ObservedGeneration >= w.Generation}
		for _, c := range w.Status.Conditions {
			if c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue {
				s.refused, s.since = c.Message, c.LastTransitionTime.Time
			}
		}
		return s, true
	case *appsv1.StatefulSet:
		return standing{current: w.Status.ObservedGeneration >= w.Generation, rollout: rolloutOf(w)}, true
	case *appsv1.DaemonSet:
		return standing{current: w.Status.ObservedGeneration >= w.Generation, rollout: rolloutOf(w)}, true
	}
	return standing{}, false
}

// judge says whether a workload that is given no further pod will ever have as many
// as are wanted. What a cluster refuses by the pod's own specification, or because
// a quota is too small for all of them, it refuses again; otherwise a quota may be
// free in a moment.
func (s standing) judge(now time.Time, limits Limits, want int) Verdict {
	if s.refused == "" {
		return Verdict{State: Waiting, Told: "has no pod yet"}
	}
	v := Verdict{
		State: Waiting, Cause: Unschedulable, Reason: "FailedCreate", Message: s.refused,
		Told: "is given no pod by the cluster" + because("", s.refused),
		Hint: "change what the cluster refuses, or ask who looks after the namespace's quota and policies",
	}
	small := outgrown(s.refused, want)
	if small {
		v.Hint = "let it need less, or enlarge the quota: it has no room for all of the pods that are wanted"
	}
	v.Again = s.since.Add(limits.unschedulable())
	if small || containsAny(s.refused, "violates podsecurity", "is invalid:") || !now.Before(v.Again) {
		v.State, v.Again = Doomed, time.Time{}
	}
	return v
}
