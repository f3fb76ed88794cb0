package apply

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-ci/slipway/deploy"
)

// oneOff reports whether an object is work that is done once. Its pods cannot be changed,
// and somebody may remove it when it is done.
func oneOff(o *unstructured.Unstructured) bool {
	gvk := o.GroupVersionKind()
	return gvk.Group == "batch" && gvk.Kind == "Job"
}

// remade is asked about a Job that the server does not let us change. It gives the UID of
// the one that is there, which is to be removed and made anew: one of ours that is over,
// where nothing else is wrong with ours than that it differs. Otherwise it gives the error.
func (r *run) remade(ctx context.Context, o *unstructured.Unstructured, refused error) (types.UID, error) {
	ref := ReferenceOf(o)
	refused = fmt.Errorf("%s: %w", ref, told(refused))
	fresh := o.DeepCopy()
	fresh.SetName("")
	fresh.SetGenerateName("slipway-")
	if _, err := r.client.makeDry(ctx, r.places.at(o), fresh, r.options); err != nil {
		return "", refused
	}
	live, err := r.client.live(ctx, r.places.at(o), ref, r.options)
	switch {
	case err != nil:
		return "", err
	case live == nil || live.GetDeletionTimestamp() != nil:
		return "", refused
	case live.GetLabels()[OwnerLabel] != r.options.Owner:
		return "", deploy.Hinted(refused, "the pods of a Job cannot be changed: remove it, or give yours another name")
	case !over(live):
		return "", deploy.Hinted(fmt.Errorf("%s is still at work, and the pods of a Job cannot be changed", ref),
			"wait until it has ended, or remove it: kubectl delete job %s -n %s", ref.Name, ref.Namespace)
	}
	return live.GetUID(), nil
}

// over reports whether a Job is at work no more, however it ended.
func over(job *unstructured.Unstructured) bool {
	conditions, _, _ := unstructured.NestedSlice(job.Object, "status", "conditions")
	for _, entry := range conditions {
		c, _ := entry.(map[string]any)
		if (c["type"] == "Complete" || c["type"] == "Failed") && c["status"] == "True" {
			return true
		}
	}
	return false
}

// removeOld removes a Job that is to be made anew, and waits until its name is free.
func (r *run) removeOld(ctx context.Context, o *unstructured.Unstructured, uid types.UID) error {
	at, ref := r.places.at(o), ReferenceOf(o)
	if err := r.client.delete(ctx, at, ref, uid, r.options); err != nil {
		return err
	}
	return again(ctx, r.options.patience(), func(ctx context.Context) error {
		live, err := r.client.live(ctx, at, ref, r.options)
		if err == nil && live != nil && live.GetUID() == uid {
			return &notYet{errors.New("the Job before it is not gone yet")}
		}
		return err
	})
}

// stays reports whether an object is let be on the way back, where the server refuses to
// change it: it is there, and nothing that it could be waited for makes it what it was.
func (r *run) stays(refused error) bool { return r.options.Returning && apierrors.IsInvalid(refused) }

// letBe notes that an object stays as it is.
func (r *run) letBe(ref Reference, why error) {
	r.note(func() {
		r.asked[ref] = answer{stays: true}
		r.result.Stayed = append(r.result.Stayed, Stayed{Object: ref, Why: why.Error()})
	})
}

// Stayed is an object that was to come back as it was, and could not.
type Stayed struct {
	Object Reference
	Why    string
}
