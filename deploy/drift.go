package deploy

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Drifter is a Target whose content others can change past Slipway, and that can
// tell what the last release brought there from what somebody has made of it.
type Drifter interface {
	// Drift says what is otherwise than the last release, or a rollout that is held
	// or watched, has left it: sorted by object and field, empty where nothing is.
	// It changes nothing. While a rollout is under way its answer means nothing.
	Drift(ctx context.Context) ([]Difference, error)
	// Repair undoes all differences, touches nothing else, and returns when what it
	// has put back is in force. It says what it has undone, also beside an error.
	// Values of secrets are in no record: secret gives that of a name, or nothing.
	Repair(ctx context.Context, secret func(name string) string) ([]Difference, error)
}

// Change is how something is otherwise than it was released.
type Change string

// The ways in which something drifts.
const (
	// DriftMissing is an object that is not there.
	DriftMissing Change = "missing"
	// DriftChanged is a field with another value, DriftRemoved one without any.
	DriftChanged Change = "changed"
	DriftRemoved Change = "removed"
	// DriftAdded is a field that was not released.
	DriftAdded Change = "added"
)

// Difference is one field that is otherwise than it was released, or one object
// that is missing.
type Difference struct {
	// Object is its kind, place and name: "Deployment shop/hello".
	Object string `json:"object"`
	Change Change `json:"change"`
	// Field is its path, such as .spec.replicas; empty where the object is missing.
	Field string `json:"field,omitempty"`
	// Applied and Live are its values in JSON, empty where there is none. Those of
	// secrets are never given.
	Applied string `json:"applied,omitempty"`
	Live    string `json:"live,omitempty"`
	// Manager is who changed it, such as "kubectl-edit", by Operation ("Apply" or
	// "Update"), and by a Subresource such as "scale" where it was one; all are
	// empty where the target does not know.
	Manager     string `json:"manager,omitempty"`
	Operation   string `json:"operation,omitempty"`
	Subresource string `json:"subresource,omitempty"`
	// At is when that manager last wrote to the object; zero if it is not known.
	At time.Time `json:"at,omitzero"`
}

// String reads as a line for people.
func (d Difference) String() string {
	if d.Change == DriftMissing {
		return d.Object + " is missing"
	}
	said := fmt.Sprintf("%s: %s was %s", d.Object, d.Field, d.Change)
	if d.Manager != "" {
		said += " by " + d.By()
	}
	switch d.Change {
	case DriftChanged:
		return said + ": " + orNothing(d.Applied) + " is now " + orNothing(d.Live)
	case DriftRemoved:
		return said + ": " + d.Applied
	}
	return said + ": " + d.Live
}

func orNothing(value string) string {
	if value == "" {
		return "nothing"
	}
	return value
}

// By is who changed it, how and when: "kubectl-edit" (Update of scale,
// 2026-01-02T03:04:05Z). It is empty where that is not known.
func (d Difference) By() string {
	if d.Manager == "" {
		return ""
	}
	var parts []string
	if d.Operation != "" {
		parts = append(parts, d.Operation)
	}
	if d.Subresource != "" {
		parts = append(parts, "of "+d.Subresource)
	}
	how := strings.Join(parts, " ")
	if !d.At.IsZero() {
		how = strings.TrimPrefix(how+", "+d.At.UTC().Format(time.RFC3339), ", ")
	}
	if how == "" {
		return fmt.Sprintf("%q", d.Manager)
	}
	return fmt.Sprintf("%q (%s)", d.Manager, how)
}

// Drift is what was found in one environment.
type Drift struct {
	// Found are the differences; none is an answer.
	Found []Difference `json:"found"`
	// Repaired: all of Found was undone.
	Repaired bool `json:"repaired"`
}
