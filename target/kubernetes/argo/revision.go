package argo

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/argo/concede"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

const (
	// rivals bounds how often a write is tried again because somebody else was
	// faster.
	rivals = 20
)

// container is the app's in a template, which one that a set has brought says itself.
func (t *Target) container(template *corev1.PodTemplateSpec) (*corev1.Container, error) {
	all := template.Spec.Containers
	name := cmp.Or(template.Annotations[objects.AnnotationContainer], t.o.Container)
	var names []string
	for i := range all {
		if all[i].Name == name || name == "" && len(all) == 1 {
			return &all[i], nil
		}
		names = append(names, all[i].Name)
	}
	if name == "" {
		return nil, deploy.Usage("name the app's: target: {kubernetes: {container: …}}; there are "+strings.Join(names, ", "), "%s has %d containers", t, len(all))
	}
	return nil, deploy.Usage("it has "+strings.Join(names, ", "), "%s has no container %q", t, name)
}

// written is the revision that a template was set to; false where somebody else
// has set it, or its image since.
func (t *Target) written(template *corev1.PodTemplateSpec) (deploy.Revision, bool) {
	var r deploy.Revision
	text, has := template.Annotations[objects.AnnotationRevision]
	if !has || json.Unmarshal([]byte(text), &r) != nil {
		return deploy.Revision{}, false
	}
	c, err := t.container(template)
	if err != nil || c.Image != r.Image.Reference() {
		return deploy.Revision{}, false
	}
	return r, true
}

// ours reports whether Slipway has set what the Rollout shall run.
func (t *Target) ours(r *rollout) bool {
	_, ours := t.written(r.Spec.Template)
	return ours
}

// set is what one template of a Rollout came to.
type set struct {
	*appsv1.ReplicaSet
	hash     string
	revision deploy.Revision
	// ours: Slipway has brought it in.
	ours bool
}

// serves reports whether users can have it. The first template of a Rollout counts
// as stable from the start, also where its image is only a place holder.
func (s *set) serves() bool { return s.ours || s.Status.ReadyReplicas > 0 }

// sets are all that there are of a Rollout.
type sets []set

// by is that of a hash; nil where there is none.
func (all sets) by(hash string) *set {
	for i := range all {
		if hash != "" && all[i].hash == hash {
			return &all[i]
		}
	}
	return nil
}

// of is the newest of a revision; nil where there is none.
func (all sets) of(id string) *set {
	var found *set
	for i := range all {
		if all[i].revision.ID == id && (found == nil || found.CreationTimestamp.Before(&all[i].CreationTimestamp)) {
			found = &all[i]
		}
	}
	return found
}

// sets lists what the Rollout has made.
func (t *Target) sets(ctx context.Context, r *rollout) (sets, error) {
	selector, err := metav1.LabelSelectorAsSelector(r.Spec.Selector)
	if err != nil {
		return nil, fmt.Errorf("read the selector of %s: %w", t, err)
	}
	list, err := t.o.Kube.AppsV1().ReplicaSets(t.o.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		return nil, err
	}
	var all sets
	for i := range list.Items {
		rs := &list.Items[i]
		if !metav1.IsControlledBy(rs, r) {
			continue
		}
		s := set{ReplicaSet: rs, hash: rs.Labels[concede.LabelHash]}
		if s.revision, s.ours = t.written(&rs.Spec.Template); !s.ours {
			s.revision = t.adopted(s)
		}
		all = append(all, s)
	}
	return all, nil
}

// adopted is the revision of pods that somebody else has brought in: by their
// hash, with as much of the image as the template says.
func (t *Target) adopted(s set) deploy.Revision {
	r := deploy.Revision{
		ID: "rs-" + s.hash, App: t.o.App, Environment: t.o.Environment,
		Config: deploy.Config{Replicas: 1, StartTimeout: deploy.DefaultStartTimeout, Drain: deploy.DefaultDrain},
	}
	if c, err := t.container(&s.Spec.Template); err == nil {
		r.Image = imageOf(c.Image)
		if len(c.Ports) > 0 {
			r.Config.Port = int(c.Ports[0].ContainerPort)
		}
	}
	return r
}

// imageOf reads a reference with tag or digest.
func imageOf(reference string) deploy.Image {
	rest, digest, _ := strings.Cut(reference, "@")
	i := deploy.Image{Repository: rest, Digest: digest}
	if at := strings.LastIndex(rest, ":"); at > strings.LastIndex(rest, "/") {
		i.Repository, i.Version = rest[:at], rest[at+1:]
	}
	return i
}

// inspect is the revision that the Rollout shall run, and what it has made.
func (t *Target) inspect(ctx context.Context, r *rollout) (deploy.Revision, sets, error) {
	all, err := t.sets(ctx, r)
	if err != nil {
		return deploy.Revision{}, nil, err
	}
	if wanted, ours := t.written(r.Spec.Template); ours {
		return wanted, all, nil
	}
	if now := all.by(r.Status.CurrentPodHash); now != nil && r.seen() {
		return now.revision, all, nil
	}
	return deploy.Revision{}, all, nil
}

// mark is what Slipway sets in a template.
type mark struct {
	Image string `json:"image"`
	// Revision is the annotation; nil is none.
	Revision *string `json:"revision"`
}

// markOf is what a template has now.
func (t *Target) markOf(template *corev1.PodTemplateSpec) (mark, error) {
	c, err := t.container(template)
	if err != nil {
		return mark{}, err
	}
	m := mark{Image: c.Image}
	if text, has := template.Annotations[objects.AnnotationRevision]; has {
		m.Revision = &text
	}
	return m, nil
}

// markFor is what brings a revision about: what its own pods have, where there were
// any, so that they are not started again for a difference that is none.
func (t *Target) markFor(r deploy.Revision, all sets) (mark, error) {
	if s := all.of(r.ID); s != nil {
		return t.markOf(&s.Spec.Template)
	}
	if strings.HasPrefix(r.ID, "rs-") {
		return mark{}, fmt.Errorf("%s has no ReplicaSet of %s any more: its revisionHistoryLimit is over", t, r)
	}
	text, err := json.Marshal(r)
	if err != nil {
		return mark{}, fmt.Errorf("write down %s: %w", r, err)
	}
	content := string(text)
	return mark{Image: r.Image.Reference(), Revision: &content}, nil
}

// set gives the Rollout a revision, if it has another one. It gives what the
// Rollout was before, or is where nothing was to be done.
func (t *Target) set(ctx context.Context, r deploy.Revision) (*rollout, error) {
	for range rivals {
		now, err := t.get(ctx)
		if err != nil {
			return nil, err
		}
		wanted, all, err := t.inspect(ctx, now)
		if err != nil || wanted.ID == r.ID {
			return now, err
		}
		if t.o.Set != nil {
			return now, t.rewrite(ctx, r, all)
		}
		m, err := t.markFor(r, all)
		if err != nil {
			return nil, err
		}
		err = t.write(ctx, now, m)
		if !apierrors.IsConflict(err) {
			return now, err
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
	}
	return nil, fmt.Errorf("somebody else writes %s all the time", t)
}

// write sets image and annotation, if nobody has written the Rollout since it was
// read. Everything else in the template stays as it is.
func (t *Target) write(ctx context.Context, now *rollout, m mark) error {
	o, err := t.o.Dynamic.Resource(rollouts).Namespace(t.o.Namespace).Get(ctx, t.o.Name, metav1.GetOptions{ResourceVersion: now.ResourceVersion})
	if err != nil {
		return err
	}
	if o.GetResourceVersion() != now.ResourceVersion {
		return apierrors.NewConflict(rollouts.GroupResource(), t.o.Name, nil)
	}
	containers, _, err := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
	if err != nil {
		return err
	}
	t.imageIn(containers, m.Image)
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"resourceVersion": now.ResourceVersion},
		"spec": map[string]any{"template": map[string]any{
			"metadata": map[string]any{"annotations": map[string]any{objects.AnnotationRevision: m.Revision}},
			"spec":     map[string]any{"containers": containers},
		}},
	})
	if err != nil {
		return err
	}
	_, err = t.o.Dynamic.Resource(rollouts).Namespace(t.o.Namespace).
		Patch(ctx, t.o.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: objects.Manager})
	return err
}

// patchStatus writes fields of the status, as the plugin for kubectl does. With a
// version it is written only if nobody has written since.
func (t *Target) patchStatus(ctx context.Context, fields map[string]any, version string) error {
	object := map[string]any{"status": fields}
	if version != "" {
		object["metadata"] = map[string]any{"resourceVersion": version}
	}
	patch, err := json.Marshal(object)
	if err != nil {
		return err
	}
	_, err = t.o.Dynamic.Resource(rollouts).Namespace(t.o.Namespace).
		Patch(ctx, t.o.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: objects.Manager}, "status")
	return err
}
