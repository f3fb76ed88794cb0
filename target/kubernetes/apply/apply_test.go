package apply

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
)

const settings1 = `
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: blue, size: small}
`

// idle is a workload without pods.
const idle = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 0
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: app
          image: registry.invalid/shop:1
          env: [{name: COLOR, value: blue}]
          ports: [{containerPort: 8080}]
`

func TestAppliesCreatesChangesAndLeaves(t *testing.T) {
	c := open(t)
	o := c.options()
	service := "{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}"
	first := c.apply(o, objects(t, settings1+"\n---\n"+service)...)
	if len(first.Created) != 2 || len(first.Changed)+len(first.Unchanged) != 0 {
		t.Errorf("the first time: %+v", first)
	}
	again := c.apply(o, objects(t, settings1+"\n---\n"+service)...)
	if len(again.Unchanged) != 2 || len(again.Changed)+len(again.Created) != 0 {
		t.Errorf("the second time: %+v", again)
	}
	changed := c.apply(o, objects(t, strings.Replace(settings1, "blue", "red", 1)+"\n---\n"+service)...)
	if len(changed.Changed) != 1 || changed.Changed[0].Kind != "ConfigMap" || len(changed.Unchanged) != 1 {
		t.Errorf("the third time: %+v", changed)
	}
	live := c.get("ConfigMap", "settings")
	if got := field(t, live, "data", "color"); got != "red" {
		t.Errorf("color is %s", got)
	}
	if got := live.GetLabels()[OwnerLabel]; got != o.Owner {
		t.Errorf("the owner's label is %q", got)
	}
	if entry := live.GetManagedFields()[0]; entry.Manager != Manager || entry.Operation != "Apply" {
		t.Errorf("the fields are owned by %s (%s)", entry.Manager, entry.Operation)
	}
}

func TestAConflictNamesFieldAndOwnerAndChangesNothing(t *testing.T) {
	c := open(t)
	c.apply(c.options(), object(t, settings1))
	c.change("ConfigMap", "settings", "kubectl-edit", `{"data":{"color":"green"}}`)
	set := objects(t, strings.Replace(settings1, "blue", "red", 1)+"\n---\n"+idle)
	_, err := c.client.Apply(t.Context(), set, c.options())
	var conflict *Conflict
	if !errors.As(err, &conflict) || len(conflict.Fields) != 1 {
		t.Fatalf("no conflict of one field: %v", err)
	}
	held := conflict.Fields[0]
	if held.Since.IsZero() || time.Since(held.Since) > time.Hour {
		t.Errorf("since %s", held.Since)
	}
	want := fmt.Sprintf(`ConfigMap %s/settings: .data.color is owned by "kubectl-edit" (Update, %s)`, c.namespace, held.Since.UTC().Format(time.RFC3339))
	if conflict.Error() != want {
		t.Errorf("said\n%s\nnot\n%s", conflict, want)
	}
	if !strings.Contains(deploy.HintOf(err), "force") {
		t.Errorf("the hint says %q", deploy.HintOf(err))
	}
	if c.get("apps/Deployment", "web") != nil {
		t.Error("something else of the set was applied")
	}

	forced := c.options()
	forced.Force = true
	result := c.apply(forced, set...)
	if len(result.Taken) != 1 || result.Taken[0].Manager != "kubectl-edit" || result.Taken[0].Field != ".data.color" {
		t.Errorf("taken: %+v", result.Taken)
	}
	if got := field(t, c.get("ConfigMap", "settings"), "data", "color"); got != "red" {
		t.Errorf("color is %s", got)
	}
}

func TestAnotherAppliersFieldsAreAConflict(t *testing.T) {
	c := open(t)
	c.put(c.client, "other-tool", settings1)
	_, err := c.client.Apply(t.Context(), objects(t, strings.Replace(settings1, "blue", "red", 1)), c.options())
	var conflict *Conflict
	if !errors.As(err, &conflict) {
		t.Fatalf("no conflict: %v", err)
	}
	if f := conflict.Fields[0]; f.Manager != "other-tool" || f.Operation != "Apply" || f.Field != ".data.color" {
		t.Errorf("the conflict is of %+v", f)
	}
}

func TestWhatOtherPartsOfSlipwayWroteIsNoConflict(t *testing.T) {
	c := open(t)
	c.apply(c.options(), object(t, settings1))
	c.change("ConfigMap", "settings", Manager, `{"data":{"color":"green"}}`)
	result := c.apply(c.options(), object(t, strings.Replace(settings1, "blue", "red", 1)))
	if len(result.Changed) != 1 || len(result.Taken) != 0 {
		t.Errorf("%+v", result)
	}
}

func TestAnotherAppsObjectIsRefusedEvenByForce(t *testing.T) {
	c := open(t)
	c.apply(c.options(), object(t, settings1))
	other := c.options()
	other.Owner, other.Inventory, other.Force = "blog.production", "blog-inventory", true
	_, err := c.client.Apply(t.Context(), objects(t, settings1), other)
	var owned *Owned
	if !errors.As(err, &owned) || owned.Owner != "shop.production" {
		t.Fatalf("not refused as owned: %v", err)
	}
	if got := c.get("ConfigMap", "settings").GetLabels()[OwnerLabel]; got != "shop.production" {
		t.Errorf("it belongs to %q now", got)
	}
	if c.get("ConfigMap", "blog-inventory") != nil {
		t.Error("an inventory was written although nothing was applied")
	}
}

func TestAMistakeInOneObjectChangesNone(t *testing.T) {
	c := open(t)
	wrong := strings.Replace(strings.Replace(settings1, "name: settings", "name: wrong", 1), "\ndata:", "\ndta:", 1)
	_, err := c.client.Apply(t.Context(), objects(t, settings1+"\n---\n"+wrong), c.options())
	if err == nil || !strings.Contains(err.Error(), "ConfigMap "+c.namespace+"/wrong") || !strings.Contains(err.Error(), "dta") {
		t.Errorf("said %v", err)
	}
	if c.get("ConfigMap", "settings") != nil {
		t.Error("the other object was applied")
	}
	if c.get("ConfigMap", "shop-inventory") != nil {
		t.Error("an inventory was written")
	}
}

func TestAKindThatTheClusterHasNotIsTold(t *testing.T) {
	c := open(t)
	_, err := c.client.Apply(t.Context(), objects(t, "{apiVersion: no.such/v1, kind: Thing, metadata: {name: a}}"), c.options())
	if err == nil || !strings.Contains(err.Error(), "the cluster has no Thing of no.such/v1") || deploy.HintOf(err) == "" {
		t.Errorf("said %v", err)
	}
}

func TestADefinitionAndANamespaceComeWithWhatNeedsThem(t *testing.T) {
	c := open(t)
	group, space := c.namespace+".example.com", c.namespace+"-inner"
	c.forget("CustomResourceDefinition", "boats."+group)
	c.forget("Namespace", space)
	set := strings.NewReplacer("GROUP", group, "SPACE", space).Replace(`
apiVersion: GROUP/v1
kind: Boat
metadata: {name: first}
spec: {length: 3}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: inner, namespace: SPACE}
data: {a: b}
---
apiVersion: v1
kind: Namespace
metadata: {name: SPACE}
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boats.GROUP}
spec:
  group: GROUP
  scope: Namespaced
  names: {plural: boats, singular: boat, kind: Boat}
  versions:
    - name: v1
      served: true
      storage: true
      schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {length: {type: integer}}}}}}
`)
	if result := c.apply(c.options(), objects(t, set)...); len(result.Created) != 4 {
		t.Errorf("created %v", result.Created)
	}
	// The definition is known to the cluster by now, and is asked first.
	if result := c.apply(c.options(), objects(t, set)...); len(result.Created) != 0 {
		t.Errorf("the second time: %+v", result)
	}
	wrong := strings.Replace(set, "length: 3", "length: long", 1)
	if _, err := c.client.Apply(t.Context(), objects(t, wrong), c.options()); err == nil || !strings.Contains(err.Error(), "Boat "+c.namespace+"/first") {
		t.Errorf("a wrong Boat: %v", err)
	}
}

func many(n int) []*unstructured.Unstructured {
	var all []*unstructured.Unstructured
	for i := range n {
		all = append(all, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "ConfigMap",
			"metadata": map[string]any{"name": fmt.Sprintf("settings-%03d", i)},
			"data":     map[string]any{"number": fmt.Sprint(i)},
		}})
	}
	return all
}

func TestThreeHundredObjects(t *testing.T) {
	c := open(t)
	if r := c.apply(c.options(), many(300)...); len(r.Created) != 300 {
		t.Errorf("created %d", len(r.Created))
	}
	pruned, err := c.client.Prune(t.Context(), many(10), c.options())
	if err != nil || len(pruned.Removed) != 290 {
		t.Errorf("pruned %d: %v", len(pruned.Removed), err)
	}
	have, err := c.client.readInventory(t.Context(), c.options())
	if err != nil || len(have.entries) != 10 {
		t.Errorf("the inventory has %d: %v", len(have.entries), err)
	}
}

func TestTwoAppliesAtOnceKeepBothInventories(t *testing.T) {
	c := open(t)
	all := many(40)
	var both errgroup.Group
	for _, part := range [][]*unstructured.Unstructured{all[:25], all[15:]} {
		both.Go(func() error {
			_, err := c.client.Apply(context.WithoutCancel(t.Context()), part, c.options())
			return err
		})
	}
	if err := both.Wait(); err != nil {
		t.Fatal(err)
	}
	have, err := c.client.readInventory(t.Context(), c.options())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range have.entries {
		names = append(names, e.Name)
		if e.UID == "" || e.UID != c.get("ConfigMap", e.Name).GetUID() {
			t.Errorf("%s has the UID %q", e.Name, e.UID)
		}
		if e.Adopted {
			t.Errorf("%s is said to have been there before", e.Name)
		}
	}
	var want []string
	for _, o := range all {
		want = append(want, o.GetName())
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}
