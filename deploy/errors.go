package deploy

import (
	"errors"
	"fmt"
	"time"
)

// ErrConflict means that somebody else has written the journal since it was
// read: this process must not act any more.
var ErrConflict = errors.New("the journal was written by somebody else")

// Fault is an error for the person who has to act on it. Whoever prints it at
// the edge adds the hint, once.
type Fault struct {
	Err error
	// Hint says what to do, and which values are valid where that is the
	// question.
	Hint string
	// Usage marks wrong usage or configuration: nothing was begun.
	Usage bool
}

// Error is the error without the hint.
func (f *Fault) Error() string { return f.Err.Error() }

// Unwrap gives the cause.
func (f *Fault) Unwrap() error { return f.Err }

// Hinted adds what to do to an error; nil stays nil.
func Hinted(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Fault{Err: err, Hint: fmt.Sprintf(format, args...)}
}

// Usage is a Fault of wrong usage or configuration, with what to do.
func Usage(hint, format string, args ...any) error {
	return &Fault{Err: fmt.Errorf(format, args...), Hint: hint, Usage: true}
}

// HintOf is the hint of the outermost Fault that has one.
func HintOf(err error) string {
	for err != nil {
		var f *Fault
		if !errors.As(err, &f) {
			return ""
		}
		if f.Hint != "" {
			return f.Hint
		}
		err = f.Err
	}
	return ""
}

// IsUsage reports whether an error is one of wrong usage or configuration.
func IsUsage(err error) bool {
	var f *Fault
	for errors.As(err, &f) {
		if f.Usage {
			return true
		}
		err = f.Err
	}
	return false
}

// Doomed means that a revision will never be ready, or that one of its tasks has
// failed, told as soon as it is certain.
type Doomed struct {
	Revision Revision
	// Task is the name of the one that has failed; empty where it is about the
	// revision itself.
	Task     string
	Evidence Evidence
	// Hint says what to look at.
	Hint string
}

// Error says which revision, which replica or task, and why.
func (d *Doomed) Error() string {
	if d.Task != "" {
		return fmt.Sprintf("the task %s of %s %s", d.Task, d.Revision, d.Evidence.Reason)
	}
	if d.Evidence.Replica == "" {
		return fmt.Sprintf("%s: %s", d.Revision, d.Evidence.Reason)
	}
	return fmt.Sprintf("%s: replica %s %s", d.Revision, d.Evidence.Replica, d.Evidence.Reason)
}

// Locked means that somebody else holds the environment.
type Locked struct {
	Environment string
	Lock        Lock
	// Alive: the target sees that the process of the owner is there. Where it
	// cannot see that, the owner may have died, and only the hold be left.
	Alive bool
}

// Error says who holds it, for what and since when.
func (l *Locked) Error() string {
	who := l.Lock.Owner.Who
	if who == "" {
		who = l.Lock.Owner.Run
	}
	s := fmt.Sprintf("%s is held by %s", l.Environment, who)
	if l.Lock.Owner.Reason != "" {
		s += " (" + l.Lock.Owner.Reason + ")"
	}
	s += " since " + l.Lock.Since.UTC().Format(time.RFC3339)
	if l.Lock.Owner.URL != "" {
		s += ", " + l.Lock.Owner.URL
	}
	return s
}
