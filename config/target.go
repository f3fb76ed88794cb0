package config

import (
	"maps"
	"reflect"
	"slices"
)

// target is a kind with its settings.
type target struct {
	kind    string
	port    *port
	cluster *kubernetes
}

func (v *target) read(r *reader, p place) bool {
	var set targets
	kind, _, ok := r.choice(p, r.targetNames(), &set)
	v.kind = kind
	if set.Sandbox != nil {
		v.port = set.Sandbox.Port
	}
	v.cluster = set.Kubernetes
	return ok
}

// targetNames are the kinds of target that may be named.
func (r *reader) targetNames() []string {
	if r.rules.Targets == nil {
		return keysOf(reflect.TypeFor[targets]()).names
	}
	return slices.Sorted(maps.Keys(r.rules.Targets))
}
