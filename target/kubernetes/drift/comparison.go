package drift

import (
	"cmp"
	"context"
	"errors"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/apply"
)

// Comparison is what there should be, and how it differs.
type Comparison struct {
	Left Left
	// Client compares, and puts back.
	Client *apply.Client
	// Own are objects that Slipway makes, Set those of a user's manifests that all
	// revisions share.
	Own, Set Family
	// Scaling are the autoscalers that Slipway makes.
	Scaling Family
	// Secrets are those whose object is missing, or has another value.
	Secrets []Lost
	// Astray is how a user's own Service leads to others than it should; nil where
	// it does not.
	Astray *deploy.Difference
}

func (c Comparison) families() []Family { return []Family{c.Own, c.Set, c.Scaling} }

// Restore puts back objects of Slipway's and of the user's set.
func (c Comparison) Restore(ctx context.Context) error {
	return errors.Join(c.Own.restore(ctx, c.Client), c.Set.restore(ctx, c.Client))
}

// Kinds are those of the objects that differ.
func (c Comparison) Kinds() map[string]bool {
	kinds := map[string]bool{}
	for _, f := range c.families() {
		for _, d := range f.Found {
			kinds[d.Object.Kind] = true
		}
	}
	return kinds
}

// Told are all differences in the words of all targets.
func (c Comparison) Told() []deploy.Difference {
	var all []deploy.Difference
	for _, f := range c.families() {
		for _, d := range f.Found {
			all = append(all, d.Told())
		}
	}
	for _, l := range c.Secrets {
		all = append(all, l.told())
	}
	if c.Astray != nil {
		all = append(all, *c.Astray)
	}
	slices.SortStableFunc(all, func(a, b deploy.Difference) int {
		return cmp.Or(cmp.Compare(a.Object, b.Object), cmp.Compare(a.Field, b.Field))
	})
	return all
}

// Family are objects that are compared and put back in the same way.
type Family struct {
	Options  apply.Options
	Expected []*unstructured.Unstructured
	Found    []apply.Difference
}

// Compare fills in what is found.
func (f *Family) Compare(ctx context.Context, client *apply.Client) (err error) {
	if len(f.Expected) > 0 {
		f.Found, err = client.Drift(ctx, f.Expected, f.Options)
	}
	return err
}

func (f Family) restore(ctx context.Context, client *apply.Client) error {
	if len(f.Found) == 0 {
		return nil
	}
	_, err := client.Repair(ctx, f.Expected, f.Found, f.Options)
	return err
}

// Drifted are those of the objects that were not as they should be.
func (f Family) Drifted() []*unstructured.Unstructured {
	return slices.DeleteFunc(slices.Clone(f.Expected), func(o *unstructured.Unstructured) bool {
		return !slices.ContainsFunc(f.Found, func(d apply.Difference) bool {
			return d.Object.Kind == o.GetKind() && d.Object.Name == o.GetName()
		})
	})
}

// Without are those differences that are not among others.
func Without(before, after []deploy.Difference) []deploy.Difference {
	return slices.DeleteFunc(before, func(d deploy.Difference) bool {
		return slices.ContainsFunc(after, func(a deploy.Difference) bool { return a.Object == d.Object && a.Field == d.Field })
	})
}

// By is a difference with the last of those who wrote what is meant.
func By(d deploy.Difference, entries []metav1.ManagedFieldsEntry, meant func(metav1.ManagedFieldsEntry) bool) deploy.Difference {
	for _, e := range entries {
		if !meant(e) {
			continue
		}
		d.Manager, d.Operation = e.Manager, string(e.Operation)
		if e.Time != nil {
			d.At = e.Time.UTC()
		}
	}
	return d
}
