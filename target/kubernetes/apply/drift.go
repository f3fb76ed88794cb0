package apply

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/slipway-ci/slipway/deploy"
)

// String reads as a line for people.
func (d Difference) String() string { return d.Told().String() }

// Told is the difference in the words of all targets.
func (d Difference) Told() deploy.Difference {
	return deploy.Difference{
		Object: d.Object.String(), Change: deploy.Change(d.Change), Field: d.Field, Applied: d.Applied, Live: d.Live,
		Manager: d.Manager, Operation: d.Operation, Subresource: d.Subresource, At: d.At,
	}
}

// Drift says what is live otherwise than in objects, which are those that were
// applied: sorted, and without what Options.Ignore says. The server itself tells
// what they come to, by a dry run, so that defaults and forms of writing are no
// difference. Added are fields of the content alone, not of metadata and status,
// and not by the cluster's own controllers or a subresource: a scale by an
// autoscaler is none, and neither is a restart of pods. Jobs are not compared. Kubernetes does not
// record who removes a field.
func (c *Client) Drift(ctx context.Context, objects []*unstructured.Unstructured, o Options) ([]Difference, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	objects, err := c.Brought(ctx, objects, o)
	if err != nil {
		return nil, err
	}
	r := &run{client: c, options: o, places: c.placesOf(objects)}
	if r.objects, err = r.places.settle(ctx, objects, o); err != nil {
		return nil, err
	}
	r.objects = slices.DeleteFunc(r.objects, oneOff)
	var all []Difference
	errs := r.each(ctx, r.objects, func(ctx context.Context, object *unstructured.Unstructured) error {
		differences, err := r.differences(ctx, object)
		r.note(func() { all = append(all, differences...) })
		return err
	})
	all = slices.DeleteFunc(all, func(d Difference) bool { return autoscaled(d.Field, d.Manager, d.Subresource) })
	if o.Ignore != nil {
		all = slices.DeleteFunc(all, o.Ignore)
	}
	slices.SortFunc(all, func(a, b Difference) int {
		return cmp.Or(a.Object.compare(b.Object), cmp.Compare(a.Field, b.Field), cmp.Compare(a.Manager, b.Manager))
	})
	return all, errors.Join(errs...)
}

func (r *run) differences(ctx context.Context, object *unstructured.Unstructured) ([]Difference, error) {
	ref := ReferenceOf(object)
	live, err := r.client.live(ctx, r.places.at(object), ref, r.options)
	if err != nil {
		return nil, err
	}
	if live == nil || live.GetDeletionTimestamp() != nil {
		return []Difference{{Object: ref, Change: Missing}}, nil
	}
	applied, _, err := r.client.patch(ctx, r.places.at(object), object, patchOptions{dry: true, force: true}, r)
	obstacles := obstaclesTo(object, live, collisions(err))
	if len(obstacles) > 0 {
		applied, err = r.applyBeside(ctx, r.places.at(object), object, obstacles)
	}
	if err != nil {
		return nil, fmt.Errorf("compare %s: %w", ref, told(err))
	}
	return r.withoutDefaults(ctx, object, live, compare(ref, live, applied, obstacles)), nil
}

// compare says how a live object differs from what applying it again comes to, once way
// is made for it. What is in the way is what has become of ours, and not added.
func compare(ref Reference, live, applied *unstructured.Unstructured, obstacles []obstacle) []Difference {
	ours := fieldpath.NewSet()
	for _, entry := range applied.GetManagedFields() {
		if entry.Manager == Manager && entry.Operation == metav1.ManagedFieldsOperationApply {
			ours = ours.Union(fieldsOf(entry))
		}
	}
	differences := added(ref, live, ours.Union(listsOf(obstacles)))
	for _, o := range obstacles {
		differences = slices.DeleteFunc(differences, func(d Difference) bool { return o.has(d.path) })
		differences = append(differences, o.told(live))
	}
	seen := map[string]bool{}
	for path := range ours.Leaves().All() {
		for _, d := range compareField(ref, path, live, applied) {
			if !seen[d.Field] {
				seen[d.Field] = true
				differences = append(differences, d)
			}
		}
	}
	return differences
}

// compareField says how one field differs: where its value is a whole that has one
// owner, such as the rules of a route, in its parts.
func compareField(ref Reference, path fieldpath.Path, live, applied *unstructured.Unstructured) []Difference {
	want, ok := lookup(applied, path)
	if !ok {
		return nil
	}
	have, there := lookup(live, path)
	if there && same(want.value, have.value) {
		return nil
	}
	if there {
		var all []Difference
		by := changer(live, path)
		for _, p := range (differ{}).parts(path.String(), want.value, have.value) {
			d := Difference{Object: ref, Change: Changed, Field: p.field, Applied: shown(ref, path.String(), p.want), Live: shown(ref, path.String(), p.have)}
			all = append(all, d.by(by))
		}
		return all
	}
	// The whole item of a list is one difference, not each of its fields.
	for n := 1; n <= len(path); n++ {
		if _, ok := lookup(live, path[:n]); !ok {
			path = path[:n]
			break
		}
	}
	want, _ = lookup(applied, path)
	return []Difference{{Object: ref, Change: Removed, Field: path.String(), Applied: shown(ref, path.String(), want.value)}}
}

// part is one part of a value that differs; nothing is nil.
type part struct {
	field      string
	want, have any
}

// differ takes two values apart that are not the same.
type differ struct {
	// byName compares items of lists that have names by these, and not by their
	// places.
	byName bool
}

// parts takes two values that differ apart, as far as they have the same form.
func (d differ) parts(field string, want, have any) []part {
	if same(want, have) {
		return nil
	}
	if a, is := want.(map[string]any); is {
		if b, is := have.(map[string]any); is {
			return d.partsOfMaps(a, b, func(key string) string { return field + "." + key })
		}
	}
	a, listed := want.([]any)
	b, both := have.([]any)
	if !listed || !both {
		return []part{{field, want, have}}
	}
	if all, known := d.partsByName(field, a, b); known {
		return all
	}
	if len(a) != len(b) {
		return []part{{field, want, have}}
	}
	var all []part
	for i := range a {
		all = append(all, d.parts(fmt.Sprintf("%s[%d]", field, i), a[i], b[i])...)
	}
	return all
}

// partsByName compares lists whose items have names; what is in another order alone
// is a part as a whole.
func (d differ) partsByName(field string, a, b []any) ([]part, bool) {
	if !d.byName {
		return nil, false
	}
	x, first := itemsByName(a)
	y, second := itemsByName(b)
	if !first || !second {
		return nil, false
	}
	all := d.partsOfMaps(x, y, func(name string) string { return fmt.Sprintf("%s[name=%q]", field, name) })
	if len(all) == 0 {
		all = []part{{field, a, b}}
	}
	return all, true
}

func (d differ) partsOfMaps(a, b map[string]any, path func(key string) string) []part {
	keys := slices.Collect(maps.Keys(a))
	for key := range b {
		if _, has := a[key]; !has {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	var all []part
	for _, key := range keys {
		all = append(all, d.parts(path(key), a[key], b[key])...)
	}
	return all
}

func (d Difference) by(entry metav1.ManagedFieldsEntry) Difference {
	d.Manager, d.Operation, d.Subresource = entry.Manager, string(entry.Operation), entry.Subresource
	if entry.Time != nil {
		d.At = entry.Time.UTC()
	}
	return d
}

// changer is who owns a field and wrote last; others come before ourselves.
func changer(live *unstructured.Unstructured, path fieldpath.Path) metav1.ManagedFieldsEntry {
	var last metav1.ManagedFieldsEntry
	for _, entry := range live.GetManagedFields() {
		if !fieldsOf(entry).Has(path) {
			continue
		}
		switch {
		case last.Manager == "", last.Manager == Manager && entry.Manager != Manager:
			last = entry
		case entry.Manager == Manager:
		case last.Time.Before(entry.Time):
			last = entry
		}
	}
	return last
}

// restarted is what kubectl rollout restart writes.
const restarted = "kubectl.kubernetes.io/restartedAt"

// added are fields that others put beside ours.
func added(ref Reference, live *unstructured.Unstructured, ours *fieldpath.Set) []Difference {
	var all []Difference
	seen := map[string]bool{}
	for _, entry := range live.GetManagedFields() {
		if entry.Manager == Manager || entry.Subresource != "" || controls(entry.Manager) {
			continue
		}
		for path := range fieldsOf(entry).Leaves().All() {
			path = beside(path, ours)
			have, ok := lookup(live, path)
			if len(path) == 0 || !ok || seen[path.String()] {
				continue
			}
			seen[path.String()] = true
			d := Difference{Object: ref, Change: Added, Field: path.String(), Live: shown(ref, path.String(), have.value), path: path.Copy()}
			all = append(all, d.by(entry))
		}
	}
	return all
}

// beside is the highest part of a path that is not ours; empty if all of it is,
// or if it is none of the content.
func beside(path fieldpath.Path, ours *fieldpath.Set) fieldpath.Path {
	if len(path) == 0 || path[0].FieldName == nil || slices.Contains([]string{"metadata", "status"}, *path[0].FieldName) {
		return fieldpath.Path{}
	}
	if last := path[len(path)-1]; last.FieldName != nil && *last.FieldName == restarted {
		return fieldpath.Path{}
	}
	for n := 1; n <= len(path); n++ {
		if !covers(ours, path[:n]) {
			return path[:n]
		}
	}
	return fieldpath.Path{}
}

// controls reports whether a manager is part of the cluster's control plane,
// which completes what users write.
func controls(manager string) bool {
	return strings.HasPrefix(manager, "kube-") || manager == "kubelet" || manager == "cloud-controller-manager"
}

// longest is how much of a value is shown, in bytes.
const longest = 200

// shown is a value for people. Those of a Secret are not, whatever the field is:
// an annotation may repeat them.
func shown(ref Reference, field string, value any) string {
	if ref.Group == "" && ref.Kind == "Secret" && field != ".type" {
		return Hidden
	}
	if value == nil {
		return ""
	}
	s := text(value)
	if len(s) > longest {
		return strings.ToValidUTF8(s[:longest], "") + "…"
	}
	return s
}
