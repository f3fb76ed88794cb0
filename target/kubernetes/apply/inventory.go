package apply

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-ci/slipway/deploy"
)

// inventoryKey is where the ConfigMap has its list, in JSON, one entry for each
// object. 300 objects are about 40 KiB of the 1 MiB that it can hold.
const inventoryKey = "objects.json"

// entry is one object that was applied.
type entry struct {
	Reference
	// UID is empty until it was applied for the first time.
	UID types.UID `json:"uid,omitempty"`
	// Adopted is that it was there before Slipway.
	Adopted bool `json:"adopted,omitempty"`
}

// inventory is what was applied, with the ConfigMap that says so; nil if there
// is none yet.
type inventory struct {
	entries []entry
	object  *unstructured.Unstructured
}

func (i inventory) entry(r Reference) (entry, bool) {
	for _, e := range i.entries {
		if e.identity() == r.identity() {
			return e, true
		}
	}
	return entry{}, false
}

var configMaps = place{resource: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, namespaced: true}

func (o Options) inventory() Reference {
	return Reference{Version: "v1", Kind: "ConfigMap", Namespace: o.Namespace, Name: o.Inventory}
}

// readInventory gives an empty one where there is none.
func (c *Client) readInventory(ctx context.Context, o Options) (inventory, error) {
	object, err := c.live(ctx, configMaps, o.inventory(), o)
	if err != nil || object == nil {
		return inventory{}, err
	}
	if owner := object.GetLabels()[OwnerLabel]; owner != o.Owner {
		if owner == "" {
			owner = "somebody else: it has no label " + OwnerLabel
		}
		return inventory{}, owned(o.inventory(), owner)
	}
	text, _, err := unstructured.NestedString(object.Object, "data", inventoryKey)
	i := inventory{object: object}
	if err == nil {
		err = json.Unmarshal([]byte(text), &i.entries)
	}
	if err != nil {
		return inventory{}, deploy.Hinted(fmt.Errorf("%s cannot be read: %w", o.inventory(), err),
			"somebody has changed it; delete it, then nothing that was applied before is pruned")
	}
	return i, nil
}

// entries are those of a run, with what is known of each so far.
func (r *run) entries() []entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]entry, 0, len(r.objects))
	for _, o := range r.objects {
		ref := ReferenceOf(o)
		all = append(all, entry{Reference: ref, UID: r.uids[ref], Adopted: r.asked[ref].there})
	}
	return all
}

// enlist puts entries into the inventory. What others have put in meanwhile
// stays: it is written by compare-and-swap.
func (c *Client) enlist(ctx context.Context, add []entry, o Options) error {
	return c.rewrite(ctx, o, func(have []entry) []entry {
		for _, e := range add {
			i := slices.IndexFunc(have, func(h entry) bool { return h.identity() == e.identity() })
			if i < 0 {
				have = append(have, e)
				continue
			}
			if e.UID == "" || e.UID == have[i].UID {
				e.UID, e.Adopted = have[i].UID, have[i].Adopted
			}
			have[i] = e
		}
		return have
	})
}

// delist takes entries out.
func (c *Client) delist(ctx context.Context, drop []Reference, o Options) error {
	if len(drop) == 0 {
		return nil
	}
	return c.rewrite(ctx, o, func(have []entry) []entry {
		return slices.DeleteFunc(have, func(h entry) bool { return slices.Contains(drop, h.identity()) })
	})
}

// rewrite changes the inventory; where nothing changes nothing is written.
func (c *Client) rewrite(ctx context.Context, o Options, change func([]entry) []entry) error {
	err := again(ctx, o.patience(), func(ctx context.Context) error {
		have, err := c.readInventory(ctx, o)
		if err != nil {
			return &final{err}
		}
		want := change(slices.Clone(have.entries))
		slices.SortFunc(want, func(a, b entry) int { return a.compare(b.Reference) })
		if slices.Equal(want, have.entries) && have.object != nil {
			return nil
		}
		err = c.write(ctx, have.object, want, o)
		if apierrors.IsAlreadyExists(err) {
			return &notYet{err}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("write %s: %w", o.inventory(), err)
	}
	return nil
}

// write creates the inventory, or writes over the one that was read.
func (c *Client) write(ctx context.Context, over *unstructured.Unstructured, entries []entry, o Options) error {
	text, err := lines(entries)
	if err != nil {
		return &final{err}
	}
	object := over.DeepCopy()
	request := once(c.rest.Put()).AbsPath(configMaps.path(o.inventory())...)
	if over == nil {
		object = &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}}
		object.SetName(o.Inventory)
		object.SetNamespace(o.Namespace)
		object.SetLabels(map[string]string{OwnerLabel: o.Owner, "app.kubernetes.io/managed-by": Manager})
		collection := configMaps.path(o.inventory())
		request = once(c.rest.Post()).AbsPath(collection[:len(collection)-1]...)
	}
	object.SetManagedFields(nil)
	if err := unstructured.SetNestedField(object.Object, map[string]any{inventoryKey: text}, "data"); err != nil {
		return &final{err}
	}
	body, err := json.Marshal(object.Object)
	if err != nil {
		return &final{err}
	}
	return request.Param("fieldManager", Manager).SetHeader("Content-Type", "application/json").Body(body).Do(ctx).Error()
}

// lines is a list in JSON with a line for each entry, for people who look at it.
func lines(entries []entry) (string, error) {
	text := []byte("[")
	for i, e := range entries {
		line, err := json.Marshal(e)
		if err != nil {
			return "", err
		}
		if i > 0 {
			text = append(text, ',')
		}
		text = append(append(text, '\n'), line...)
	}
	if text = append(text, "\n]\n"...); len(text) > 900<<10 {
		return "", deploy.Hinted(fmt.Errorf("the inventory of %d objects is too large for a ConfigMap", len(entries)), "divide the app")
	}
	return string(text), nil
}
