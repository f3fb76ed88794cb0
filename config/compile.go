package config

import (
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// compile makes the App of a document and finds the mistakes that only show
// when its parts are seen together.
func (r *reader) compile(d *document) deploy.App {
	app := deploy.App{Name: string(d.App), Build: r.build(&d.Build)}
	if d.Image != nil {
		app.Repository = string(*d.Image)
	}
	checks := r.checks(d.Checks)
	for i := range d.Environments {
		app.Environments = append(app.Environments, r.environment(d, &d.Environments[i], checks))
	}
	r.order(d.Environments, app.Environments)
	return app
}

func (r *reader) build(b *build) deploy.Build {
	out := deploy.Build{}
	if b.Base != nil {
		out.Base = string(*b.Base)
	}
	if b.Platform != nil {
		out.Platform = string(*b.Platform)
	}
	for _, a := range b.Entrypoint {
		out.Entrypoint = append(out.Entrypoint, string(a))
	}
	for i := range b.Files {
		out.Files = append(out.Files, r.copied(&b.Files[i]))
	}
	r.runnable(b)
	return out
}

// runnable refuses an image that could not run: nothing in it, or no command.
func (r *reader) runnable(b *build) {
	at, given := r.places[b]
	if !given || at.value == nil {
		return
	}
	if e := r.at(&b.Entrypoint); e.value != nil && (len(b.Entrypoint) == 0 || b.Entrypoint[0] == "") {
		r.wrong(e, "a command", "write entrypoint: [/hello], or leave it out to keep the base's")
		return
	}
	if b.Base != nil {
		return
	}
	if len(b.Files) == 0 {
		r.add(at.keyMark(), Error{
			Message: at.name + ": an image from scratch with no files is empty",
			Hint:    "add files: [{from: bin/hello, to: /hello}], or name a base",
		})
	}
	if len(b.Entrypoint) == 0 {
		r.add(at.keyMark(), Error{
			Message: at.name + ": an image from scratch has no command to run",
			Hint:    "add entrypoint: [/hello]",
		})
	}
}

func (r *reader) copied(c *copied) deploy.File {
	f := deploy.File{From: string(c.From), To: string(c.To)}
	if c.Mode != nil {
		f.Mode = fs.FileMode(*c.Mode)
	}
	if c.UID != nil {
		f.UID = int(*c.UID)
	}
	if c.GID != nil {
		f.GID = int(*c.GID)
	}
	if c.Owner == nil {
		return f
	}
	if c.UID != nil || c.GID != nil {
		r.add(r.at(c.Owner).keyMark(), Error{
			Message: "owner: uid or gid say the same",
			Hint:    "write either owner, or uid and gid",
		})
	}
	f.UID, f.GID = c.Owner.uid, c.Owner.gid
	return f
}

// checks makes the checks of one list.
func (r *reader) checks(list []check) []deploy.Check {
	var out []deploy.Check
	lines := map[checkName]int{}
	for i := range list {
		c := &list[i]
		r.oneQuestion(c)
		line, twice := lines[c.Name]
		if at := r.at(&c.Name); twice && c.Name != "" {
			r.add(at.mark(), Error{
				Message: fmt.Sprintf("name: the check in line %d is called %s, too", line, quote(string(c.Name))),
				Hint:    "give each check of a list a name of its own",
			})
		} else if at.value != nil {
			lines[c.Name] = at.mark().line
		}
		out = append(out, c.compile())
	}
	return out
}

// oneQuestion holds a check to exactly one of get and run, and expect to get.
func (r *reader) oneQuestion(c *check) {
	at, run := r.at(c), r.at(&c.Run)
	if at.value == nil {
		return
	}
	if _, isMap := asMap(at.value); !isMap {
		return
	}
	switch {
	case c.Get == nil && run.value == nil:
		r.add(at.mark(), Error{
			Message: "checks: this check asks nothing",
			Hint:    "add get with a path such as /, or run with a command such as [./smoke.sh]",
		})
	case c.Get != nil && run.value != nil:
		r.add(run.keyMark(), Error{
			Message: "run: this check has get, too",
			Hint:    "make two checks of it",
		})
	case c.Get == nil && c.Expect != nil:
		r.add(r.at(c.Expect).keyMark(), Error{
			Message: "expect: only the answer to get can be looked at",
			Hint:    "remove expect: a command passes by exit code 0",
		})
	case run.value != nil && (len(c.Run) == 0 || c.Run[0] == ""):
		if _, isList := asList(run.value); isList {
			r.wrong(run, "a command", "write it as a list such as [./smoke.sh]")
		}
	}
}

func (c *check) compile() deploy.Check {
	out := deploy.Check{
		Name:     string(c.Name),
		Timeout:  time.Duration(or(c.Timeout, limit(deploy.DefaultCheckTimeout))),
		Attempts: int(or(c.Attempts, deploy.DefaultCheckAttempts)),
		Get:      string(or(c.Get, "")),
		Expect:   string(or(c.Expect, "")),
	}
	for _, a := range c.Run {
		out.Run = append(out.Run, string(a))
	}
	return out
}

// or is what the pointer says, or else the default.
func or[T any](pointer *T, def T) T {
	if pointer == nil {
		return def
	}
	return *pointer
}

// firstGiven is the first pointer that is not nil.
func firstGiven[T any](pointers ...*T) *T {
	for _, p := range pointers {
		if p != nil {
			return p
		}
	}
	return nil
}

// order sorts the environments so that each comes after the one it names,
// otherwise as they are written.
func (r *reader) order(written environments, out []deploy.Environment) {
	index := map[string]int{}
	for i, e := range written {
		index[e.name] = i
	}
	if !r.afters(written, index) || r.cyclic(written, index) {
		return
	}
	placed := map[string]bool{"": true}
	rest := slices.Clone(out)
	for at := 0; at < len(out); at++ {
		next := slices.IndexFunc(rest, func(e deploy.Environment) bool { return placed[e.After] })
		out[at] = rest[next]
		placed[out[at].Name] = true
		rest = slices.Delete(rest, next, next+1)
	}
}

// afters finds the names in after that there are not.
func (r *reader) afters(written environments, index map[string]int) bool {
	var names []string
	for _, e := range written {
		names = append(names, e.name)
	}
	ok := true
	for i := range written {
		e := &written[i]
		if e.After == nil || *e.After == "" {
			continue
		}
		after := string(*e.After)
		if after == e.name {
			ok = r.add(r.at(e.After).mark(), Error{
				Message: fmt.Sprintf("after: %s cannot come after itself", e.name),
				Hint:    "remove after, or name the environment that a version has to pass first",
			})
		} else if _, known := index[after]; !known {
			others := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == e.name })
			ok = r.add(r.at(e.After).mark(), Error{
				Message: fmt.Sprintf("after: there is no environment %s", quote(after)),
				Valid:   others,
				Hint:    meant(after, others, "name one of this file, or remove after"),
			})
		}
	}
	return ok
}

// cyclic finds rings of after, each once.
func (r *reader) cyclic(written environments, index map[string]int) bool {
	seen := make([]int, len(written)) // in which walk, counted from 1
	bad := false
	for start := range written {
		at := start
		for seen[at] == 0 {
			seen[at] = start + 1
			if written[at].After == nil {
				break
			}
			at = index[string(*written[at].After)]
			if seen[at] == start+1 {
				r.ring(written, index, at)
				bad = true
			}
		}
	}
	return bad
}

// ring reports the cycle that goes through an environment, at its first
// environment in written order.
func (r *reader) ring(written environments, index map[string]int, through int) {
	first := through
	for at := index[string(*written[through].After)]; at != through; at = index[string(*written[at].After)] {
		first = min(first, at)
	}
	path := written[first].name
	for at := index[string(*written[first].After)]; ; at = index[string(*written[at].After)] {
		path += " after " + written[at].name
		if at == first {
			break
		}
	}
	r.add(r.at(written[first].After).mark(), Error{
		Message: "after: these environments wait for one another: " + short(path),
		Hint:    "remove one after, so that a release has somewhere to begin",
	})
}
