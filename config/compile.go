package config

import (
	"fmt"
	"io/fs"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/slipway-ci/slipway/deploy"
)

// compile makes the App of a document and finds the mistakes that only show
// when its parts are seen together.
func (r *reader) compile(d *document) deploy.App {
	app := deploy.App{Name: string(d.App), Build: r.build(&d.Build), Login: r.login(d), Versioning: r.versioning(d), Tags: r.floating(d), Prune: r.prune(d), Mirrors: d.Mirrors}
	for _, o := range d.ReleasedFrom {
		app.ReleasedFrom = append(app.ReleasedFrom, string(o))
	}
	if d.Image != nil {
		app.Repository = string(*d.Image)
	}
	checks := r.checks(d.Checks)
	var walked environments
	for i := range d.Environments {
		e := &d.Environments[i]
		made := r.environment(d, e, checks)
		if e.name == deploy.PreviewName {
			app.Preview = r.preview(e, made)
			continue
		}
		walked, app.Environments = append(walked, *e), append(app.Environments, made)
	}
	newWalk(r, walked).order(app.Environments)
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
	if r.oneWay(b) {
		r.elsewhere(b, &out)
		return out
	}
	r.runnable(b)
	return out
}

// runnable refuses an image that could not run: nothing in it, or no command.
func (r *reader) runnable(b *build) {
	at := r.at(b)
	if _, isMap := at.value.(ast.MapNode); !isMap {
		return
	}
	if r.misread[b] && b.Base == nil && r.at(&b.Files).value == nil && r.at(&b.Entrypoint).value == nil {
		return // what is misspelt may be the way to the image
	}
	if r.good(&b.Entrypoint) {
		r.program(&b.Entrypoint, b.Entrypoint)
	}
	if b.Base != nil {
		return
	}
	if r.at(&b.Files).value == nil || r.good(&b.Files) && len(b.Files) == 0 {
		r.add(at.keyMark(), Error{
			Message: at.name + ": an image from scratch with no files is empty",
			Hint:    "add " + examples["files"] + ", or name a base",
		})
	}
	if r.at(&b.Entrypoint).value == nil {
		r.add(at.keyMark(), Error{
			Message: at.name + ": an image from scratch has no command to run",
			Hint:    "add " + examples["entrypoint"],
		})
	}
}

// program refuses a command that names none.
func (r *reader) program(pointer any, command []argument) {
	at := r.at(pointer)
	switch {
	case len(command) == 0:
		r.wrong(at, "a command", "")
	case command[0] == "":
		r.add(r.at(&command[0]).mark(), Error{
			Message: at.name + ": the first entry is the program, and it is empty",
			Hint:    at.shown(),
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
			Message: "owner: uid or gid is given, too",
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
	if _, isMap := at.value.(ast.MapNode); !isMap {
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
	case r.good(&c.Run):
		r.program(&c.Run, c.Run)
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
