package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Repair undoes differences that Drift has found in the objects: what is missing
// or removed is put back, what was changed is taken back by force, and what was
// added is removed. It touches no object that has no difference.
func (c *Client) Repair(ctx context.Context, objects []*unstructured.Unstructured, found []Difference, o Options) (Result, error) {
	if err := o.validate(); err != nil {
		return Result{}, err
	}
	places := c.placesOf(objects)
	settled, err := places.settle(ctx, objects, o)
	if err != nil {
		return Result{}, err
	}
	if o.Bare {
		return c.restoreAll(ctx, places, settled, found, o)
	}
	var back []*unstructured.Unstructured
	for _, object := range settled {
		if slices.ContainsFunc(found, func(d Difference) bool {
			return d.Object.identity() == ReferenceOf(object).identity() && d.Change != Added
		}) {
			back = append(back, object)
		}
	}
	var result Result
	if len(back) > 0 {
		o.Force, o.repairs = true, true
		if result, err = c.Apply(ctx, back, o); err != nil {
			return result, err
		}
	}
	var errs []error
	for _, object := range settled {
		errs = append(errs, c.strip(ctx, places.at(object), ReferenceOf(object), found, o))
	}
	return result, errors.Join(errs...)
}

// strip removes from one object what others have added.
func (c *Client) strip(ctx context.Context, at place, ref Reference, differences []Difference, o Options) error {
	differences = slices.DeleteFunc(slices.Clone(differences), func(d Difference) bool {
		return d.Change != Added || d.Object.identity() != ref.identity()
	})
	if len(differences) == 0 {
		return nil
	}
	err := c.amend(ctx, at, ref, o, func(live *unstructured.Unstructured) ([]operation, error) {
		return removal(live, differences), nil
	})
	if err != nil {
		return fmt.Errorf("repair %s: %w", ref, told(err))
	}
	return nil
}

// operation is one of a JSON patch (RFC 6902).
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value,omitempty"`
}

// removal takes what was added out of the object that was read. Items of a list are
// removed from behind, so that the places of the others stay right.
func removal(live *unstructured.Unstructured, differences []Difference) []operation {
	var places []found
	for _, d := range differences {
		if f, ok := lookup(live, d.path); ok {
			places = append(places, f)
		}
	}
	slices.SortFunc(places, func(a, b found) int { return slices.CompareFunc(b.tokens, a.tokens, compareTokens) })
	var patch []operation
	for _, p := range places {
		patch = append(patch, operation{Op: "remove", Path: p.pointer()})
	}
	return patch
}

// compareTokens sorts numbers as numbers.
func compareTokens(a, b string) int {
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return slices.Compare([]byte(a), []byte(b))
}
