package apply

import (
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	validation "k8s.io/apimachinery/pkg/util/validation/field"
)

// job is one that is never over by itself: it is suspended.
func job(t *testing.T, image string) *unstructured.Unstructured {
	t.Helper()
	return objects(t, fmt.Sprintf(`{apiVersion: batch/v1, kind: Job, metadata: {name: seed}, spec: {suspend: true,
  template: {spec: {restartPolicy: Never, containers: [{name: seed, image: "%s"}]}}}}`, image))[0]
}

// end has a Job be over, as the cluster does when its pods are.
func (c *cluster) end(name string) {
	c.Helper()
	o := &unstructured.Unstructured{Object: map[string]any{}}
	o.SetGroupVersionKind(schema.GroupVersionKind{Group: "batch", Version: "v1", Kind: "Job"})
	o.SetName(name)
	o.SetNamespace(c.namespace)
	at, err := c.client.place(c.Context(), o.GroupVersionKind(), Options{})
	if err != nil {
		c.Fatal(err)
	}
	now := time.Now().UTC().Format(time.RFC3339)
	body := fmt.Sprintf(`{"status": {"startTime": %[1]q, "conditions": [
		{"type": "FailureTarget", "status": "True", "lastTransitionTime": %[1]q},
		{"type": "Failed", "status": "True", "lastTransitionTime": %[1]q}]}}`, now)
	path := append(at.path(ReferenceOf(o)), "status")
	if err := c.client.rest.Patch(types.MergePatchType).AbsPath(path...).Body([]byte(body)).Do(c.Context()).Error(); err != nil {
		c.Fatalf("end the Job %s: %v", name, err)
	}
}

func TestAJobThatIsOverIsMadeAnewAndNoOther(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.apply(c.options(), job(t, "registry.test/a:1"))
	first := c.get("batch/Job", "seed").GetUID()
	if r := c.apply(c.options(), job(t, "registry.test/a:1")); len(r.Remade) > 0 || c.get("batch/Job", "seed").GetUID() != first {
		t.Errorf("one that is as it should be was made anew: %+v", r)
	}

	next := job(t, "registry.test/a:2")
	_, err := c.client.Apply(t.Context(), []*unstructured.Unstructured{next}, c.options())
	if err == nil || !strings.Contains(err.Error(), "Job "+c.namespace+"/seed is still at work") {
		t.Errorf("one at work: %v", err)
	}
	back := c.options()
	back.Returning = true
	if r := c.apply(back, next); len(r.Created)+len(r.Changed)+len(r.Remade) > 0 {
		t.Errorf("the way back did work again: %+v", r)
	}
	c.end("seed")

	seen, warnings, err := c.client.Foresee(t.Context(), []*unstructured.Unstructured{next}, c.options())
	if err != nil || len(seen) != 1 || seen[0].Before != nil || seen[0].After == nil || !strings.Contains(strings.Join(warnings, " "), "made anew") {
		t.Errorf("foreseen %+v, %q, %v", seen, warnings, err)
	}
	broken := job(t, "registry.test/a:2")
	_ = unstructured.SetNestedField(broken.Object, "Always", "spec", "template", "spec", "restartPolicy")
	if _, err := c.client.Apply(t.Context(), []*unstructured.Unstructured{broken}, c.options()); !apierrors.IsInvalid(err) {
		t.Errorf("one that the cluster would not take: %v", err)
	}
	other := c.options()
	other.Owner = "other"
	if _, err := c.client.Apply(t.Context(), []*unstructured.Unstructured{next}, other); err == nil {
		t.Error("another owner's was made anew")
	}
	if live := c.get("batch/Job", "seed"); live == nil || live.GetUID() != first {
		t.Fatal("one that may not be made anew was removed")
	}

	r := c.apply(c.options(), next)
	live := c.get("batch/Job", "seed")
	if len(r.Remade) != 1 || live.GetUID() == first || !strings.Contains(fmt.Sprint(live.Object), "registry.test/a:2") {
		t.Errorf("%+v, and there is %v", r, live)
	}
	if found, err := c.client.Drift(t.Context(), []*unstructured.Unstructured{job(t, "registry.test/a:3")}, c.options()); err != nil || len(found) > 0 {
		t.Errorf("a Job is compared: %v, %v", found, err)
	}
}

func TestWhatCannotBeChangedBackStays(t *testing.T) {
	t.Parallel()
	c := open(t)
	deployment := func(app string) *unstructured.Unstructured {
		return objects(t, fmt.Sprintf(`{apiVersion: apps/v1, kind: Deployment, metadata: {name: beside}, spec: {replicas: 0, selector: {matchLabels: {app: %[1]s}},
  template: {metadata: {labels: {app: %[1]s}}, spec: {containers: [{name: a, image: registry.test/a}]}}}}`, app))[0]
	}
	c.apply(c.options(), deployment("new"))
	settings := objects(t, "{apiVersion: v1, kind: ConfigMap, metadata: {name: settings}, data: {a: old}}")[0]
	all := []*unstructured.Unstructured{deployment("old"), settings}
	if _, err := c.client.Apply(t.Context(), all, c.options()); !apierrors.IsInvalid(err) || c.get("ConfigMap", "settings") != nil {
		t.Errorf("on the way forward: %v", err)
	}
	back := c.options()
	back.Returning = true
	r := c.apply(back, all...)
	if len(r.Stayed) != 1 || r.Stayed[0].Object.Name != "beside" || !strings.Contains(r.Stayed[0].Why, "immutable") {
		t.Errorf("stayed: %+v", r.Stayed)
	}
	if c.get("ConfigMap", "settings") == nil {
		t.Error("all else did not come back")
	}
}

func TestDataAreNotPruned(t *testing.T) {
	t.Parallel()
	c := open(t)
	c.apply(c.options(), objects(t, "{apiVersion: v1, kind: PersistentVolumeClaim, metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], storageClassName: none, resources: {requests: {storage: 1Mi}}}}")...)
	p := c.prune(c.options())
	if len(p.Removed) > 0 || len(p.Left) != 1 || !strings.Contains(p.Left[0].Why, "data") || c.get("PersistentVolumeClaim", "data") == nil {
		t.Errorf("%+v", p)
	}
}

func TestBrief(t *testing.T) {
	t.Parallel()
	gk := schema.GroupKind{Group: "batch", Kind: "Job"}
	long := strings.Repeat("x", lengthy)
	err := brief(apierrors.NewInvalid(gk, "seed", validation.ErrorList{
		validation.Invalid(validation.NewPath("spec", "template"), map[string]string{"long": long}, "field is immutable"),
	}))
	if want := `Job.batch "seed" is invalid: spec.template: Invalid value: field is immutable`; err.Error() != want || !apierrors.IsInvalid(err) {
		t.Errorf("%q, want %q", err, want)
	}
	short := apierrors.NewInvalid(gk, "seed", validation.ErrorList{validation.Required(validation.NewPath("spec"), "")})
	if brief(short).Error() != short.Error() {
		t.Errorf("%q was changed", short)
	}
}
