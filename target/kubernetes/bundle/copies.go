package bundle

import (
	"encoding/base64"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// AnnotationCopy is on each copy of a ConfigMap or Secret that a revision reads:
// the Digest of the manifests that it is of.
const AnnotationCopy = "slipway.dev/copy-of"

// The kinds that pods read settings from.
const (
	kindConfigMap = "ConfigMap"
	kindSecret    = "Secret"
)

// Suffix tells the copies of one set from those of another. It is a character
// longer than those of a revision.
func (b *Bundle) Suffix() string { return "-" + strings.TrimPrefix(b.Digest, "sha256:")[:13] }

// longestName is that of most objects.
const longestName = 253

func (b *Bundle) copyName(name string) string {
	if most := longestName - len(b.Suffix()); len(name) > most {
		name = name[:most]
	}
	return name + b.Suffix()
}

// Copies are the ConfigMaps and Secrets of the set that the app's pods and hooks read, under
// names of this set alone, and immutable: they do not change under a version that
// runs, and an old version finds its own again.
func (b *Bundle) Copies(p objects.Place) ([]*unstructured.Unstructured, error) {
	pod, err := b.pod()
	if err != nil {
		return nil, err
	}
	read := map[string]bool{}
	note := func(kind string, name *string) { read[kind+"/"+*name] = true }
	eachRead(&pod.Spec, note)
	for _, h := range b.hooks() {
		if !h.Works() {
			continue
		}
		job, err := h.job()
		if err != nil {
			return nil, err
		}
		eachRead(&job.Spec.Template.Spec, note)
	}
	var all []*unstructured.Unstructured
	for _, o := range b.Set.Objects {
		if !settings(o) || !read[title(o)] || !b.together(o) {
			continue
		}
		c := o.DeepCopy()
		c.SetName(b.copyName(o.GetName()))
		c.SetNamespace(p.Namespace)
		c.SetLabels(with(o.GetLabels(), p.Labels()))
		annotations := with(o.GetAnnotations(), map[string]string{AnnotationCopy: b.Digest})
		delete(annotations, lastApplied)
		c.SetAnnotations(annotations)
		c.Object["immutable"] = true
		all = append(all, c)
	}
	return all, nil
}

func settings(o *unstructured.Unstructured) bool {
	return o.GetAPIVersion() == "v1" && (o.GetKind() == kindConfigMap || o.GetKind() == kindSecret)
}

// together reports whether an object is where the app's workload is.
func (b *Bundle) together(o *unstructured.Unstructured) bool {
	return o.GetNamespace() == b.App.Workload.GetNamespace() || o.GetNamespace() == "" || b.App.Workload.GetNamespace() == ""
}

// readCopies has a pod read the copies in place of what they are copies of.
func (b *Bundle) readCopies(pod *corev1.PodSpec) {
	have := map[string]bool{}
	for _, o := range b.Set.Objects {
		if settings(o) && b.together(o) {
			have[title(o)] = true
		}
	}
	eachRead(pod, func(kind string, name *string) {
		if have[kind+"/"+*name] {
			*name = b.copyName(*name)
		}
	})
}

// eachRead calls a function for each name by which a pod reads a ConfigMap or a
// Secret. Secrets for pulling images are not among them: nodes read those.
func eachRead(pod *corev1.PodSpec, do func(kind string, name *string)) {
	for _, list := range [][]corev1.Container{pod.InitContainers, pod.Containers} {
		for i := range list {
			eachOfContainer(&list[i], do)
		}
	}
	for i := range pod.Volumes {
		v := &pod.Volumes[i]
		if v.ConfigMap != nil {
			do(kindConfigMap, &v.ConfigMap.Name)
		}
		if v.Secret != nil {
			do(kindSecret, &v.Secret.SecretName)
		}
		if v.Projected == nil {
			continue
		}
		for j := range v.Projected.Sources {
			s := &v.Projected.Sources[j]
			if s.ConfigMap != nil {
				do(kindConfigMap, &s.ConfigMap.Name)
			}
			if s.Secret != nil {
				do(kindSecret, &s.Secret.Name)
			}
		}
	}
}

func eachOfContainer(c *corev1.Container, do func(kind string, name *string)) {
	for i := range c.EnvFrom {
		if c.EnvFrom[i].ConfigMapRef != nil {
			do(kindConfigMap, &c.EnvFrom[i].ConfigMapRef.Name)
		}
		if c.EnvFrom[i].SecretRef != nil {
			do(kindSecret, &c.EnvFrom[i].SecretRef.Name)
		}
	}
	for i := range c.Env {
		from := c.Env[i].ValueFrom
		if from == nil {
			continue
		}
		if from.ConfigMapKeyRef != nil {
			do(kindConfigMap, &from.ConfigMapKeyRef.Name)
		}
		if from.SecretKeyRef != nil {
			do(kindSecret, &from.SecretKeyRef.Name)
		}
	}
}

// Confidential are the values of all Secrets of the set, which no log is to show.
func (b *Bundle) Confidential() []string {
	all := slices.Clone(b.Set.Objects)
	for _, h := range b.Set.Hooks {
		all = append(all, h.Object)
	}
	var values []string
	for _, o := range all {
		if !settings(o) || o.GetKind() != kindSecret {
			continue
		}
		plain, _, _ := unstructured.NestedStringMap(o.Object, "stringData")
		values = slices.AppendSeq(values, maps.Values(plain))
		data, _, _ := unstructured.NestedStringMap(o.Object, "data")
		for _, encoded := range data {
			if value, err := base64.StdEncoding.DecodeString(encoded); err == nil { // the server refuses it otherwise
				values = append(values, string(value))
			}
		}
	}
	return values
}
