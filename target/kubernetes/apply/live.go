package apply

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Live is the object of the same kind and name as it is in the cluster; nil where it
// is not there.
func (c *Client) Live(ctx context.Context, object *unstructured.Unstructured, o Options) (*unstructured.Unstructured, error) {
	places := c.placesOf([]*unstructured.Unstructured{object})
	at, err := places.of(ctx, object.GroupVersionKind(), o)
	if err != nil {
		return nil, err
	}
	return c.live(ctx, at, ReferenceOf(prepared(object, at, o)), o)
}
