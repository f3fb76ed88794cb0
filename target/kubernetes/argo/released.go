package argo

import (
	"context"
	"encoding/json"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// Write keeps the journal, and at the end of a rollout what the Rollout then is, by
// which drift is told: where others apply it, nobody else has kept that.
func (t *Target) Write(ctx context.Context, r deploy.Record) error {
	if err := t.Memory.Write(ctx, r); err != nil || r.Phase != deploy.PhaseSettled || t.o.Set != nil {
		return err
	}
	if err := t.noteSpec(ctx); err != nil { // the next release does
		t.o.Log.Warn("keep what the Rollout is now", "target", t.String(), "error", err)
	}
	return nil
}

// restless are the fields of a Rollout's specification that change without a
// release: by autoscalers, and by restarts of pods.
var restless = []string{"replicas", "restartAt"}

func (t *Target) noteSpec(ctx context.Context) error {
	o, err := t.o.Dynamic.Resource(rollouts).Namespace(t.o.Namespace).Get(ctx, t.o.Name, metav1.GetOptions{})
	if err != nil {
		return err
	}
	spec, _, err := unstructured.NestedMap(o.Object, "spec")
	if err != nil {
		return err
	}
	for _, field := range restless {
		delete(spec, field)
	}
	text, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	return t.NoteSpec(ctx, text)
}

// Released is the Rollout with a specification that was kept, for a revision that
// was brought in since then, or is the one that was.
func (t *Target) Released(spec []byte, r deploy.Revision) (*unstructured.Unstructured, error) {
	o := &unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{}}}
	if err := o.UnmarshalJSON(fmt.Appendf(nil, `{"apiVersion":"argoproj.io/v1alpha1","kind":"Rollout","spec":%s}`, spec)); err != nil {
		return nil, fmt.Errorf("read what %s was released as: %w", t, err)
	}
	o.SetName(t.o.Name)
	o.SetNamespace(t.o.Namespace)
	was, err := read(o)
	if err != nil || adoptedID(r.ID) {
		return o, err
	}
	if set, ours := t.written(was.Spec.Template); ours && set.ID == r.ID {
		return o, nil
	}
	m, err := t.markFor(r, nil)
	if err != nil {
		return nil, err
	}
	return o, t.stamp(o, m)
}

// stamp sets image and annotation in a Rollout.
func (t *Target) stamp(o *unstructured.Unstructured, m mark) error {
	containers, _, err := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
	if err != nil {
		return err
	}
	t.imageIn(containers, m.Image)
	if err := unstructured.SetNestedSlice(o.Object, containers, "spec", "template", "spec", "containers"); err != nil || m.Revision == nil {
		return err
	}
	return unstructured.SetNestedField(o.Object, *m.Revision, "spec", "template", "metadata", "annotations", objects.AnnotationRevision)
}

// imageIn sets the image of the app's among the containers of a template.
func (t *Target) imageIn(containers []any, image string) {
	for _, c := range containers {
		if fields, is := c.(map[string]any); is && (fields["name"] == t.o.Container || t.o.Container == "") {
			fields["image"] = image
		}
	}
}

// Settle has the Rollout come to rest with a revision that it was given, past all
// steps where it has been live before; with less than all users, at a stop that
// gives it the share.
func (t *Target) Settle(ctx context.Context, r deploy.Revision, share deploy.Percent) error {
	j := journey{to: r, share: share, promote: true, retry: true}
	if share >= 100 {
		j.full, j.healthy = true, true
	}
	return t.ended(ctx, t.drive(ctx, j), "have %s come to rest with %s", t, r)
}
