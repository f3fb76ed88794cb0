package pods

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Running is what a container of a pod runs, as the node's runtime tells it.
type Running struct {
	Pod, Container string
	// Digest is sha256:…, the one by which the image was asked for: that of an
	// index where the image is one. Empty as long as nothing runs.
	Digest string
	// Ready reports whether the pod serves.
	Ready bool
}

// Digests are what the containers of a name run, in every pod that is not being
// removed; an empty name means a pod's first container.
func Digests(pods []corev1.Pod, container string) []Running {
	var all []Running
	for i := range pods {
		pod := &pods[i]
		if Judge(pod, time.Time{}, Limits{}).State == Gone {
			continue
		}
		name := container
		if name == "" && len(pod.Spec.Containers) > 0 {
			name = pod.Spec.Containers[0].Name
		}
		r := Running{Pod: pod.Name, Container: name, Ready: IsReady(pod)}
		for j := range pod.Status.ContainerStatuses {
			if s := &pod.Status.ContainerStatuses[j]; s.Name == name {
				r.Digest = digestOf(s.ImageID)
			}
		}
		all = append(all, r)
	}
	return all
}

// digestOf is the digest in an image ID: repository@sha256:…, with
// docker-pullable:// before it or not. An ID without a repository is the digest
// of the image's configuration on that node, which nobody has promoted.
func digestOf(imageID string) string {
	_, digest, found := strings.Cut(imageID, "@")
	if !found {
		return ""
	}
	return digest
}

// Serve returns nil when at least one pod serves, and each that does runs the
// digest; otherwise it says which pod runs what.
func Serve(pods []corev1.Pod, container, digest string) error {
	serving := 0
	var others []string
	for _, r := range Digests(pods, container) {
		switch {
		case !r.Ready:
		case r.Digest == digest:
			serving++
		case r.Digest == "":
			others = append(others, r.Pod+" does not say what it runs")
		default:
			others = append(others, r.Pod+" runs "+r.Digest)
		}
	}
	switch {
	case len(others) > 0:
		return fmt.Errorf("not every replica runs %s: %s", digest, strings.Join(others, ", "))
	case serving == 0:
		return fmt.Errorf("no replica serves that could run %s", digest)
	}
	return nil
}
