package deploy

import (
	"fmt"
	"strings"
)

// Origin is the repository on GitHub that a run belongs to; its zero value is a
// run elsewhere.
type Origin struct {
	// Repository is owner/name.
	Repository string `json:"repository,omitempty"`
	// ID is the number that GitHub gave it, which stays when it is renamed or
	// transferred; empty where the runner does not tell it.
	ID string `json:"id,omitempty"`
}

// Known reports whether a repository is named.
func (o Origin) Known() bool { return o.Repository != "" }

// Is reports whether both are one repository: by its name, in which GitHub does
// not tell capitals from small letters, or by its number.
func (o Origin) Is(other Origin) bool {
	return strings.EqualFold(o.Repository, other.Repository) || o.ID != "" && o.ID == other.ID
}

// Foreign means that an environment has what another repository has released
// under the same name.
type Foreign struct {
	App, Environment string
	// Holder is the run that has released it, and From the repository of the run
	// that is refused.
	Holder Owner
	From   Origin
}

// Error says who holds the name, and by which run.
func (f *Foreign) Error() string {
	by := f.Holder.Origin.Repository
	if f.Holder.URL != "" {
		by += " (" + f.Holder.URL + ")"
	}
	return fmt.Sprintf("%s of %s was released by %s, and this run is of %s", f.Environment, f.App, by, f.From.Repository)
}
