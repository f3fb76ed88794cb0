package apply

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"

	"github.com/slipway-ci/slipway/internal/clustertest"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// cluster is the real one that these tests work on, in a namespace of their own.
type cluster struct {
	*testing.T
	config    *rest.Config
	client    *Client
	namespace string
}

func open(t *testing.T) *cluster {
	t.Helper()
	config := clustertest.Config(t)
	client, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	return &cluster{T: t, config: config, client: client, namespace: clustertest.Namespace(t)}
}

func (c *cluster) makeNamespace(name string) {
	c.Helper()
	c.put(c.client, "someone", fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s}}", name))
	c.forget("Namespace", name)
}

// forget removes an object of the whole cluster when the test is over.
func (c *cluster) forget(kind, name string) {
	ref := Reference{Version: "v1", Kind: kind, Name: name}
	if kind == "CustomResourceDefinition" {
		ref.Group = "apiextensions.k8s.io"
	}
	client := c.client // a proxy in front of it is gone by then
	c.Cleanup(func() {
		ctx := context.Background()
		at, err := client.place(ctx, ref.kind(), Options{})
		if err == nil {
			live, _ := client.live(ctx, at, ref, Options{})
			if live != nil {
				err = client.delete(ctx, at, ref, live.GetUID(), Options{})
			}
		}
		if err != nil {
			c.Errorf("clean up %s: %v", ref, err)
		}
	})
}

func (c *cluster) options() Options {
	return Options{Owner: "shop.production", Namespace: c.namespace, Inventory: "shop-inventory", Patience: time.Minute}
}

func (c *cluster) apply(o Options, objects ...*unstructured.Unstructured) Result {
	c.Helper()
	r, err := c.client.Apply(c.Context(), objects, o)
	if err != nil {
		c.Fatalf("apply: %v", err)
	}
	return r
}

// put applies as somebody else does.
func (c *cluster) put(client *Client, manager, text string, force ...string) {
	c.Helper()
	for _, o := range objects(c.T, text) {
		c.patch(client, o, types.ApplyPatchType, manager, []byte(text), "force", strings.Join(append(force, "false")[:1], ""))
	}
}

// change merges as somebody else does, by a write that is no apply.
func (c *cluster) change(kind, name, manager, merge string) {
	c.Helper()
	o := &unstructured.Unstructured{Object: map[string]any{}}
	o.SetGroupVersionKind(map[string]schema.GroupVersionKind{
		"ConfigMap":  {Version: "v1", Kind: "ConfigMap"},
		"Secret":     {Version: "v1", Kind: "Secret"},
		"Service":    {Version: "v1", Kind: "Service"},
		"Deployment": {Group: "apps", Version: "v1", Kind: "Deployment"},
	}[kind])
	o.SetName(name)
	c.patch(c.client, o, types.StrategicMergePatchType, manager, []byte(merge))
}

func (c *cluster) patch(client *Client, o *unstructured.Unstructured, as types.PatchType, manager string, body []byte, param ...string) {
	c.Helper()
	at, err := client.place(c.Context(), o.GroupVersionKind(), Options{})
	if err != nil {
		c.Fatal(err)
	}
	o = prepared(o, at, c.options())
	err = again(c.Context(), time.Minute, func(ctx context.Context) error {
		r := once(client.rest.Patch(as)).AbsPath(at.path(ReferenceOf(o))...).Param("fieldManager", manager)
		for i := 0; i+1 < len(param); i += 2 {
			r = r.Param(param[i], param[i+1])
		}
		return r.Body(body).Do(ctx).Error()
	})
	if err != nil {
		c.Fatalf("%s writes %s: %v", manager, ReferenceOf(o), err)
	}
}

// get is an object as it is; nil if it is not there or being removed.
func (c *cluster) get(kind, name string) *unstructured.Unstructured {
	c.Helper()
	group, version, short := "", "v1", kind
	if i := strings.LastIndex(kind, "/"); i >= 0 {
		group, short = kind[:i], kind[i+1:]
	}
	ref := Reference{Group: group, Version: version, Kind: short, Namespace: c.namespace, Name: name}
	at, err := c.client.place(c.Context(), ref.kind(), Options{})
	if err != nil {
		c.Fatal(err)
	}
	o, err := c.client.live(c.Context(), at, ref, Options{})
	if err != nil {
		c.Fatal(err)
	}
	if o != nil && o.GetDeletionTimestamp() != nil {
		return nil
	}
	return o
}

func (c *cluster) remove(kind, name string) {
	c.Helper()
	o := c.get(kind, name)
	at, err := c.client.place(c.Context(), o.GroupVersionKind(), Options{})
	if err == nil {
		err = c.client.delete(c.Context(), at, ReferenceOf(o), o.GetUID(), Options{})
	}
	if err != nil && !apierrors.IsNotFound(err) {
		c.Fatal(err)
	}
}

// objects are the documents of a text in YAML, divided by "---".
func objects(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	var all []*unstructured.Unstructured
	for _, document := range strings.Split(text, "\n---\n") {
		o := &unstructured.Unstructured{}
		if err := yaml.Unmarshal([]byte(document), &o.Object); err != nil {
			t.Fatalf("%v in:\n%s", err, document)
		}
		all = append(all, o)
	}
	return all
}

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	return objects(t, text)[0]
}

func field(t *testing.T, o *unstructured.Unstructured, path ...string) string {
	t.Helper()
	if o == nil {
		t.Fatalf("there is no object to have %v", path)
	}
	s, _, err := unstructured.NestedFieldNoCopy(o.Object, path...)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(s)
}
