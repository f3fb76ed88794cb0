package pods

import (
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/slipway-ci/slipway/deploy"
)

// Replicas are the pods that are not being removed, as a deploy.State has them. An
// empty container is each pod's first one.
func Replicas(all []corev1.Pod, container string) []deploy.Replica {
	runs := map[string]Running{}
	for _, r := range Digests(all, container) {
		runs[r.Pod] = r
	}
	var replicas []deploy.Replica
	for i := range all {
		if r, counts := runs[all[i].Name]; counts {
			replicas = append(replicas, replica(&all[i], r))
		}
	}
	return replicas
}

func replica(p *corev1.Pod, runs Running) deploy.Replica {
	r := deploy.Replica{Name: p.Name, Digest: runs.Digest, Status: deploy.ReplicaStarting, Since: p.CreationTimestamp.Time}
	for _, c := range p.Status.ContainerStatuses {
		if c.Name != runs.Container {
			continue
		}
		r.Restarts = int(c.RestartCount)
		switch {
		case c.State.Running == nil:
			if c.State.Terminated != nil || c.LastTerminationState.Terminated != nil {
				r.Status = deploy.ReplicaExited
			}
		case IsReady(p):
			r.Status = deploy.ReplicaReady
		case unreadySince(p).After(c.State.Running.StartedAt.Time):
			r.Status = deploy.ReplicaUnready
		}
	}
	return r
}

// unreadySince is when a pod stopped being ready. Of one that never was, it is
// from before its container ran.
func unreadySince(p *corev1.Pod) time.Time {
	if c := condition(p, corev1.PodReady); c != nil {
		return c.LastTransitionTime.Time
	}
	return time.Time{}
}
