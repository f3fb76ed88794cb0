package pods

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// beginning is how long after a pod's start its first status may be written. One that
// became unready later was ready before.
const beginning = 5 * time.Second

// Stuck are the pods that keep a StatefulSet from becoming what its template says:
// of another revision, and broken. Kubernetes waits for such a pod before it replaces
// any, for ever. There are none where all are replaced at once (podManagementPolicy
// Parallel), or by hand. It waits until the controller has seen the current
// generation, half a minute at most.
func Stuck(ctx context.Context, client kubernetes.Interface, namespace, name string, limits Limits) ([]corev1.Pod, error) {
	f, err := Workload{Kind: "StatefulSet", Name: name}.feed(client, namespace)
	if err != nil {
		return nil, err
	}
	set, err := noticed(ctx, f, name, func(s *appsv1.StatefulSet) int64 { return s.Status.ObservedGeneration })
	if err != nil || ByHand(set) || set.Spec.PodManagementPolicy == appsv1.ParallelPodManagement {
		return nil, err
	}
	selector, err := metav1.LabelSelectorAsSelector(set.Spec.Selector)
	if err != nil {
		return nil, err
	}
	list, err := client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return nil, err
	}
	var stuck []corev1.Pod
	for i := range list.Items {
		if holdsUp(set, &list.Items[i], time.Now(), limits) {
			stuck = append(stuck, list.Items[i])
		}
	}
	return stuck, nil
}

// holdsUp reports whether a pod is one of a set's, of another revision than the
// newest, and broken: it was never ready, or never will be again.
func holdsUp(set *appsv1.StatefulSet, pod *corev1.Pod, now time.Time, limits Limits) bool {
	of := pod.Labels[appsv1.ControllerRevisionHashLabelKey]
	if !metav1.IsControlledBy(pod, set) || of == "" || set.Status.UpdateRevision == "" || of == set.Status.UpdateRevision {
		return false
	}
	switch Judge(pod, now, limits).State {
	case Doomed:
		return true
	case Waiting:
		return neverReady(pod)
	case Ready, Gone:
	}
	return false
}

// neverReady reports whether a pod has not been ready since it began.
func neverReady(pod *corev1.Pod) bool {
	if pod.Status.StartTime == nil {
		return true // no kubelet has it yet
	}
	return !unreadySince(pod).After(pod.Status.StartTime.Add(beginning))
}
