package apply

// Conflict means that others own fields of the set. Nothing was changed.
type Conflict struct{ Fields []Held }

// Owned means that an object belongs to somebody else.
type Owned struct {
	Object Reference
	// Owner is the value of the label OwnerLabel, empty if there is none.
	Owner string
}
