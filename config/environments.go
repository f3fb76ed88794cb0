package config

import (
	"fmt"

	"github.com/slipway-ci/slipway/deploy"
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
		ok = r.environmentName(p, q) && ok
		at := q.place()
		at.example = short(clean(q.name)) + ": {target: sandbox}"
		ok = r.into(&e.environment, at) && ok
	}
	return r.released(p, *v) && ok
}

// environmentName holds a name to its form, and keeps those of previews free.
func (r *reader) environmentName(p place, q pair) bool {
	if !labelForm.pattern.MatchString(q.name) {
		return r.add(markOf(q.key), Error{
			Message: fmt.Sprintf("%s: expected %s, found %s", p.name, labelForm.expected, quote(q.name)),
			Hint:    labelHint(q.name, "choose a name such as staging or production"),
		})
	}
	if number, reserved := deploy.PullRequestOf(q.name); reserved {
		return r.add(markOf(q.key), Error{
			Message: fmt.Sprintf("%s: %s is the preview of pull request %d", p.name, q.name, number),
			Hint:    "choose another name; what previews are made from is the environment " + deploy.PreviewName,
		})
	}
	return true
}

// released asks for an environment besides preview.
func (r *reader) released(p place, v environments) bool {
	if len(v) != 1 || v[0].name != deploy.PreviewName {
		return true
	}
	return r.add(p.mark(), Error{
		Message: fmt.Sprintf("%s: expected at least one environment to release to, found %s alone", p.name, deploy.PreviewName),
		Hint:    "add one such as staging: {target: sandbox}",
	})
}
