package apply

import (
	"context"
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Options are how a set is applied, and whose it is.
type Options struct {
	// Owner is whose the objects are, such as "shop.production": a label value of
	// at most 63 characters, the same for every release of one app to one
	// environment. Required.
	Owner string
	// Namespace is where objects go that name none, and where the inventory is.
	// Required.
	Namespace string
	// Inventory is the name of the ConfigMap that lists what was applied.
	// Required.
	Inventory string
	// Force takes fields that others own; Result.Taken says which. Without it they
	// are a *Conflict.
	Force bool
	// Unmade is that Namespace is not there yet, and is made before Apply: Check
	// leaves out what is in it.
	Unmade bool
	// Confined is for an environment that comes and goes, such as a preview. Its set
	// has nothing in other namespaces; Namespaces in it are passed over, and so are
	// definitions that are there. Other objects of the whole cluster are applied if
	// they are new or its own, and Prune removes them.
	Confined bool
	// Bare is for objects that were made by Create and Update under the name of
	// Manager and have labels of their own: no owner's label and no inventory is
	// expected of them, and Repair writes each of them in the same way, once.
	Bare bool
	// Returning is for a set that was applied before and comes back. Jobs in it are let
	// be: what they did is done. What the server refuses to change stays as it is, and
	// Result.Stayed says why. Replicas stay as an autoscaler has them.
	Returning bool
	// repairs: it is Repair that applies.
	repairs bool
	// Yield says which fields Apply takes although others own them, without Force:
	// those that others own on our behalf. Nil yields none.
	Yield func(Held) bool
	// Last says which objects Apply brings in after all others, and BeforeLast is
	// called before it does. Both nil treat all alike.
	Last       func(Reference) bool
	BeforeLast func(context.Context) error
	// Keep says what Prune leaves although the set has it not, such as Secrets that
	// an older revision refers to. Nil keeps nothing.
	Keep func(Reference) bool
	// Ignore says which differences are no drift. Nil ignores nothing.
	Ignore func(Difference) bool
	// Parallel is how many requests are under way at once; zero is 8.
	Parallel int
	// Patience is for how long one request is tried again while the server says
	// 409, 429 or 5xx or cannot be reached; zero is 30 s.
	Patience time.Duration
	// Wait is how long a namespace or a definition may take; zero is 60 s.
	Wait time.Duration
}

// validate refuses options with which nothing can be accounted for.
func (o Options) validate() error {
	if wrong := validation.IsValidLabelValue(o.Owner); o.Owner == "" || len(wrong) > 0 {
		return fmt.Errorf("the owner %q is no label value: %s", o.Owner, strings.Join(wrong, "; "))
	}
	if o.Namespace == "" || o.Inventory == "" {
		return fmt.Errorf("objects of %s need a namespace and the name of an inventory", o.Owner)
	}
	return nil
}

func (o Options) parallel() int {
	if o.Parallel <= 0 {
		return 8
	}
	return o.Parallel
}

func (o Options) patience() time.Duration {
	if o.Patience <= 0 {
		return 30 * time.Second
	}
	return o.Patience
}

func (o Options) wait() time.Duration {
	if o.Wait <= 0 {
		return time.Minute
	}
	return o.Wait
}

// Result is what Apply did, each list by namespace, kind and name.
type Result struct {
	Created, Changed, Unchanged []Reference
	// Taken are fields that Force took from others.
	Taken []Held
	// Remade are Jobs that were removed and made anew, because they cannot be changed.
	Remade []Reference
	// Stayed is what Returning let be.
	Stayed []Stayed
	// Warnings are the server's, such as that a version of a kind will go.
	Warnings []string
}

// Held is one field that another manager owns.
type Held struct {
	Object Reference
	// Field is its path, such as .spec.replicas.
	Field string
	// Manager owns it by Operation, "Apply" or "Update". Subresource is that by
	// which it was written, such as "scale", or empty.
	Manager, Operation, Subresource string
	// Since is when that manager last wrote to the object; zero if it is not known.
	Since time.Time
	// Live is an item of the list that Field is, which keeps out those of Applied: ports
	// that have one name under two numbers. Both are JSON, and empty where it is a field
	// that both have.
	Live, Applied string
}

// Change is how a field is live otherwise than it was applied.
type Change string

// The ways in which something drifts.
const (
	// Missing is an object that is not there.
	Missing Change = "missing"
	// Changed is a field with another value, Removed one without any.
	Changed Change = "changed"
	Removed Change = "removed"
	// Added is a field that the set has not, and somebody has put there.
	Added Change = "added"
)

// Difference is one field that is live otherwise than it was applied, or one
// object that is missing.
type Difference struct {
	Object Reference
	Change Change
	// Field is its path, empty where the object is missing.
	Field string
	// Applied and Live are its values in JSON, empty where there is none. Those of
	// Secrets are never given: Hidden stands for them.
	Applied, Live string
	// Manager is who changed it, empty if the cluster does not say; By and At are
	// as in Held.
	Manager, Operation, Subresource string
	At                              time.Time

	path fieldpath.Path // of what was added, for Repair
}

// Hidden stands for a value of a Secret.
const Hidden = "(hidden)"
