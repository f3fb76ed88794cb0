package deploy

import "time"

// Prune is the rule by which old images leave a repository. A version goes where
// all of it holds; what an environment runs or can go back to stays whatever it
// says.
type Prune struct {
	// Keep is how many of the newest stay, 0 to 1000.
	Keep int
	// OlderThan is how old the others have to be, by the time that the image
	// names.
	OlderThan time.Duration
	// Pattern is one of path.Match that a version has to match; empty is every
	// version.
	Pattern string
	// Stable lets stable versions go, too, not pre-releases alone.
	Stable bool
}

// DefaultPrune is what is not said otherwise.
func DefaultPrune() Prune { return Prune{Keep: 10, OlderThan: 30 * 24 * time.Hour} }
