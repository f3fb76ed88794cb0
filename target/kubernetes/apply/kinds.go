package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Kind is where objects of one kind go.
type Kind struct {
	Group, Resource string
	// Namespace is empty for kinds that are in none.
	Namespace string
}

// Kinds are those of a set, each once in each namespace, in the order of the
// objects. One that the cluster has not, and no definition of the set brings, is an
// error.
func (c *Client) Kinds(ctx context.Context, objects []*unstructured.Unstructured, o Options) ([]Kind, error) {
	places := c.placesOf(objects)
	var all []Kind
	var errs []error
	for _, object := range objects {
		at, err := places.of(ctx, object.GroupVersionKind(), o)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", ReferenceOf(object), err))
			continue
		}
		k := Kind{Group: at.resource.Group, Resource: at.resource.Resource}
		if at.namespaced {
			k.Namespace = object.GetNamespace()
			if k.Namespace == "" {
				k.Namespace = o.Namespace
			}
		}
		if !slices.Contains(all, k) {
			all = append(all, k)
		}
	}
	return all, errors.Join(errs...)
}
