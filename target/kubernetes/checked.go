package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/apply"
	"github.com/slipway-ci/slipway/target/kubernetes/bundle"
)

// unbuilt is the ID of a revision of which the image is not there yet.
const unbuilt = "000000000000"

// Accepts refuses manifests that the cluster would refuse, by a dry run, before
// anything is built: a field that somebody else owns, an object of another owner, a
// mistake. What is there by then is looked at once more before it is applied.
func (t *Target) Accepts(ctx context.Context) error {
	b := t.bundles.written
	if b == nil || b.Rollout() { // a Rollout's driver looks for itself
		return nil
	}
	options, err := t.checking(ctx)
	if err != nil {
		return err
	}
	all, err := t.appliedOf(ctx, b, unbuiltOf(b))
	if err != nil {
		return err
	}
	return t.wouldApply(ctx, all, options)
}

// unbuiltOf is the revision of which the image is not there yet.
func unbuiltOf(b *bundle.Bundle) deploy.Revision {
	return deploy.Revision{ID: unbuilt, Image: b.Unbuilt()}
}

// checking is how manifests are looked at, whose namespace may not be there.
func (t *Target) checking(ctx context.Context) (apply.Options, error) {
	options := t.applying()
	_, err := t.kube.CoreV1().Namespaces().Get(ctx, t.place.Namespace, metav1.GetOptions{})
	options.Unmade = err != nil
	return options, unless(absent, err)
}

// wouldApply asks the cluster whether it would take objects.
func (t *Target) wouldApply(ctx context.Context, all []*unstructured.Unstructured, options apply.Options) error {
	_, err := t.applier.Check(ctx, all, options)
	if err == nil || ofItsImage(err) {
		return nil
	}
	return fmt.Errorf("the manifests cannot be applied to %s; nothing was changed:\n%w", t, ofOthers(err))
}

// ofOthers marks what is for the writer of manifests to settle: a field or an object
// that somebody else has.
func ofOthers(err error) error {
	if !othersHave(err) {
		return err
	}
	return deploy.Usage(deploy.HintOf(err), "%w", err)
}

// othersHave reports whether manifests are refused because somebody else has a field
// or an object of them.
func othersHave(err error) bool {
	_, conflict := errors.AsType[*apply.Conflict](err)
	_, owned := errors.AsType[*apply.Owned](err)
	return conflict || owned
}

// ofItsImage reports whether what refuses objects may do so for the image in them,
// which is not the one that they get.
func ofItsImage(err error) bool {
	if othersHave(err) || deploy.IsUsage(err) {
		return false
	}
	return apierrors.IsForbidden(err) || strings.Contains(err.Error(), "admission webhook")
}
