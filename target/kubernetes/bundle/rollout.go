package bundle

import (
	"encoding/json"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/manifests"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// checkRollout refuses a Rollout whose pods are another object's: that object would
// have to change at the same moment.
func (b *Bundle) checkRollout() error {
	if b.App.Template == b.App.Workload {
		return nil
	}
	return deploy.Usage("put the pods' template into the Rollout itself, and remove workloadRef",
		"%s has no template of its own: it takes the pods of %s (workloadRef), which Slipway does not drive", title(b.App.Workload), title(b.App.Template))
}

// Driven are the objects that a set with a Rollout is applied as for a revision: all
// as they are written, but for the image, and the Rollout as RolloutOf has it. Whom
// Services and routes lead to is its controller's to say.
func (b *Bundle) Driven(p objects.Place, r deploy.Revision) ([]*unstructured.Unstructured, error) {
	all := make([]*unstructured.Unstructured, 0, len(b.Set.Objects))
	for _, written := range b.Set.Objects {
		if written != b.App.Workload {
			all = append(all, written.DeepCopy())
		}
	}
	manifests.Replace(all, manifests.ImageOf(b.App), r.Image.Reference())
	manifests.SetImage(all, manifests.App{}, r.Image.Reference())
	own, err := b.RolloutOf(p, r)
	return append(all, own), err
}

// RolloutOf is the app's Rollout for one revision, which its template names: the
// image by digest, variables and secrets of slipway.yaml, and what it reads of the
// set by the names of its copies. All else is as the user has written it.
func (b *Bundle) RolloutOf(p objects.Place, r deploy.Revision) (*unstructured.Unstructured, error) {
	o := b.App.Workload.DeepCopy()
	manifests.Replace([]*unstructured.Unstructured{o}, manifests.ImageOf(b.App), r.Image.Reference())
	manifests.SetImage([]*unstructured.Unstructured{o}, manifests.App{Template: o, Container: b.App.Container}, r.Image.Reference())
	pod, err := (&Bundle{App: manifests.App{Template: o}}).pod()
	if err != nil {
		return nil, err
	}
	content, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("write down %s: %w", r, err)
	}
	pod.Annotations = with(pod.Annotations, map[string]string{
		objects.AnnotationRevision: string(content), objects.AnnotationContainer: b.App.Container,
	})
	b.readCopies(&pod.Spec)
	at := slices.IndexFunc(pod.Spec.Containers, func(c corev1.Container) bool { return c.Name == b.App.Container })
	if at < 0 {
		return nil, fmt.Errorf("%s has no container %q", title(o), b.App.Container)
	}
	addVariables(&pod.Spec.Containers[at], p, r)
	template, err := runtime.DefaultUnstructuredConverter.ToUnstructured(pod)
	if err != nil {
		return nil, fmt.Errorf("write down the pods of %s: %w", title(o), err)
	}
	unstructured.RemoveNestedField(template, "metadata", "creationTimestamp") // null, where nothing is
	unstructured.RemoveNestedField(o.Object, "status")
	annotations := o.GetAnnotations()
	delete(annotations, lastApplied)
	o.SetAnnotations(annotations)
	return o, unstructured.SetNestedMap(o.Object, template, "spec", "template")
}
