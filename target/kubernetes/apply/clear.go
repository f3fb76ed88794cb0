package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// errMoved is that an object was written to since it was looked at.
var errMoved = errors.New("it was written to meanwhile")

// clearing is a JSON patch for exactly the live object that was read: items of ours take
// the places of those that are in their way, in one write.
func clearing(live *unstructured.Unstructured, all []obstacle) []operation {
	patch := []operation{{Op: "test", Path: "/metadata/resourceVersion", Value: live.GetResourceVersion()}}
	after := cleared(live, all)
	for _, o := range all {
		list, there := lookup(after, o.list)
		if there {
			patch = append(patch, operation{Op: "replace", Path: list.pointer(), Value: list.value})
		}
	}
	return patch
}

// clear makes way for our items; dry asks the server only. It gives the object as it is
// then, or errMoved.
func (c *Client) clear(ctx context.Context, at place, live *unstructured.Unstructured, all []obstacle, dry bool, o Options) (got *unstructured.Unstructured, err error) {
	body, err := json.Marshal(clearing(live, all))
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	err = again(ctx, o.patience(), func(ctx context.Context) error {
		request := once(c.rest.Patch(types.JSONPatchType)).AbsPath(at.path(ReferenceOf(live))...).Param("fieldManager", Manager)
		if dry {
			request = request.Param("dryRun", "All")
		}
		answer, err := request.Body(body).Do(ctx).Get()
		if apierrors.IsInvalid(err) && testFailed.MatchString(err.Error()) {
			return &final{errMoved}
		}
		got, _ = answer.(*unstructured.Unstructured)
		return err
	})
	if err == nil && got == nil {
		err = errors.New("the server's answer is no object")
	}
	return got, err
}

// disown gives up what clear has written beside what the apply has: otherwise an item that
// a later set has not would stay.
func (c *Client) disown(ctx context.Context, at place, object *unstructured.Unstructured, all []obstacle, o Options) error {
	return c.amend(ctx, at, ReferenceOf(object), o, func(live *unstructured.Unstructured) ([]operation, error) {
		for i, entry := range live.GetManagedFields() {
			if entry.Manager != Manager || entry.Operation != metav1.ManagedFieldsOperationUpdate || entry.Subresource != "" {
				continue
			}
			return relinquish(i, fieldsOf(entry).RecursiveDifference(listsOf(all)))
		}
		return nil, nil
	})
}

// relinquish is the operation after which an entry of an object's managed fields has but
// those that are left.
func relinquish(entry int, left *fieldpath.Set) ([]operation, error) {
	path := fmt.Sprintf("/metadata/managedFields/%d", entry)
	if left.Empty() {
		return []operation{{Op: "remove", Path: path}}, nil
	}
	fields, err := left.ToJSON()
	return []operation{{Op: "replace", Path: path + "/fieldsV1", Value: json.RawMessage(fields)}}, err
}

// amend changes an object as it is by a JSON patch, which nobody comes between. An object
// that is gone, or no operation, is none to do.
func (c *Client) amend(ctx context.Context, at place, ref Reference, o Options, change func(live *unstructured.Unstructured) ([]operation, error)) error {
	return again(ctx, o.patience(), func(ctx context.Context) error {
		live, err := c.live(ctx, at, ref, o)
		if err != nil || live == nil {
			return err
		}
		patch, err := change(live)
		if err != nil || len(patch) == 0 {
			return err
		}
		patch = append([]operation{{Op: "test", Path: "/metadata/resourceVersion", Value: live.GetResourceVersion()}}, patch...)
		body, err := json.Marshal(patch)
		if err != nil {
			return &final{err}
		}
		err = once(c.rest.Patch(types.JSONPatchType)).AbsPath(at.path(ref)...).Param("fieldManager", Manager).Body(body).Do(ctx).Error()
		if apierrors.IsInvalid(err) && testFailed.MatchString(err.Error()) {
			// It was written to since it was read: the server has no better words.
			return &notYet{err}
		}
		return err
	})
}

// applyBeside is what applying an object comes to once way is made for it, by a dry run of
// the server.
func (r *run) applyBeside(ctx context.Context, at place, object *unstructured.Unstructured, all []obstacle) (*unstructured.Unstructured, error) {
	got, _, err := r.client.patch(ctx, at, short(object, all), patchOptions{dry: true, force: true}, r)
	if err != nil {
		return nil, err
	}
	return cleared(got, all), nil
}
