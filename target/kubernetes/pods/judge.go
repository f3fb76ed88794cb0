package pods

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Judge says how a pod is at a moment, by its status alone. A pod is doomed by
// what cannot get well by itself; of back-off alone nothing is concluded.
func Judge(pod *corev1.Pod, now time.Time, limits Limits) Verdict {
	v := limits.judge(pod, now)
	v.Node = pod.Spec.NodeName
	return v
}

func (l Limits) judge(pod *corev1.Pod, now time.Time) Verdict {
	switch {
	case pod.DeletionTimestamp != nil:
		return Verdict{State: Gone, Told: "is being removed"}
	case disrupted(pod):
		return Verdict{
			State: Gone, Cause: Disrupted, Reason: pod.Status.Reason, Message: pod.Status.Message,
			Told: "was taken off its node" + because(pod.Status.Reason, pod.Status.Message),
		}
	case pod.Status.Phase == corev1.PodSucceeded:
		return Verdict{State: Gone, Reason: "Completed", Told: "has ended"}
	case IsReady(pod):
		return Verdict{State: Ready, Told: "is ready"}
	}
	if v, waits := l.node(pod, now); waits {
		return v
	}
	return l.containers(pod, now)
}

// disrupted reports whether a pod has failed for what it did not do itself. One
// whose containers are started again cannot fail otherwise.
func disrupted(pod *corev1.Pod) bool {
	if isTrue(pod, corev1.DisruptionTarget) {
		return true
	}
	if pod.Status.Phase != corev1.PodFailed {
		return false
	}
	return pod.Status.Reason != "" || pod.Spec.RestartPolicy == "" || pod.Spec.RestartPolicy == corev1.RestartPolicyAlways
}

// node judges a pod that has no node yet.
func (l Limits) node(pod *corev1.Pod, now time.Time) (Verdict, bool) {
	c := condition(pod, corev1.PodScheduled)
	if c == nil || c.Status != corev1.ConditionFalse {
		return Verdict{}, false
	}
	v := Verdict{
		State: Waiting, Cause: Unschedulable, Reason: c.Reason, Message: c.Message,
		Told: "has no node" + because(c.Reason, c.Message),
		Hint: "compare its requests, node selector, tolerations and volumes with the nodes: kubectl describe nodes",
	}
	if c.Reason != corev1.PodReasonUnschedulable || pod.Status.NominatedNodeName != "" {
		return v, true // it is held back on purpose, or room is being made for it
	}
	since := c.LastTransitionTime.Time
	if since.IsZero() {
		since = pod.CreationTimestamp.Time
	}
	if v.Again = since.Add(l.unschedulable()); !now.Before(v.Again) {
		v.State, v.Again = Doomed, time.Time{}
	}
	return v, true
}

// containers is the verdict on the container that fares worst.
func (l Limits) containers(pod *corev1.Pod, now time.Time) Verdict {
	worst := Verdict{State: Waiting, Told: "is being started"}
	for i := range pod.Status.InitContainerStatuses {
		s := &pod.Status.InitContainerStatuses[i]
		worst = worseOf(worst, l.container(pod, s, !sidecar(pod, s.Name), now))
	}
	for i := range pod.Status.ContainerStatuses {
		worst = worseOf(worst, l.container(pod, &pod.Status.ContainerStatuses[i], false, now))
	}
	return worst
}

// sidecar reports whether an init container stays beside the others.
func sidecar(pod *corev1.Pod, name string) bool {
	for i := range pod.Spec.InitContainers {
		c := &pod.Spec.InitContainers[i]
		if c.Name == name {
			return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		}
	}
	return false
}

// worseOf prefers the first of two that are equally bad.
func worseOf(a, b Verdict) Verdict {
	if b.rank() > a.rank() {
		return b
	}
	return a
}

// rank is higher for what tells more of why a pod is not ready.
func (v Verdict) rank() int {
	switch {
	case v.State == Doomed:
		return 6
	case v.Cause == Crash || v.Cause == OutOfMemory || v.Cause == CannotRun:
		return 5
	case v.Cause == Disrupted:
		return 3
	case v.Cause == NotReady:
		return 2
	case v.Cause != "":
		return 4
	case v.State == Waiting:
		return 1
	}
	return 0
}

func condition(pod *corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if c := &pod.Status.Conditions[i]; c.Type == kind {
			return c
		}
	}
	return nil
}

// IsReady reports whether a pod serves.
func IsReady(pod *corev1.Pod) bool { return isTrue(pod, corev1.PodReady) }

func isTrue(pod *corev1.Pod, kind corev1.PodConditionType) bool {
	c := condition(pod, kind)
	return c != nil && c.Status == corev1.ConditionTrue
}

// because adds the cluster's own words to a sentence.
func because(reason, message string) string {
	switch message = shortened(message); {
	case message != "":
		return ": " + message
	case reason != "":
		return ": " + reason
	}
	return ""
}

// longestTold is how much of a message becomes part of a sentence, in bytes.
const longestTold = 400

// shortened is a text in one line that is not too long.
func shortened(s string) string {
	s = strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "\ufffd")
	if len(s) <= longestTold {
		return s
	}
	cut := longestTold
	for s[cut]&0xc0 == 0x80 {
		cut--
	}
	return s[:cut] + "…"
}
