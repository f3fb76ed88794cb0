package apply

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// Pruned is what Prune did, each list by namespace, kind and name.
type Pruned struct {
	Removed []Reference
	// Left is in the inventory, and not in the set, and stays all the same.
	Left []Left
}

// Left is an object that Prune left, and why.
type Left struct {
	Object Reference
	Why    string
}

// Prune removes what the inventory has and the objects have not. It removes
// nothing outside of Options.Namespace, nothing that Options.Keep names, no
// Namespace and no definition, no PersistentVolumeClaim unless Confined, nothing whose live object is to be kept by its
// helm.sh/resource-policy, and nothing whose live object says that it is another's:
// by its label, by its UID, or, where it was there before Slipway, by
// fields that another manager owns. It returns when the server has begun to
// remove; Kubernetes ends pods within their own time.
func (c *Client) Prune(ctx context.Context, objects []*unstructured.Unstructured, o Options) (Pruned, error) {
	return c.prune(ctx, objects, o, false)
}

// ForeseePruned says what Prune would do, and changes nothing.
func (c *Client) ForeseePruned(ctx context.Context, objects []*unstructured.Unstructured, o Options) (Pruned, error) {
	return c.prune(ctx, objects, o, true)
}

func (c *Client) prune(ctx context.Context, objects []*unstructured.Unstructured, o Options, dry bool) (Pruned, error) {
	if err := o.validate(); err != nil {
		return Pruned{}, err
	}
	have, err := c.readInventory(ctx, o)
	if err != nil {
		return Pruned{}, err
	}
	var mu sync.Mutex
	var pruned Pruned
	var drop []Reference
	var errs []error
	for _, in := range superfluous(have.entries, objects, o) {
		errs = append(errs, each(ctx, o.parallel(), in, func(ctx context.Context, e entry) error {
			why, err := c.remove(ctx, e, o, dry)
			if err != nil {
				return fmt.Errorf("remove %s: %w", e.Reference, told(err))
			}
			mu.Lock()
			defer mu.Unlock()
			switch why {
			case "":
				pruned.Removed = append(pruned.Removed, e.Reference)
				drop = append(drop, e.identity())
			case gone:
				drop = append(drop, e.identity())
			default:
				pruned.Left = append(pruned.Left, Left{Object: e.Reference, Why: why})
			}
			return nil
		})...)
	}
	sorted(pruned.Removed)
	slices.SortFunc(pruned.Left, func(a, b Left) int { return a.Object.compare(b.Object) })
	if dry {
		return pruned, errors.Join(errs...)
	}
	return pruned, errors.Join(append(errs, c.delist(ctx, drop, o))...)
}

// superfluous are the entries that the set has not, by stage, the last first.
func superfluous(entries []entry, objects []*unstructured.Unstructured, o Options) [][]entry {
	in := map[Reference]bool{o.inventory().identity(): true}
	for _, object := range objects {
		r := ReferenceOf(object)
		in[r.identity()] = true
		if r.Namespace == "" {
			// The set may leave the namespace to us, as Apply does.
			r.Namespace = o.Namespace
			in[r.identity()] = true
		}
	}
	found := make([][]entry, hooks+1)
	for _, e := range entries {
		if !in[e.identity()] && (o.Keep == nil || !o.Keep(e.Reference)) {
			s := stageOf(e.Kind)
			found[s] = append(found[s], e)
		}
	}
	slices.Reverse(found)
	return found
}

// gone is why an object is not removed that is not there.
const gone = "it is not there"

// remove removes an object, or says why not. A dry one only looks.
func (c *Client) remove(ctx context.Context, e entry, o Options, dry bool) (why string, err error) {
	if why := spared(e, o); why != "" {
		return why, nil
	}
	at, err := c.place(ctx, e.kind(), o)
	var no *noKind
	if errors.As(err, &no) {
		return gone, nil // its definition was removed, and it with it
	}
	if err != nil {
		return "", err
	}
	live, err := c.live(ctx, at, e.Reference, o)
	if err != nil {
		return "", err
	}
	if live == nil || live.GetDeletionTimestamp() != nil {
		return gone, nil
	}
	if why := others(live, e, o); why != "" || dry {
		return why, nil
	}
	return "", c.delete(ctx, at, e.Reference, live.GetUID(), o)
}

// spared says why an entry is left without a look at the object.
func spared(e entry, o Options) string {
	switch {
	case shared(e.Kind):
		return "a " + e.Kind + " is never removed by pruning: with it would go all that is in it"
	case e.Group == "" && e.Kind == "PersistentVolumeClaim" && !o.Confined:
		return "its data would go with it: remove it by hand when nobody needs them"
	case e.Namespace == "" && !o.Confined:
		return "it belongs to the whole cluster"
	case e.Namespace != "" && e.Namespace != o.Namespace:
		return "it is in another namespace than " + o.Namespace
	}
	return ""
}

// annotationPolicy is by which a Helm chart says that an object is to stay.
const (
	annotationPolicy = "helm.sh/resource-policy"
	policyKeep       = "keep"
)

// others says why a live object is not ours to remove; empty if it is.
func others(live *unstructured.Unstructured, e entry, o Options) string {
	if live.GetAnnotations()[annotationPolicy] == policyKeep {
		return "its annotation " + annotationPolicy + " says " + policyKeep
	}
	switch owner := live.GetLabels()[OwnerLabel]; {
	case owner == "":
		return "its label " + OwnerLabel + " was taken off"
	case owner != o.Owner:
		return "it belongs to " + owner
	case e.UID != "" && e.UID != live.GetUID():
		return "somebody has made it anew"
	}
	for _, entry := range live.GetManagedFields() {
		if entry.Manager == Manager || entry.Subresource != "" {
			continue
		}
		// Who applies it, as we do, has it in a set of its own. Who was there before
		// us owns what it wrote.
		if entry.Operation == metav1.ManagedFieldsOperationApply || e.Adopted && ownsContent(entry) {
			return "fields of it are owned by " + author(entry.Manager, string(entry.Operation), "", heldBy(e.Reference, entry).Since)
		}
	}
	return ""
}

// ownsContent reports whether a manager owns more than metadata and status.
func ownsContent(entry metav1.ManagedFieldsEntry) bool {
	content := false
	for path := range fieldsOf(entry).All() { // which must not be left early: the library goes on, and panics
		if len(path) > 0 && path[0].FieldName != nil && *path[0].FieldName != "metadata" && *path[0].FieldName != "status" {
			content = true
		}
	}
	return content
}

// delete removes exactly the object that was looked at.
func (c *Client) delete(ctx context.Context, at place, r Reference, uid types.UID, o Options) error {
	body := fmt.Appendf(nil, `{"apiVersion":"v1","kind":"DeleteOptions","propagationPolicy":"Background","preconditions":{"uid":%q}}`, uid)
	return again(ctx, o.patience(), func(ctx context.Context) error {
		err := once(c.rest.Delete()).AbsPath(at.path(r)...).SetHeader("Content-Type", "application/json").Body(body).Do(ctx).Error()
		switch {
		case absent(err):
			return nil
		case apierrors.IsConflict(err) && uidRefused.MatchString(err.Error()):
			return &final{fmt.Errorf("it was made anew in between: %w", err)}
		}
		return err
	})
}
