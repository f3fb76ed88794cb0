package apply

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const autoscaler = `apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 2
  maxReplicas: 3
`

// replicas is how many the Deployment web is to have.
func (c *cluster) replicas() int64 {
	c.Helper()
	n, _, err := unstructured.NestedInt64(c.get("apps/Deployment", "web").Object, "spec", "replicas")
	if err != nil {
		c.Fatal(err)
	}
	return n
}

// What a HorizontalPodAutoscaler has scaled stays when a set is forced back or repaired:
// the number is no drift, and taken by Force alone.
func TestWhatAnAutoscalerHasScaledStays(t *testing.T) {
	t.Parallel()
	c := open(t)
	set := strings.Replace(strings.TrimPrefix(idle, "\n"), "replicas: 0", "replicas: 1", 1)
	c.apply(c.options(), objects(t, set)...)
	c.put(c.client, "someone", autoscaler)
	for end := time.Now().Add(2 * time.Minute); c.replicas() != 2; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the autoscaler has left it at %d", c.replicas())
		}
	}

	var conflict *Conflict
	if _, err := c.client.Apply(t.Context(), objects(t, set), c.options()); !errors.As(err, &conflict) || len(conflict.Fields) != 1 || conflict.Fields[0].Field != replicas {
		t.Errorf("got %v", err)
	}
	if found := c.drift(set); len(found) > 0 {
		t.Errorf("it drifts: %v", found)
	}
	c.change("Deployment", "web", "kubectl-edit", `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"registry.invalid/shop:2"}]}}}}`)
	found := c.drift(set)
	if len(found) != 1 {
		t.Errorf("it drifts: %v", found)
	}
	if _, err := c.client.Repair(t.Context(), objects(t, set), found, c.options()); err != nil {
		t.Fatal(err)
	}
	if n := c.replicas(); n != 2 {
		t.Errorf("it is to have %d replicas after the repair", n)
	}
	if found := c.drift(set); len(found) > 0 {
		t.Errorf("it drifts after the repair: %v", found)
	}

	c.change("Deployment", "web", "kubectl-edit", `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"registry.invalid/shop:3"}]}}}}`)
	back := c.options()
	back.Force, back.Returning = true, true
	result := c.apply(back, objects(t, set)...)
	if len(result.Taken) == 0 || slices.ContainsFunc(result.Taken, func(h Held) bool { return h.Field == replicas }) {
		t.Errorf("taken: %v", result.Taken)
	}
	if n := c.replicas(); n != 2 {
		t.Errorf("it is to have %d replicas after the way back", n)
	}
}
