package concede

import (
	"context"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/target/kubernetes/apply"
)

func object(kind, version, name string, spec map[string]any) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"kind": kind, "apiVersion": version, "spec": spec}}
	o.SetName(name)
	return o
}

// aSet is a Service, a route and a Rollout that names both, with so many replicas.
func aSet(selector map[string]any, weight, replicas int64) []*unstructured.Unstructured {
	return []*unstructured.Unstructured{
		object("Service", "v1", "web", map[string]any{"selector": selector}),
		object("HTTPRoute", "gateway.networking.k8s.io/v1", "way", map[string]any{"rules": []any{
			map[string]any{"backendRefs": []any{map[string]any{"name": "web", "weight": weight}}},
		}}),
		object("Rollout", "argoproj.io/v1alpha1", "shop", map[string]any{
			"replicas": replicas,
			"strategy": map[string]any{"canary": map[string]any{
				"stableService": "web", "trafficRouting": map[string]any{"plugins": map[string]any{"gateway": map[string]any{"httpRoute": "way"}}},
			}},
		}),
	}
}

// TestWhatTheControllerWritesIsKept applies a set to one that the controller and an
// autoscaler are at work in.
func TestWhatTheControllerWritesIsKept(t *testing.T) {
	there := map[string]*unstructured.Unstructured{}
	for _, o := range aSet(map[string]any{"app": "shop", LabelHash: "5f"}, 30, 7) {
		there[title(o)] = o
	}
	there["Rollout/shop"].SetManagedFields([]metav1.ManagedFieldsEntry{
		{Manager: "driver", FieldsV1: metav1.NewFieldsV1(`{"f:status":{"f:observedGeneration":{}}}`)},
		{Manager: "kube-controller-manager", Subresource: "scale"},
	})
	want := aSet(map[string]any{"app": "shop"}, 100, 2)
	yield, err := Objects(t.Context(), want, false, func(_ context.Context, o *unstructured.Unstructured) (*unstructured.Unstructured, error) {
		return there[title(o)], nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if hash, _, _ := unstructured.NestedString(want[0].Object, "spec", "selector", LabelHash); hash != "5f" {
		t.Errorf("the Service would lead to pods with the hash %q", hash)
	}
	rules, _, _ := unstructured.NestedSlice(want[1].Object, "spec", "rules")
	to := rules[0].(map[string]any)["backendRefs"].([]any)[0].(map[string]any)
	if to["weight"] != int64(30) {
		t.Errorf("the route would give %v", to["weight"])
	}
	if n, _, _ := unstructured.NestedInt64(want[2].Object, "spec", "replicas"); n != 7 {
		t.Errorf("%d replicas would run", n)
	}
	for held, taken := range map[apply.Held]bool{
		{Object: apply.Reference{Kind: "Rollout", Name: "shop"}, Field: ".spec.replicas", Manager: "driver"}:                                                               true,
		{Object: apply.Reference{Kind: "HTTPRoute", Name: "way"}, Field: ".spec.rules", Manager: "driver"}:                                                                 true,
		{Object: apply.Reference{Kind: "Service", Name: "web"}, Field: ".spec.selector", Manager: "driver"}:                                                                false, // they agree
		{Object: apply.Reference{Kind: "Rollout", Name: "shop"}, Field: ".spec.paused", Manager: "driver"}:                                                                 false,
		{Object: apply.Reference{Kind: "Rollout", Name: "shop"}, Field: ".spec.replicas", Manager: "kubectl-edit", Operation: string(metav1.ManagedFieldsOperationUpdate)}: false,
	} {
		if yield(held) != taken {
			t.Errorf("%s: taken %v", held, !taken)
		}
	}
}

// TestASetThatIsNotThereIsAppliedAsItIs has nobody to leave anything to.
func TestASetThatIsNotThereIsAppliedAsItIs(t *testing.T) {
	want := aSet(map[string]any{"app": "shop"}, 100, 2)
	yield, err := Objects(t.Context(), want, true, func(context.Context, *unstructured.Unstructured) (*unstructured.Unstructured, error) { return nil, nil })
	if n, _, _ := unstructured.NestedInt64(want[2].Object, "spec", "replicas"); err != nil || yield != nil || n != 2 {
		t.Errorf("%v, something is taken: %v, %d replicas", err, yield != nil, n)
	}
}
