package apply

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// named is a ConfigMap with a name of its own.
func named(t *testing.T, name string) *unstructured.Unstructured {
	t.Helper()
	o := object(t, settings1)
	o.SetName(name)
	return o
}

func (c *cluster) prune(o Options, objects ...*unstructured.Unstructured) Pruned {
	c.Helper()
	p, err := c.client.Prune(c.Context(), objects, o)
	if err != nil {
		c.Fatalf("prune: %v", err)
	}
	return p
}

func TestPruneRemovesWhatTheSetHasNoMore(t *testing.T) {
	c := open(t)
	o := c.options()
	o.Keep = func(r Reference) bool { return r.Name == "older-revision" }
	c.apply(o, named(t, "stays"), named(t, "goes"), named(t, "older-revision"))
	c.put(c.client, "someone", strings.Replace(settings1, "name: settings", "name: not-ours", 1))
	c.apply(o, named(t, "stays"))
	if p := c.prune(o, named(t, "stays")); len(p.Removed) != 1 || p.Removed[0].Name != "goes" || len(p.Left) != 0 {
		t.Errorf("pruned: %+v", p)
	}
	for name, there := range map[string]bool{"stays": true, "older-revision": true, "not-ours": true, "goes": false} {
		if got := c.get("ConfigMap", name) != nil; got != there {
			t.Errorf("%s is there: %t", name, got)
		}
	}
	if p := c.prune(o, named(t, "stays")); len(p.Removed)+len(p.Left) != 0 {
		t.Errorf("pruned again: %+v", p)
	}
	o.Keep = nil
	if p := c.prune(o, named(t, "stays")); len(p.Removed) != 1 || p.Removed[0].Name != "older-revision" {
		t.Errorf("pruned without anything to keep: %+v", p)
	}
}

func TestPruneLeavesWhatIsNotOurs(t *testing.T) {
	c := open(t)
	other := c.namespace + "-other"
	c.makeNamespace(other)
	o := c.options()
	elsewhere := named(t, "elsewhere")
	elsewhere.SetNamespace(other)
	namespace := object(t, "{apiVersion: v1, kind: Namespace, metadata: {name: "+other+"}}")

	c.put(c.client, "someone", strings.Replace(settings1, "name: settings", "name: adopted", 1))
	c.apply(o, named(t, "relabelled"), named(t, "unlabelled"), named(t, "anew"), named(t, "co-owned"), named(t, "adopted"), named(t, "gone"), elsewhere, namespace)
	c.change("ConfigMap", "relabelled", "someone", `{"metadata":{"labels":{"`+OwnerLabel+`":"blog.production"}}}`)
	c.change("ConfigMap", "unlabelled", "someone", `{"metadata":{"labels":{"`+OwnerLabel+`":null}}}`)
	c.remove("ConfigMap", "anew")
	c.remove("ConfigMap", "gone")
	c.put(c.client, "someone", strings.Replace(settings1, "{name: settings}", "{name: anew, labels: {"+OwnerLabel+": shop.production}}", 1))
	c.put(c.client, "other-tool", strings.Replace(settings1, "name: settings", "name: co-owned", 1))

	p := c.prune(o)
	if len(p.Removed) != 0 {
		t.Errorf("removed %v", p.Removed)
	}
	why := map[string]string{}
	for _, left := range p.Left {
		why[left.Object.Name] = left.Why
	}
	for name, want := range map[string]string{
		"relabelled": "it belongs to blog.production",
		"unlabelled": "was taken off",
		"anew":       "made it anew",
		"co-owned":   `owned by "other-tool"`,
		"adopted":    `owned by "someone"`,
		"elsewhere":  "another namespace",
		other:        "never removed",
	} {
		if !strings.Contains(why[name], want) {
			t.Errorf("%s is left because %q, not because of %q", name, why[name], want)
		}
	}
	if len(p.Left) != 7 {
		t.Errorf("left %+v", p.Left)
	}
}

func TestPruneKnowsAnInventoryThatIsNotOurs(t *testing.T) {
	c := open(t)
	c.put(c.client, "someone", "{apiVersion: v1, kind: ConfigMap, metadata: {name: shop-inventory}, data: {a: b}}")
	if _, err := c.client.Prune(t.Context(), nil, c.options()); err == nil || !strings.Contains(err.Error(), "belongs to somebody else") {
		t.Errorf("said %v", err)
	}
}

// What its chart says is to be kept is left, and told.
func TestPruneLeavesWhatIsToBeKept(t *testing.T) {
	c := open(t)
	o := c.options()
	kept := named(t, "kept")
	kept.SetAnnotations(map[string]string{annotationPolicy: policyKeep})
	c.apply(o, kept)
	if p := c.prune(o); len(p.Removed) != 0 || len(p.Left) != 1 || !strings.Contains(p.Left[0].Why, "keep") {
		t.Errorf("pruned: %+v", p)
	}
	if c.get("ConfigMap", "kept") == nil {
		t.Error("it is gone")
	}
}
