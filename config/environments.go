package config

import (
	"fmt"
)

// maxEnvironments is more than anybody walks one after the other.
const maxEnvironments = 100

// environments are in written order.
type environments []named

type named struct {
	name string
	key  place
	environment
}

func (v *environments) read(r *reader, p place) bool {
	pairs, ok := r.pairs(p)
	if ok && len(pairs) == 0 {
		return r.wrong(p, "at least one environment", "add one such as staging: {target: sandbox}")
	}
	if len(pairs) > maxEnvironments {
		return r.add(p.keyMark(), Error{
			Message: fmt.Sprintf("%s: expected at most %d, found %d", p.name, maxEnvironments, len(pairs)),
			Hint:    "describe other apps in files of their own",
		})
	}
	*v = make(environments, len(pairs))
	for i, q := range pairs {
		e := &(*v)[i]
		e.name, e.key = q.name, q.place()
		if !labelForm.pattern.MatchString(q.name) {
			ok = r.add(markOf(q.key), Error{
				Message: fmt.Sprintf("%s: expected %s, found %s", p.name, labelForm.expected, quote(q.name)),
				Hint:    labelHint(q.name, "choose a name such as staging or production"),
			})
		}
		at := q.place()
		at.example = short(clean(q.name)) + ": {target: sandbox}"
		ok = r.into(&e.environment, at) && ok
	}
	return ok
}
