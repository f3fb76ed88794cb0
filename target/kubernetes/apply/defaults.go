package apply

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// withoutDefaults leaves out what was added as the server itself would have: who makes an
// object by a write that is no apply owns the defaults, too. The server is asked, by a dry
// run, for what it makes of the object under a name that is free; where it makes none,
// nothing is known to be a default.
func (r *run) withoutDefaults(ctx context.Context, object, live *unstructured.Unstructured, differences []Difference) []Difference {
	if !slices.ContainsFunc(differences, func(d Difference) bool { return d.Change == Added }) {
		return differences
	}
	fresh := object.DeepCopy()
	fresh.SetName("")
	fresh.SetGenerateName("slipway-")
	made, err := r.client.makeDry(ctx, r.places.at(object), fresh, r.options)
	if err != nil || made == nil {
		return differences
	}
	return slices.DeleteFunc(differences, func(d Difference) bool {
		have, there := lookup(live, d.path)
		byDefault, known := lookup(made, d.path)
		return d.Change == Added && there && known && same(have.value, byDefault.value)
	})
}
