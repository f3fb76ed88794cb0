package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/slipway-ci/slipway/action"
	"github.com/slipway-ci/slipway/config"
	"github.com/slipway-ci/slipway/deploy"
)

// ended is an error with the outcome that decides the exit code.
type ended struct {
	err     error
	outcome deploy.Outcome
	// shown says that a reporter has printed it already.
	shown bool
}

func (e *ended) Error() string { return e.err.Error() }

func (e *ended) Unwrap() error { return e.err }

func exitCode(err error) int {
	if deploy.IsUsage(err) {
		return deploy.ExitUsage
	}
	if e, ok := errors.AsType[*ended](err); ok {
		if code := e.outcome.ExitCode(); code != 0 {
			return code
		}
		// Users have the new version, and a task after it has failed.
	}
	return deploy.Failed.ExitCode()
}

// complain prints an error with its hint, once.
func (c *CLI) complain(err error) {
	if err == nil {
		return
	}
	if e, ok := errors.AsType[*ended](err); ok && e.shown {
		return
	}
	if c.runner.Present() {
		c.annotate(err)
		return
	}
	for i, one := range each(err) {
		if _, ok := errors.AsType[*config.Error](one); ok {
			_, _ = fmt.Fprint(c.Stderr, strings.Repeat("\n", min(i, 1)), one, "\n")
			continue
		}
		_, _ = fmt.Fprintf(c.Stderr, "slipway: %s%s\n", one, withHint(one))
	}
}

// annotate shows an error at the run, and mistakes in the file at their lines.
// The steps after this one learn that it has failed.
func (c *CLI) annotate(err error) {
	for _, one := range each(err) {
		a := action.Annotation{Level: action.LevelError, Title: "Slipway", Message: one.Error() + withHint(one)}
		if m, ok := errors.AsType[*config.Error](one); ok {
			a.Message = m.Message + withValid(m)
			a.File, a.Line, a.Column = c.inWorkspace(m.File), m.Line, m.Column
		}
		c.runner.Annotate(a)
	}
	if err := c.runner.SetOutput(action.OutputOutcome, string(deploy.Failed)); err != nil {
		c.log.Warn("set the output", "error", err)
	}
}

// each takes errors that are told together apart.
func each(err error) []error {
	if mistakes, ok := errors.AsType[config.Errors](err); ok {
		return mistakes.Unwrap()
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		if e, is := errors.AsType[*ended](err); is {
			return each(e.err)
		}
		return []error{err}
	}
	var all []error
	for _, one := range joined.Unwrap() {
		all = append(all, each(one)...)
	}
	return all
}

// inWorkspace is a path as GitHub's annotations want it: relative to the
// repository.
func (c *CLI) inWorkspace(path string) string {
	if rel, err := filepath.Rel(c.Getenv("GITHUB_WORKSPACE"), path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}

func withHint(err error) string {
	if hint := deploy.HintOf(err); hint != "" {
		return "\n  → " + hint
	}
	return ""
}

// withValid is what to write instead of a mistake in the file.
func withValid(m *config.Error) string {
	text := ""
	if len(m.Valid) > 0 {
		text += "\nvalid: " + strings.Join(m.Valid, ", ")
	}
	if m.Hint != "" {
		text += "\n" + m.Hint
	}
	return text
}
