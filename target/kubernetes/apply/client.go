package apply

import (
	"context"
	"errors"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
)

// Client applies sets to one cluster. It may be used by several at once.
type Client struct {
	config *rest.Config
}

// New is a client for a cluster. It makes no request.
func New(config *rest.Config) (*Client, error) { return &Client{config: config}, nil }

// Apply brings the objects into the cluster. A *Conflict says which fields
// others own, an *Owned that an object belongs to another owner; after either
// nothing was changed.
func (c *Client) Apply(ctx context.Context, objects []*unstructured.Unstructured, o Options) (Result, error) {
	return Result{}, errors.New("not there yet")
}

// Prune removes what the inventory has and the objects have not, and says what it
// removed.
func (c *Client) Prune(ctx context.Context, objects []*unstructured.Unstructured, o Options) ([]Reference, error) {
	return nil, errors.New("not there yet")
}

// Drift says what is live otherwise than in objects, which are those that were
// applied.
func (c *Client) Drift(ctx context.Context, objects []*unstructured.Unstructured, o Options) ([]Difference, error) {
	return nil, errors.New("not there yet")
}

// Repair puts back what Drift found, and says what it did not get back.
func (c *Client) Repair(ctx context.Context, objects []*unstructured.Unstructured, found []Difference, o Options) error {
	return errors.New("not there yet")
}
