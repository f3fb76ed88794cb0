package apply

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-ci/slipway/deploy"
)

// place is where objects of one kind are at the server.
type place struct {
	resource   schema.GroupVersionResource
	namespaced bool
}

// path is that of one object.
func (p place) path(r Reference) []string {
	parts := []string{"apis", p.resource.Group, p.resource.Version}
	if p.resource.Group == "" {
		parts = []string{"api", p.resource.Version}
	}
	if p.namespaced {
		parts = append(parts, "namespaces", r.Namespace)
	}
	return append(parts, p.resource.Resource, r.Name)
}

// places find out where the kinds of a set are. Those that a definition of the
// set brings are known from the definition, before the cluster has them.
type places struct {
	client *Client
	// coming are from the set's own definitions.
	coming map[schema.GroupVersionKind]place
	known  map[schema.GroupVersionKind]place
}

func (c *Client) placesOf(objects []*unstructured.Unstructured) *places {
	p := &places{client: c, coming: map[schema.GroupVersionKind]place{}, known: map[schema.GroupVersionKind]place{}}
	for _, o := range objects {
		if stageOf(o.GetKind()) == definitions {
			p.define(o)
		}
	}
	return p
}

// define reads what a CustomResourceDefinition brings.
func (p *places) define(o *unstructured.Unstructured) {
	group, _, _ := unstructured.NestedString(o.Object, "spec", "group")
	plural, _, _ := unstructured.NestedString(o.Object, "spec", "names", "plural")
	kind, _, _ := unstructured.NestedString(o.Object, "spec", "names", "kind")
	scope, _, _ := unstructured.NestedString(o.Object, "spec", "scope")
	versions, _, _ := unstructured.NestedSlice(o.Object, "spec", "versions")
	for _, v := range versions {
		version, ok := v.(map[string]any)
		if !ok {
			continue
		}
		name, _, _ := unstructured.NestedString(version, "name")
		p.coming[schema.GroupVersionKind{Group: group, Version: name, Kind: kind}] = place{
			resource:   schema.GroupVersionResource{Group: group, Version: name, Resource: plural},
			namespaced: scope == "Namespaced",
		}
	}
}

// at is where a kind is that was found before.
func (p *places) at(o *unstructured.Unstructured) place {
	if at, ok := p.coming[o.GroupVersionKind()]; ok {
		return at
	}
	return p.known[o.GroupVersionKind()]
}

// of is where a kind is. It is called by one goroutine alone.
func (p *places) of(ctx context.Context, kind schema.GroupVersionKind, o Options) (place, error) {
	if at, ok := p.coming[kind]; ok {
		return at, nil
	}
	if at, ok := p.known[kind]; ok {
		return at, nil
	}
	at, err := p.client.place(ctx, kind, o)
	if err == nil {
		p.known[kind] = at
	}
	return at, err
}

// place asks the cluster where a kind is.
func (c *Client) place(ctx context.Context, kind schema.GroupVersionKind, o Options) (place, error) {
	c.mapping.Lock()
	defer c.mapping.Unlock()
	var found *meta.RESTMapping
	err := again(ctx, o.patience(), func(ctx context.Context) (err error) {
		found, err = c.mapper.RESTMappingWithContext(ctx, kind.GroupKind(), kind.Version)
		if meta.IsNoMatchError(err) {
			return &final{&noKind{kind}}
		}
		return err
	})
	var no *noKind
	if errors.As(err, &no) {
		return place{}, deploy.Hinted(err,
			"install what brings this kind first, or put its CustomResourceDefinition into the same set; kubectl api-resources lists what is there")
	}
	if err != nil {
		return place{}, fmt.Errorf("ask the cluster for its kinds: %w", err)
	}
	return place{resource: found.Resource, namespaced: found.Scope.Name() == meta.RESTScopeNameNamespace}, nil
}

// noKind is that the cluster has no such kind.
type noKind struct{ kind schema.GroupVersionKind }

func (n *noKind) Error() string {
	return fmt.Sprintf("the cluster has no %s of %s", n.kind.Kind, n.kind.GroupVersion())
}

// settle copies the set as it goes to the cluster: each object with a namespace
// if its kind has one, with the owner's label, and without what a server writes.
func (p *places) settle(ctx context.Context, objects []*unstructured.Unstructured, o Options) ([]*unstructured.Unstructured, error) {
	settled := make([]*unstructured.Unstructured, 0, len(objects))
	var errs []error
	for _, object := range objects {
		at, err := p.of(ctx, object.GroupVersionKind(), o)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", ReferenceOf(object), err))
			continue
		}
		settled = append(settled, prepared(object, at, o))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return settled, unique(settled)
}

func prepared(object *unstructured.Unstructured, at place, o Options) *unstructured.Unstructured {
	object = object.DeepCopy()
	switch {
	case !at.namespaced:
		object.SetNamespace("")
	case object.GetNamespace() == "":
		object.SetNamespace(o.Namespace)
	}
	for _, written := range []string{"managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink"} {
		unstructured.RemoveNestedField(object.Object, "metadata", written)
	}
	unstructured.RemoveNestedField(object.Object, "status")
	encoded(object)
	if shared(object.GetKind()) || o.Bare {
		return object
	}
	labels := object.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	labels[OwnerLabel] = o.Owner
	object.SetLabels(labels)
	return object
}

// shared reports whether several apps may have an object of a kind in their
// sets. It belongs to none of them, and is never pruned: with it would go what
// others have in it.
func shared(kind string) bool {
	return kind == "Namespace" || kind == "CustomResourceDefinition"
}

// encoded moves the plain values of a Secret to where the server keeps them:
// stringData is written and never read, so that nobody could own it.
func encoded(object *unstructured.Unstructured) {
	plain, ok, err := unstructured.NestedStringMap(object.Object, "stringData")
	if object.GetKind() != "Secret" || object.GetAPIVersion() != "v1" || !ok || err != nil {
		return
	}
	data, _, err := unstructured.NestedMap(object.Object, "data")
	if err != nil {
		return // the server says what is wrong with it
	}
	if data == nil {
		data = map[string]any{}
	}
	for key, value := range plain {
		data[key] = base64.StdEncoding.EncodeToString([]byte(value))
	}
	object.Object["data"] = data
	delete(object.Object, "stringData")
}
