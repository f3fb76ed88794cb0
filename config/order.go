package config

import (
	"fmt"
	"slices"

	"github.com/slipway-ci/slipway/deploy"
)

// walk is the way of a release through the environments.
type walk struct {
	reader  *reader
	written environments
	index   map[string]int
}

func newWalk(r *reader, written environments) walk {
	w := walk{reader: r, written: written, index: map[string]int{}}
	for i, e := range written {
		w.index[e.name] = i
	}
	return w
}

// order sorts the environments so that each comes after the one it names,
// otherwise as they are written.
func (w walk) order(out []deploy.Environment) {
	ok := true
	for i := range w.written {
		ok = w.follows(&w.written[i]) && ok
	}
	if rings := w.rings(); rings || !ok {
		return // there is no order
	}
	placed := map[string]bool{"": true}
	rest := slices.Clone(out)
	for at := range out {
		next := slices.IndexFunc(rest, func(e deploy.Environment) bool { return placed[e.After] })
		out[at] = rest[next]
		placed[out[at].Name] = true
		rest = slices.Delete(rest, next, next+1)
	}
}

// follows holds an environment to name another one in after, or none.
func (w walk) follows(e *named) bool {
	if e.After == nil {
		return true
	}
	if !w.reader.good(e.After) {
		return false
	}
	after, at := string(*e.After), w.reader.at(e.After).mark()
	if after == e.name {
		return w.reader.add(at, Error{
			Message: fmt.Sprintf("after: %s cannot come after itself", e.name),
			Hint:    "remove after, or name the environment that a version has to pass first",
		})
	}
	if _, known := w.index[after]; !known {
		return w.reader.add(at, w.noSuch(after, e.name))
	}
	return true
}

// isPreview reports whether a name is that of the pattern or of a preview.
func isPreview(name string) bool {
	_, made := deploy.PullRequestOf(name)
	return made || name == deploy.PreviewName
}

// noSuch is the mistake of one environment to come after another that there is
// not.
func (w walk) noSuch(after, of string) Error {
	var others []string
	for _, e := range w.written {
		if e.name != of {
			others = append(others, e.name)
		}
	}
	hint := "add " + after + " to environments, or remove after"
	if len(others) > 0 {
		hint = meant(after, others, "name one of this file, or remove after")
	}
	if isPreview(after) {
		return Error{
			Message: fmt.Sprintf("after: %s belongs to pull requests, a release does not pass it", after),
			Valid:   others,
			Hint:    "name an environment that releases pass, or remove after",
		}
	}
	return Error{
		Message: fmt.Sprintf("after: there is no environment %s", quote(after)),
		Valid:   others,
		Hint:    hint,
	}
}

// before is the environment that one comes after; false for none, and where
// follows found a mistake.
func (w walk) before(i int) (int, bool) {
	e := &w.written[i]
	if e.After == nil || !w.reader.good(e.After) {
		return 0, false
	}
	at, known := w.index[string(*e.After)]
	return at, known && at != i
}

// rings reports environments that wait for one another, each ring once.
func (w walk) rings() bool {
	seen := make([]int, len(w.written)) // from which start, counted from 1
	found := false
	for start := range w.written {
		at, more := start, true
		for more && seen[at] == 0 {
			seen[at] = start + 1
			if at, more = w.before(at); more && seen[at] == start+1 {
				w.ring(at)
				found = true
			}
		}
	}
	return found
}

// ring reports the ring that goes through an environment, at its first
// environment in written order.
func (w walk) ring(through int) {
	members := []int{through}
	for at, _ := w.before(through); at != through; at, _ = w.before(at) {
		members = append(members, at)
	}
	first := slices.Index(members, slices.Min(members))
	path := w.written[members[first]].name
	for i := range members {
		path += " after " + w.written[members[(first+1+i)%len(members)]].name
	}
	w.reader.add(w.reader.at(w.written[members[first]].After).mark(), Error{
		Message: "after: these environments wait for one another: " + short(path),
		Hint:    "remove one after, so that a release has somewhere to begin",
	})
}
