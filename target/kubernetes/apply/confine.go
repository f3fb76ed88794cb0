package apply

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
)

// Brought are those of the objects that a set brings: all of them, but with
// Options.Confined no Namespace, and no definition that is there already. It reads
// each definition of such a set.
func (c *Client) Brought(ctx context.Context, objects []*unstructured.Unstructured, o Options) ([]*unstructured.Unstructured, error) {
	if !o.Confined {
		return objects, nil
	}
	var brought []*unstructured.Unstructured
	for _, object := range objects {
		switch stageOf(object.GetKind()) {
		case namespaces:
			continue
		case definitions:
			there, err := c.there(ctx, object, o)
			if err != nil {
				return nil, err
			}
			if there {
				continue
			}
		}
		brought = append(brought, object)
	}
	return brought, nil
}

// there reports whether an object of the whole cluster is there.
func (c *Client) there(ctx context.Context, object *unstructured.Unstructured, o Options) (bool, error) {
	at, err := c.place(ctx, object.GroupVersionKind(), o)
	if err != nil {
		return false, fmt.Errorf("%s: %w", ReferenceOf(object), err)
	}
	live, err := c.live(ctx, at, ReferenceOf(object), o)
	if err != nil {
		return false, told(err)
	}
	return live != nil, nil
}

// confined refuses what leaves the namespace of a set that has to stay in it.
func (r *run) confined() error {
	if !r.options.Confined {
		return nil
	}
	var errs []error
	for _, o := range r.objects {
		if n := o.GetNamespace(); n != "" && n != r.options.Namespace {
			errs = append(errs, deploy.Usage("leave its namespace out, so that each environment has its own; or leave it out of this set",
				"%s is outside of the namespace %s, which is all that this environment has", ReferenceOf(o), r.options.Namespace))
		}
	}
	return errors.Join(errs...)
}

// foreign refuses an object of the whole cluster that a confined set has and did not
// bring: with or without a conflict, it is others'.
func (r *run) foreign(ctx context.Context, o *unstructured.Unstructured) error {
	if !r.options.Confined || o.GetNamespace() != "" || shared(o.GetKind()) {
		return nil
	}
	ref := ReferenceOf(o)
	live, err := r.client.live(ctx, r.places.at(o), ref, r.options)
	if err != nil || live == nil {
		return err
	}
	owner := live.GetLabels()[OwnerLabel]
	if owner == r.options.Owner {
		return nil
	}
	if owner == "" {
		owner = "somebody else"
	}
	return deploy.Hinted(&Owned{Object: ref, Owner: owner},
		"it is of the whole cluster: give it a name of this environment's own, or leave it out of this set")
}
