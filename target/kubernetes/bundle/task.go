package bundle

import (
	"slices"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// Task is the Job that does a task in the app's pod: its container with the task's
// command, and what prepares the pod for it. Other containers are left out, with
// which the Job would never end, and so is what is for replicas: ports, probes, what
// is done before they stop, labels, and where replicas stand to one another. It
// reads the set's copies of settings.
func (b *Bundle) Task(p objects.Place, r deploy.Revision, t deploy.Task) (*batchv1.Job, error) {
	r.Config.Env = with(r.Config.Env, t.Env)
	d, err := b.Deployment(p, r, 1)
	if err != nil {
		return nil, err
	}
	pod := d.Spec.Template.Spec
	pod.Containers = slices.DeleteFunc(pod.Containers, func(c corev1.Container) bool { return c.Name != b.App.Container })
	for i := range pod.InitContainers {
		pod.InitContainers[i].Ports = nil // a port of the node is taken by a replica
	}
	for i := range pod.Containers {
		c := &pod.Containers[i]
		c.Ports, c.ReadinessProbe, c.LivenessProbe, c.StartupProbe, c.Lifecycle = nil, nil, nil, nil, nil
		c.Command, c.Args = objects.Command(t), nil
	}
	pod.TopologySpreadConstraints, pod.Hostname, pod.Subdomain = nil, "", ""
	if pod.Affinity != nil {
		pod.Affinity.PodAffinity, pod.Affinity.PodAntiAffinity = nil, nil
	}
	return p.TaskIn(r, t, pod, b.podAnnotations()), nil
}

// podAnnotations are those of the app's pods, as they are written.
func (b *Bundle) podAnnotations() map[string]string {
	all, _, _ := unstructured.NestedStringMap(b.App.Template.Object, "spec", "template", "metadata", "annotations")
	return all
}

// Foundation are the objects of the set without which a pod cannot begin, besides
// the settings that have copies: its account, its claims, and its secrets for
// pulling images.
func (b *Bundle) Foundation(pod corev1.PodSpec) []*unstructured.Unstructured {
	needed := map[string]bool{"ServiceAccount/" + pod.ServiceAccountName: true}
	for _, s := range pod.ImagePullSecrets {
		needed[kindSecret+"/"+s.Name] = true
	}
	for i := range pod.Volumes {
		if claim := pod.Volumes[i].PersistentVolumeClaim; claim != nil {
			needed["PersistentVolumeClaim/"+claim.ClaimName] = true
		}
	}
	var all []*unstructured.Unstructured
	for _, o := range b.Set.Objects {
		if o.GetAPIVersion() == "v1" && needed[title(o)] && b.together(o) {
			all = append(all, o)
		}
	}
	return all
}
