package bundle

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/manifests"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// lastApplied is what kubectl apply keeps of what it was given, and graceOfPods how
// long a pod has to end where nothing is said, in seconds.
const (
	lastApplied = "kubectl.kubernetes.io/last-applied-configuration"
	graceOfPods = 30
)

// Deployment is the app's, for one revision in so many replicas: with a name and
// labels of the revision's own, the image by digest, settings and secrets of
// slipway.yaml, and what it reads of the set by the names of its copies. All else
// is as the user has written it. A container that says nothing of what to do
// before it stops serves on for a while, so that nobody is sent to it any more.
func (b *Bundle) Deployment(p objects.Place, r deploy.Revision, replicas int) (*appsv1.Deployment, error) {
	own := &Bundle{App: b.App}
	own.App.Template = b.App.Template.DeepCopy()
	manifests.Replace([]*unstructured.Unstructured{own.App.Template}, manifests.ImageOf(b.App), r.Image.Reference())
	manifests.SetImage([]*unstructured.Unstructured{own.App.Template}, own.App, r.Image.Reference())
	d, err := own.deployment()
	if err != nil {
		return nil, err
	}
	content, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("write down %s: %w", r, err)
	}
	n, history := int32(replicas), int32(0) // what to go back to is another Deployment
	deadline := int32(min(math.Ceil(r.Config.StartTimeout.Seconds()), math.MaxInt32-1)) + 1
	d.TypeMeta = metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"}
	d.Status = appsv1.DeploymentStatus{}
	d.ObjectMeta = metav1.ObjectMeta{
		Name: p.Name(r.ID), Namespace: p.Namespace,
		Labels:      with(d.Labels, p.Pods(r.ID)),
		Annotations: with(d.Annotations, map[string]string{objects.AnnotationRevision: string(content)}),
	}
	delete(d.Annotations, lastApplied)
	if d.Spec.Selector == nil {
		d.Spec.Selector = &metav1.LabelSelector{}
	}
	d.Spec.Selector.MatchLabels = with(d.Spec.Selector.MatchLabels, p.Pods(r.ID))
	d.Spec.Replicas, d.Spec.RevisionHistoryLimit, d.Spec.ProgressDeadlineSeconds = &n, &history, &deadline
	pod := &d.Spec.Template
	pod.Labels = with(pod.Labels, objects.Serving(p.Pods(r.ID)))
	pod.Annotations = with(pod.Annotations, map[string]string{
		objects.AnnotationContainer: b.App.Container, objects.AnnotationPort: strconv.Itoa(b.port),
	})
	b.readCopies(&pod.Spec)
	b.complete(&pod.Spec, p, r)
	return d, nil
}

// with are labels or annotations of both; the second go over the first.
func with(a, b map[string]string) map[string]string {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, b)
	return all
}

// complete gives the app's container what slipway.yaml adds.
func (b *Bundle) complete(pod *corev1.PodSpec, p objects.Place, r deploy.Revision) {
	i := slices.IndexFunc(pod.Containers, func(c corev1.Container) bool { return c.Name == b.App.Container })
	if i < 0 {
		return
	}
	c := &pod.Containers[i]
	addVariables(c, p, r)
	if c.Lifecycle == nil {
		c.Lifecycle = &corev1.Lifecycle{}
	}
	if c.Lifecycle.PreStop != nil {
		return
	}
	grace, sleep := int64(graceOfPods), p.PreStop()
	if pod.TerminationGracePeriodSeconds != nil {
		grace = *pod.TerminationGracePeriodSeconds
	}
	grace += sleep
	pod.TerminationGracePeriodSeconds = &grace
	c.Lifecycle.PreStop = &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: sleep}}
}

// addVariables gives a container the variables and secrets of slipway.yaml, which go
// over what the manifests have of the same name.
func addVariables(c *corev1.Container, p objects.Place, r deploy.Revision) {
	for _, v := range p.Variables(r) {
		at := slices.IndexFunc(c.Env, func(e corev1.EnvVar) bool { return e.Name == v.Name })
		if at < 0 {
			c.Env = append(c.Env, v)
			continue
		}
		c.Env[at] = v
	}
}
