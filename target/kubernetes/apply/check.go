package apply

import (
	"context"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Check says what Apply would be refused for, with its errors and without a change:
// conflicts, owners, and what else the server says to a dry run of the set. The
// Result has what Force would take, and warnings.
func (c *Client) Check(ctx context.Context, objects []*unstructured.Unstructured, o Options) (Result, error) {
	run, err := c.prepare(ctx, objects, o)
	if err != nil {
		return Result{}, err
	}
	// An inventory that no ConfigMap can hold.
	if _, err := lines(run.entries()); err != nil {
		return Result{}, err
	}
	return run.sorted(), nil
}
