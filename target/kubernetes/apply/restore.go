package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
)

// restoreAll is Repair of bare objects: each that differs is written once, with
// what the server itself makes of it. An object that no longer differs stays.
func (c *Client) restoreAll(ctx context.Context, places *places, objects []*unstructured.Unstructured, found []Difference, o Options) (Result, error) {
	var result Result
	var errs []error
	for _, object := range objects {
		ref := ReferenceOf(object)
		own := slices.DeleteFunc(slices.Clone(found), func(d Difference) bool { return d.Object.identity() != ref.identity() })
		if len(own) == 0 {
			continue
		}
		created, err := c.restore(ctx, places.at(object), object, own, o)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("repair %s: %w", ref, told(err)))
		case created:
			result.Created = append(result.Created, ref)
		default:
			result.Changed = append(result.Changed, ref)
		}
	}
	return result, errors.Join(errs...)
}

func (c *Client) restore(ctx context.Context, at place, object *unstructured.Unstructured, found []Difference, o Options) (created bool, err error) {
	ref := ReferenceOf(object)
	err = again(ctx, o.patience(), func(ctx context.Context) error {
		live, err := c.live(ctx, at, ref, o)
		switch {
		case err != nil:
			return &final{err}
		case live == nil:
			created = true
			collection := at.path(ref)
			err := c.send(ctx, once(c.rest.Post()).AbsPath(collection[:len(collection)-1]...), object)
			if apierrors.IsAlreadyExists(err) {
				return &notYet{err}
			}
			return err
		case live.GetDeletionTimestamp() != nil:
			return &notYet{errors.New("it is being removed")}
		}
		want, err := c.wanted(ctx, at, object, live, o)
		if err != nil {
			return &final{err}
		}
		// The dry run has the fields of all; who owns them stays as it is.
		strike(want, found)
		want.SetManagedFields(nil)
		want.SetResourceVersion(live.GetResourceVersion())
		return c.send(ctx, once(c.rest.Put()).AbsPath(at.path(ref)...), want)
	})
	return created, err
}

// wanted is what applying an object over the live one comes to.
func (c *Client) wanted(ctx context.Context, at place, object, live *unstructured.Unstructured, o Options) (*unstructured.Unstructured, error) {
	r := &run{client: c, options: o}
	want, _, err := c.patch(ctx, at, object, patchOptions{dry: true, force: true}, r)
	obstacles := obstaclesTo(object, live, collisions(err))
	if len(obstacles) == 0 {
		return want, err
	}
	return r.applyBeside(ctx, at, object, obstacles)
}

func (c *Client) send(ctx context.Context, request *rest.Request, object *unstructured.Unstructured) error {
	body, err := json.Marshal(object.Object)
	if err != nil {
		return &final{err}
	}
	return request.Param("fieldManager", Manager).SetHeader("Content-Type", "application/json").Body(body).Do(ctx).Error()
}

// strike takes what was added out of an object.
func strike(object *unstructured.Unstructured, differences []Difference) {
	var places []found
	for _, d := range differences {
		if f, ok := lookup(object, d.path); ok && len(d.path) > 0 && d.Change == Added {
			places = append(places, f)
		}
	}
	slices.SortFunc(places, func(a, b found) int { return slices.CompareFunc(b.tokens, a.tokens, compareTokens) })
	for _, p := range places {
		object.Object, _ = without(object.Object, p.tokens).(map[string]any)
	}
}

// without is a value less what the tokens of a JSON pointer lead to.
func without(in any, tokens []string) any {
	switch v := in.(type) {
	case map[string]any:
		if len(tokens) == 1 {
			delete(v, tokens[0])
			return v
		}
		v[tokens[0]] = without(v[tokens[0]], tokens[1:])
		return v
	case []any:
		i, err := strconv.Atoi(tokens[0])
		if err != nil || i < 0 || i >= len(v) {
			return v
		}
		if len(tokens) == 1 {
			return slices.Delete(v, i, i+1)
		}
		v[i] = without(v[i], tokens[1:])
		return v
	}
	return in
}
