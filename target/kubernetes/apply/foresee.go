package apply

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
)

// Foreseen is what would become of one object.
type Foreseen struct {
	Object Reference
	// Before is the object as it is, nil where it is not there. After is what it
	// would be by the server's own word, or as it is written where the server cannot
	// tell yet: it needs a namespace or a definition that is not there.
	Before, After *unstructured.Unstructured
	// Taken are fields that Force would take from others.
	Taken []Held
	// Denied is why the server did not tell: this login may not ask. After is nil
	// then.
	Denied error
}

// Foresee says what Apply would do with the objects, by dry runs of the server. The
// error is the one that Apply would end with before it changes anything, beside what
// is known of the other objects; the warnings are the server's.
func (c *Client) Foresee(ctx context.Context, objects []*unstructured.Unstructured, o Options) ([]Foreseen, []string, error) {
	r, err := c.arrange(ctx, objects, o)
	if err != nil {
		return nil, nil, err
	}
	var mu sync.Mutex
	var all []Foreseen
	errs := r.each(ctx, r.objects, func(ctx context.Context, object *unstructured.Unstructured) error {
		f, err := r.foresee(ctx, object)
		if err != nil && !refusedToUs(err) {
			return err
		}
		f.Denied = err
		mu.Lock()
		defer mu.Unlock()
		all = append(all, f)
		return nil
	})
	if _, err := lines(r.entries()); err != nil {
		errs = append(errs, err)
	}
	return all, r.sorted().Warnings, conflicts(errs)
}

func (r *run) foresee(ctx context.Context, object *unstructured.Unstructured) (Foreseen, error) {
	f := Foreseen{Object: ReferenceOf(object)}
	var err error
	if f.Before, err = r.client.live(ctx, r.places.at(object), f.Object, r.options); err != nil {
		return f, err
	}
	if err := r.askOne(ctx, object); err != nil {
		return f, err
	}
	a, asked := r.answerTo(f.Object)
	if !asked {
		f.After = object
		return f, nil
	}
	if a.remakes != "" {
		r.warn(f.Object.String() + " is removed and made anew, since the pods of a Job cannot be changed")
		f.Before, f.After = nil, object
		return f, nil
	}
	r.mu.Lock()
	f.Taken = slices.DeleteFunc(slices.Clone(r.result.Taken), func(h Held) bool { return h.Object != f.Object })
	r.mu.Unlock()
	if len(a.obstacles) > 0 {
		if f.After, err = r.applyBeside(ctx, r.places.at(object), object, a.obstacles); err == nil {
			f.After = completed(f.After, a.cleared, a.obstacles)
		}
	} else {
		f.After, _, err = r.client.patch(ctx, r.places.at(object), object, patchOptions{dry: true, force: a.force}, r)
	}
	if err != nil {
		return f, fmt.Errorf("%s: %w", f.Object, told(err))
	}
	return f, nil
}

// refusedToUs reports whether a login may not ask.
func refusedToUs(err error) bool {
	return apierrors.IsForbidden(err) && accessRefused.MatchString(err.Error())
}

// ForeseeMade says what objects would be that are made and not applied, by dry runs
// of the server. One that is there already is After as it is.
func (c *Client) ForeseeMade(ctx context.Context, objects []*unstructured.Unstructured, o Options) ([]Foreseen, error) {
	o.Bare = true
	places := c.placesOf(objects)
	settled, err := places.settle(ctx, objects, o)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var all []Foreseen
	errs := each(ctx, o.parallel(), settled, func(ctx context.Context, object *unstructured.Unstructured) error {
		f := Foreseen{Object: ReferenceOf(object)}
		made, err := c.makeDry(ctx, places.at(object), object, o)
		switch {
		case absent(err):
			made, err = object, nil
		case refusedToUs(err):
			f.Denied, err = err, nil
		}
		if err != nil {
			return fmt.Errorf("%s: %w", f.Object, told(err))
		}
		f.After = made
		mu.Lock()
		defer mu.Unlock()
		all = append(all, f)
		return nil
	})
	return all, errors.Join(errs...)
}

// makeDry is an object as the server would make it.
func (c *Client) makeDry(ctx context.Context, at place, object *unstructured.Unstructured, o Options) (*unstructured.Unstructured, error) {
	body, err := json.Marshal(object.Object)
	if err != nil {
		return nil, fmt.Errorf("encode: %w", err)
	}
	path := at.path(ReferenceOf(object))
	var made *unstructured.Unstructured
	err = again(ctx, o.patience(), func(ctx context.Context) error {
		got, err := once(c.rest.Post()).AbsPath(path[:len(path)-1]...).Param("dryRun", "All").Param("fieldManager", Manager).
			SetHeader("Content-Type", "application/json").Body(body).Do(ctx).Get()
		if apierrors.IsAlreadyExists(err) {
			return &final{err}
		}
		made, _ = got.(*unstructured.Unstructured)
		return err
	})
	if apierrors.IsAlreadyExists(err) {
		return c.live(ctx, at, ReferenceOf(object), o)
	}
	return made, err
}

// Read is an object as it is, of which kind and name are given; nil where it is not
// there.
func (c *Client) Read(ctx context.Context, r Reference, o Options) (*unstructured.Unstructured, error) {
	at, err := c.place(ctx, r.kind(), o)
	if err != nil {
		return nil, err
	}
	return c.live(ctx, at, r, o)
}

// written are the parts of an object's metadata that only a server writes.
var written = []string{"managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink", "ownerReferences"}

// Changes are the fields in which an object differs, in their order: of its content,
// labels and annotations, and of nothing that only a server writes. Items of lists
// that have names are compared by these. Values of Secrets are not shown.
func Changes(object Reference, before, after *unstructured.Unstructured) []deploy.FieldForecast {
	var all []deploy.FieldForecast
	for _, p := range (differ{byName: true}).parts("", content(after), content(before)) {
		all = append(all, deploy.FieldForecast{Field: p.field, From: shown(object, p.field, p.have), To: shown(object, p.field, p.want)})
	}
	return all
}

func content(o *unstructured.Unstructured) any {
	o = o.DeepCopy()
	for _, name := range written {
		unstructured.RemoveNestedField(o.Object, "metadata", name)
	}
	delete(o.Object, "status")
	return o.Object
}

// itemsByName gives the items of a list by their names; false where they have none, or two
// have the same.
func itemsByName(list []any) (map[string]any, bool) {
	all := map[string]any{}
	for _, item := range list {
		fields, is := item.(map[string]any)
		name, has := fields["name"].(string)
		if _, twice := all[name]; !is || !has || twice {
			return nil, false
		}
		all[name] = item
	}
	return all, true
}
