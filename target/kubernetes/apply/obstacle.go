package apply

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
	"sigs.k8s.io/structured-merge-diff/v6/value"
)

// A list whose items are told apart by a key, such as ports by their number, is merged
// item by item. Where somebody has changed the key, theirs is another item, and ours is
// added beside it; the server refuses both together if they have the same name. Such an
// item of theirs is an obstacle: it is told as a conflict or as drift, and goes together
// with the write that brings ours, never before it, so that nobody finds the list without
// either.

// obstacle is one list in which items of others keep ours out.
type obstacle struct {
	// list leads to it in the live object.
	list fieldpath.Path
	// theirs are the items that are in the way, and whose they are.
	theirs []theirs
	// ours are the items that they keep out, as they are written.
	ours []any
}

type theirs struct {
	item fieldpath.PathElement
	held Held
}

// collision is a field of a list's item that the server refuses.
type collision struct {
	// list are the names of the fields that lead to the list, with dots between them and
	// without which items they go through; field is the one of the item.
	list, field string
	// missing is that the field is needed once the list has several items; otherwise it
	// is one that two items have the same.
	missing bool
}

var indexes = regexp.MustCompile(`\[[^\]]*\]`)

// collisions are what an object was refused for, if all of it may be for items of others.
func collisions(err error) []collision {
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return nil
	}
	var all []collision
	for _, cause := range status.Status().Details.Causes {
		list, field, within := cutLast(cause.Field, "[")
		_, field, item := strings.Cut(field, "].")
		missing := cause.Type == metav1.CauseTypeFieldValueRequired
		if !within || !item || !missing && cause.Type != metav1.CauseTypeFieldValueDuplicate {
			return nil
		}
		all = append(all, collision{list: indexes.ReplaceAllString(list, ""), field: field, missing: missing})
	}
	return all
}

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// obstaclesTo finds what of a live object keeps a written one from being applied for
// collisions; nothing if it is not for items of others.
func obstaclesTo(written, live *unstructured.Unstructured, all []collision) []obstacle {
	var found []obstacle
	for _, list := range foreignLists(written, live) {
		for _, c := range all {
			if o, is := list.obstacle(written, live, c); is {
				found = append(found, o)
				break
			}
		}
	}
	return found
}

// foreignList is a list of a live object with the items that others have in it, and that
// are not written.
type foreignList struct {
	path  fieldpath.Path
	items []theirs
}

func foreignLists(written, live *unstructured.Unstructured) []foreignList {
	var lists []foreignList
	seen := map[string]bool{}
	for _, entry := range live.GetManagedFields() {
		if entry.Manager == Manager && entry.Operation == metav1.ManagedFieldsOperationApply {
			continue // an apply takes out what it has not any more
		}
		for path := range fieldsOf(entry).All() {
			for n, element := range path {
				item := path[:n+1]
				if element.Key == nil || seen[item.String()] {
					continue
				}
				seen[item.String()] = true
				have, there := lookup(live, item)
				if _, ours := lookup(written, item); ours || !there {
					continue
				}
				held := heldBy(ReferenceOf(live), entry)
				held.Field = path[:n].String()
				held.Live = shown(held.Object, held.Field, have.value)
				lists = listed(lists, path[:n], theirs{item: element, held: held})
			}
		}
	}
	return lists
}

func listed(lists []foreignList, path fieldpath.Path, item theirs) []foreignList {
	for i := range lists {
		if lists[i].path.Equals(path) {
			lists[i].items = append(lists[i].items, item)
			return lists
		}
	}
	return append(lists, foreignList{path: path.Copy(), items: []theirs{item}})
}

// obstacle is what of the list a collision is with.
func (l foreignList) obstacle(written, live *unstructured.Unstructured, c collision) (obstacle, bool) {
	in, there := lookup(written, l.path)
	items, is := in.value.([]any)
	if !there || !is || indexes.ReplaceAllString(strings.TrimPrefix(l.path.String(), "."), "") != c.list {
		return obstacle{}, false
	}
	o := obstacle{list: l.path}
	for _, item := range items {
		own, has := valueAt(item, c.field)
		if has == c.missing {
			continue
		}
		kept := false
		for _, t := range l.items {
			have, _ := lookup(live, append(l.path.Copy(), t.item))
			other, named := valueAt(have.value, c.field)
			if !c.missing && (!named || !same(own, other)) {
				continue
			}
			kept = true
			if !slices.ContainsFunc(o.theirs, func(known theirs) bool { return known.item.Equals(t.item) }) {
				o.theirs = append(o.theirs, t)
			}
		}
		if kept {
			o.ours = append(o.ours, item)
		}
	}
	for i := range o.theirs {
		o.theirs[i].held.Applied = shown(o.theirs[i].held.Object, o.theirs[i].held.Field, o.ours)
	}
	return o, len(o.ours) > 0
}

// valueAt is a field of an item, below others with dots between their names.
func valueAt(item any, field string) (any, bool) {
	for name := range strings.SplitSeq(field, ".") {
		fields, _ := item.(map[string]any)
		var has bool
		if item, has = fields[name]; !has {
			return nil, false
		}
	}
	return item, true
}

// held are the items in the way.
func held(all []obstacle) []Held {
	var list []Held
	for _, o := range all {
		for _, t := range o.theirs {
			list = append(list, t.held)
		}
	}
	return list
}

// told is an obstacle as a difference.
func (o obstacle) told(live *unstructured.Unstructured) Difference {
	items := make([]any, 0, len(o.theirs))
	for _, t := range o.theirs {
		have, _ := lookup(live, append(o.list.Copy(), t.item))
		items = append(items, have.value)
	}
	h := o.theirs[0].held
	return Difference{
		Object: h.Object, Change: Changed, Field: h.Field, Applied: h.Applied, Live: shown(h.Object, h.Field, items),
		Manager: h.Manager, Operation: h.Operation, Subresource: h.Subresource, At: h.Since,
	}
}

// has reports whether a path leads to one of the items in the way, or into it.
func (o obstacle) has(path fieldpath.Path) bool {
	n := len(o.list)
	return len(path) > n && path[:n].Equals(o.list) && slices.ContainsFunc(o.theirs, func(t theirs) bool { return t.item.Equals(path[n]) })
}

// listsOf are the lists in which something is in the way.
func listsOf(all []obstacle) *fieldpath.Set {
	lists := fieldpath.NewSet()
	for _, o := range all {
		lists.Insert(o.list)
	}
	return lists
}

// short is a written object without the items that are kept out.
func short(written *unstructured.Unstructured, all []obstacle) *unstructured.Unstructured {
	written = written.DeepCopy()
	for _, o := range all {
		change(written, o.list, func(items []any) []any {
			return slices.DeleteFunc(items, func(item any) bool {
				return slices.ContainsFunc(o.ours, func(ours any) bool { return same(ours, item) })
			})
		})
	}
	return written
}

// cleared is an object, live or as it would be, with our items in the place of those that
// are in the way.
func cleared(object *unstructured.Unstructured, all []obstacle) *unstructured.Unstructured {
	object = object.DeepCopy()
	for _, o := range all {
		change(object, o.list, func(items []any) []any {
			ours := slices.DeleteFunc(slices.Clone(o.ours), func(item any) bool {
				return slices.ContainsFunc(items, func(have any) bool { return o.sameKey(item, have) })
			})
			var with []any
			for _, item := range items {
				if !slices.ContainsFunc(o.theirs, func(t theirs) bool { return hasKey(item, t.item) }) {
					with = append(with, item)
					continue
				}
				with, ours = append(with, ours...), nil
			}
			return with
		})
	}
	return object
}

// sameKey reports whether two items are one for the server.
func (o obstacle) sameKey(a, b any) bool {
	x, _ := a.(map[string]any)
	y, _ := b.(map[string]any)
	return !slices.ContainsFunc(*o.theirs[0].item.Key, func(key value.Field) bool {
		return !same(keyField(x, key.Name), keyField(y, key.Name))
	})
}

// completed is an object with our items as another one has them, defaults and all.
func completed(object, by *unstructured.Unstructured, all []obstacle) *unstructured.Unstructured {
	object = object.DeepCopy()
	for _, o := range all {
		list, _ := lookup(by, o.list)
		from, _ := list.value.([]any)
		change(object, o.list, func(items []any) []any {
			for i, item := range items {
				j := slices.IndexFunc(from, func(other any) bool { return o.sameKey(item, other) })
				if j >= 0 && slices.ContainsFunc(o.ours, func(ours any) bool { return o.sameKey(item, ours) }) {
					items[i] = from[j]
				}
			}
			return items
		})
	}
	return object
}

// change puts another list in the place of one; nothing in that of an empty one.
func change(object *unstructured.Unstructured, list fieldpath.Path, f func([]any) []any) {
	last := len(list) - 1
	in, _ := lookup(object, list[:last])
	fields, is := in.value.(map[string]any)
	if !is || list[last].FieldName == nil {
		return
	}
	name := *list[last].FieldName
	items, _ := fields[name].([]any)
	if items = f(slices.Clone(items)); len(items) == 0 {
		delete(fields, name)
		return
	}
	fields[name] = items
}
