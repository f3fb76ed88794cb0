package deploy

import (
	"context"
	"fmt"
)

// Forecaster is a Target that can tell what would become of its objects.
type Forecaster interface {
	// Forecast says what bringing the candidate in would make of the objects there,
	// as they are at the moment. It changes nothing, and needs no right that a
	// release has not. What a release would be refused for is an error, beside what
	// is known of the rest.
	Forecast(ctx context.Context, candidate Revision) (Forecast, error)
}

// Forecast is what would become of the objects of an environment.
type Forecast struct {
	// Objects that would be made, changed or removed, sorted by name.
	Objects []ObjectForecast `json:"objects"`
	// Unchanged is how many would stay as they are.
	Unchanged int `json:"unchanged"`
	// Unknown are objects of which the target could not tell, and why, a sentence
	// each. Warnings are those of the target itself.
	Unknown  []string `json:"unknown,omitempty"`
	Warnings []string `json:"warnings,omitempty"`
}

// Fate is what becomes of an object.
type Fate string

// The fates.
const (
	FateMade    Fate = "made"
	FateChanged Fate = "changed"
	FateRemoved Fate = "removed"
)

// ObjectForecast is what would become of one object.
type ObjectForecast struct {
	// Object is its kind, place and name: "ConfigMap shop/settings". One that each
	// revision has of its own is compared with that of the live revision.
	Object string `json:"object"`
	Fate   Fate   `json:"fate"`
	// Fields that would change, of one that would; none of others.
	Fields []FieldForecast `json:"fields,omitempty"`
	// Taken are fields that others own and that would be taken over from them, a
	// sentence each.
	Taken []string `json:"taken,omitempty"`
}

// FieldForecast is one field that would change.
type FieldForecast struct {
	// Field is its path, such as .data.HOST.
	Field string `json:"field"`
	// From and To are its values in JSON, empty where there is none. Those of
	// secrets are never given.
	From string `json:"from,omitempty"`
	To   string `json:"to,omitempty"`
}

// String reads as a line for people.
func (f FieldForecast) String() string {
	switch {
	case f.From == "":
		return fmt.Sprintf("%s: added %s", f.Field, f.To)
	case f.To == "":
		return fmt.Sprintf("%s: removed %s", f.Field, f.From)
	case f.From == f.To: // hidden
		return f.Field + ": changed " + f.To
	}
	return fmt.Sprintf("%s: %s → %s", f.Field, f.From, f.To)
}
