package apply

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/slipway-ci/slipway/deploy"
)

// Conflict means that others own fields of the set with other values. Nothing
// was changed.
type Conflict struct{ Fields []Held }

// Error names each field with who owns it.
func (c *Conflict) Error() string {
	said := make([]string, 0, len(c.Fields))
	for _, f := range c.Fields {
		said = append(said, f.String())
	}
	return strings.Join(said, "\n")
}

// hint is what to do about a conflict.
const conflictHint = "leave the field out of the manifest if the other is to keep it, " +
	"have the other give it up, or take it over with force: true beside the manifests in slipway.yaml for this release; " +
	"kubectl get --show-managed-fields shows who owns what"

// String says whose a field is, and since when, or what of whom is in the way of what.
func (h Held) String() string {
	by := author(h.Manager, h.Operation, h.Subresource, h.Since)
	if h.Live != "" {
		return fmt.Sprintf("%s: %s of %s is in the way of %s in %s", h.Object, h.Live, by, h.Applied, h.Field)
	}
	return fmt.Sprintf("%s: %s is owned by %s", h.Object, h.Field, by)
}

// author reads: "kubectl-edit" (Update of scale, 2026-01-02T03:04:05Z).
func author(manager, operation, subresource string, at time.Time) string {
	said := operation
	if subresource != "" {
		said += " of " + subresource
	}
	if !at.IsZero() {
		said += ", " + at.UTC().Format(time.RFC3339)
	}
	if said = strings.TrimPrefix(said, ", "); said == "" {
		return fmt.Sprintf("%q", manager)
	}
	return fmt.Sprintf("%q (%s)", manager, said)
}

// Owned means that an object belongs to somebody else, whom Force does not
// overrule.
type Owned struct {
	Object Reference
	// Owner is the value of its label OwnerLabel.
	Owner string
}

// Error says whose it is.
func (o *Owned) Error() string {
	return fmt.Sprintf("%s belongs to %s", o.Object, o.Owner)
}

func owned(object Reference, owner string) error {
	return deploy.Hinted(&Owned{Object: object, Owner: owner},
		"give it another name, or, if it is to move, take it out of the other's set and remove its label %s", OwnerLabel)
}

// holders says who owns the fields of a conflict, by the object as it is now.
func holders(object Reference, live *unstructured.Unstructured, causes []metav1.StatusCause) []Held {
	owners := map[string][]Held{}
	if live != nil {
		for _, entry := range live.GetManagedFields() {
			if entry.Manager == Manager && entry.Operation == metav1.ManagedFieldsOperationApply {
				continue
			}
			held := heldBy(object, entry)
			for path := range fieldsOf(entry).All() {
				held.Field = path.String()
				owners[held.Field] = append(owners[held.Field], held)
			}
		}
	}
	var all []Held
	for _, cause := range causes {
		name := managerIn(cause.Message)
		i := slices.IndexFunc(owners[cause.Field], func(h Held) bool { return h.Manager == name })
		if i < 0 {
			all = append(all, Held{Object: object, Field: cause.Field, Manager: name})
			continue
		}
		all = append(all, owners[cause.Field][i])
	}
	return all
}

func heldBy(object Reference, entry metav1.ManagedFieldsEntry) Held {
	held := Held{Object: object, Manager: entry.Manager, Operation: string(entry.Operation), Subresource: entry.Subresource}
	if entry.Time != nil {
		held.Since = entry.Time.Time
	}
	return held
}

var quoted = regexp.MustCompile(`"([^"]*)"`)

// managerIn is the manager that a server's message names.
func managerIn(message string) string {
	if found := quoted.FindStringSubmatch(message); found != nil {
		return found[1]
	}
	return message
}

// fieldsOf is the set of fields of one entry; empty if it cannot be read.
func fieldsOf(entry metav1.ManagedFieldsEntry) *fieldpath.Set {
	set := fieldpath.NewSet()
	if entry.FieldsV1 == nil || set.FromJSON(bytes.NewReader(entry.FieldsV1.GetRawBytes())) != nil {
		return fieldpath.NewSet()
	}
	return set
}

// conflicts joins what several objects were refused for: all conflicts in one.
func conflicts(errs []error) error {
	var fields []Held
	var others []error
	for _, err := range errs {
		var c *Conflict
		if errors.As(err, &c) {
			fields = append(fields, c.Fields...)
			continue
		}
		others = append(others, err)
	}
	if len(fields) == 0 {
		return errors.Join(others...)
	}
	slices.SortStableFunc(fields, func(a, b Held) int { return a.Object.compare(b.Object) })
	return errors.Join(append(others, deploy.Hinted(&Conflict{Fields: fields}, "%s", conflictHint))...)
}

// live reads one object as it is; nil if it is not there.
func (c *Client) live(ctx context.Context, at place, r Reference, o Options) (*unstructured.Unstructured, error) {
	var found *unstructured.Unstructured
	err := again(ctx, o.patience(), func(ctx context.Context) error {
		got, err := once(c.rest.Get().AbsPath(at.path(r)...)).Do(ctx).Get()
		if absent(err) {
			found = nil
			return nil
		}
		found, _ = got.(*unstructured.Unstructured)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", r, err)
	}
	return found, nil
}
