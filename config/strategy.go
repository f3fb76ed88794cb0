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
	kind, at, ok := r.choice(p, wordsOf(deploy.Kinds), &v.set)
	v.kind, v.mark = deploy.Kind(kind), at
	return ok
}

// strategy is the environment's, if its target can do it.
func (r *reader) strategy(e *named) deploy.Strategy {
	s, at := defaultStrategy(e.name), r.at(&e.Target).mark()
	if e.Strategy != nil {
		s, at = e.Strategy.compile(), e.Strategy.mark
		r.approvable(e.Strategy, s.Steps)
		r.beside(e.Strategy, s)
	}
	kind, known := r.rules.Targets[e.Target.kind]
	if !known || s.Kind == "" || slices.Contains(kind.Strategies, s.Kind) {
		return s
	}
	can := wordsOf(kind.Strategies)
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
	s := deploy.Strategy{Kind: v.kind, Written: deploy.Written{Kind: true}}
	if v.set.Canary != nil && v.set.Canary.Pace != nil {
		s.Pace = deploy.Pace(*v.set.Canary.Pace)
	}
	s = s.WithDefaults()
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
		set.BlueGreen.Bake.into(&s)
		put(&s.Errors, set.BlueGreen.Errors)
		s.Approve = percents(set.BlueGreen.Approve)
	case set.Canary != nil:
		if len(set.Canary.Steps) > 0 {
			s.Steps, s.Written.Steps = percents(set.Canary.Steps), true
		}
		if set.Canary.Baseline != nil {
			s.Baseline = deploy.Baseline(*set.Canary.Baseline)
		}
		put(&s.Hold, set.Canary.Hold)
		set.Canary.Bake.into(&s)
		put(&s.Errors, set.Canary.Errors)
		s.Approve = percents(set.Canary.Approve)
	}
	return s
}

// put sets what is written.
func put[D, S ~int | ~int64 | ~float64](to *D, from *S) {
	if from != nil {
		*to = D(*from)
	}
}

// percents are what is written as the deployment knows it; nil for none.
func percents[T ~float64](list []T) []deploy.Percent {
	if len(list) == 0 {
		return nil
	}
	out := make([]deploy.Percent, len(list))
	for i, p := range list {
		out[i] = deploy.Percent(p)
	}
	return out
}

// approvable holds the shares at which a person is asked to those that the
// strategy stops at before all users have the new version.
func (r *reader) approvable(v *strategy, steps []deploy.Percent) {
	switch set := v.set; {
	case set.BlueGreen != nil:
		r.stopsAt(set.BlueGreen.Approve, []deploy.Percent{0}, "write 0%: after it, all users are switched at once")
	case set.Canary != nil:
		if at := r.at(&set.Canary.Steps); at.value != nil && !r.good(&set.Canary.Steps) {
			return // what is valid is not known
		}
		stops := append([]deploy.Percent{0}, steps[:len(steps)-1]...)
		r.stopsAt(set.Canary.Approve, stops, "choose 0%, before the first user, or a step below 100%")
	}
}

// beside refuses a baseline that no step leaves any users for.
func (r *reader) beside(v *strategy, s deploy.Strategy) {
	if s.Baseline != deploy.BaselineFresh || s.Steps[0] < 100 {
		return
	}
	r.add(r.at(v.set.Canary.Baseline).keyMark(), Error{
		Message: "baseline: no step leaves users for it: the first one is 100%",
		Hint:    "add a step below 100%, such as steps: [10%, 100%], or remove baseline",
	})
}

// stopsAt refuses approvals at other shares than these.
func (r *reader) stopsAt(list approvals, stops []deploy.Percent, hint string) {
	valid := make([]string, len(stops))
	for i, s := range stops {
		valid[i] = s.String()
	}
	for i := range list {
		if at := deploy.Percent(list[i]); r.good(&list[i]) && !slices.Contains(stops, at) {
			r.add(r.at(&list[i]).mark(), Error{
				Message: fmt.Sprintf("approve: the rollout does not stop at %s", at),
				Valid:   valid,
				Hint:    hint,
			})
		}
	}
}
