package config

import (
	"fmt"
	"slices"

	"github.com/slipway-ci/slipway/deploy"
)

// strategy is a kind with its settings.
type strategy struct {
	kind deploy.Kind
	set  strategies
	// mark is where the kind is written.
	mark mark
}

func (v *strategy) read(r *reader, p place) bool {
	kind, at, ok := r.choice(p, kindNames(deploy.Kinds), &v.set)
	v.kind, v.mark = deploy.Kind(kind), at
	return ok
}

func kindNames(kinds []deploy.Kind) []string {
	list := make([]string, len(kinds))
	for i, k := range kinds {
		list[i] = string(k)
	}
	return list
}

// strategy is the environment's, if its target can do it.
func (r *reader) strategy(e *named) deploy.Strategy {
	s, at := defaultStrategy(e.name), r.at(&e.Target).mark()
	if e.Strategy != nil {
		s, at = e.Strategy.compile(), e.Strategy.mark
	}
	kind, known := r.rules.Targets[e.Target.kind]
	if !known || s.Kind == "" || slices.Contains(kind.Strategies, s.Kind) {
		return s
	}
	can := kindNames(kind.Strategies)
	if e.Strategy == nil {
		r.add(at, Error{
			Message: fmt.Sprintf("target: %s cannot do %s, the strategy where none is named", e.Target.kind, s.Kind),
			Valid:   can,
			Hint:    fmt.Sprintf("add a strategy to %s", e.name),
		})
		return s
	}
	r.add(at, Error{
		Message: fmt.Sprintf("strategy: %s cannot do %s", e.Target.kind, s.Kind),
		Valid:   can,
		Hint:    "choose a strategy that the target can do",
	})
	return s
}

// compile fills in the defaults of what is not written. What is written as
// zero stays zero: errors: 0% lets nothing pass.
func (v *strategy) compile() deploy.Strategy {
	s := deploy.Strategy{Kind: v.kind}.WithDefaults()
	switch set := v.set; {
	case set.Recreate != nil:
		put(&s.Hold, set.Recreate.Hold)
		put(&s.Errors, set.Recreate.Errors)
	case set.Rolling != nil:
		put(&s.Batch, set.Rolling.Batch)
		put(&s.Hold, set.Rolling.Hold)
		put(&s.Errors, set.Rolling.Errors)
	case set.BlueGreen != nil:
		put(&s.Keep, set.BlueGreen.Keep)
		put(&s.Errors, set.BlueGreen.Errors)
	case set.Canary != nil:
		s.Steps = set.Canary.Steps.shares(s.Steps)
		put(&s.Hold, set.Canary.Hold)
		put(&s.Errors, set.Canary.Errors)
	}
	return s
}

// put sets what is written.
func put[D, S ~int | ~int64 | ~float64](to *D, from *S) {
	if from != nil {
		*to = D(*from)
	}
}

// shares are the steps, or the default where none are written.
func (v steps) shares(def []deploy.Percent) []deploy.Percent {
	if len(v) == 0 {
		return def
	}
	out := make([]deploy.Percent, len(v))
	for i, s := range v {
		out[i] = deploy.Percent(s)
	}
	return out
}
