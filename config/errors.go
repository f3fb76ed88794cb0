package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Error is one mistake in a configuration.
type Error struct {
	// File is the path as it was given.
	File string
	// Line and Column count from 1; Column counts characters.
	Line, Column int
	// Snippet is the line at fault and, below it, a caret under the place.
	// Control characters and what is far from the place are left out. Empty
	// where there is no line to show.
	Snippet string
	// Message says what is wrong, in one line.
	Message string
	// Valid are the values that would do, where they can be listed.
	Valid []string
	// Hint says what to do.
	Hint string
}

// Error prints the mistake for a terminal:
//
//	slipway.yaml:3:10: port: expected a whole number from 1 to 65535, found 0
//	  |
//	3 |   port: 0
//	  |         ^
//	  = hint: …
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
	number := strconv.Itoa(e.Line)
	margin := strings.Repeat(" ", len(number))
	if line, caret, ok := strings.Cut(e.Snippet, "\n"); ok {
		fmt.Fprintf(&b, "\n%s |\n%s | %s\n%s | %s", margin, number, line, margin, caret)
	}
	if len(e.Valid) > 0 {
		fmt.Fprintf(&b, "\n%s = valid: %s", margin, strings.Join(e.Valid, ", "))
	}
	if e.Hint != "" {
		fmt.Fprintf(&b, "\n%s = hint: %s", margin, e.Hint)
	}
	return b.String()
}

// Errors are all mistakes of a file in the order of their position; never
// empty.
type Errors []*Error

// Error prints all of them with an empty line between.
func (e Errors) Error() string {
	all := make([]string, len(e))
	for i, one := range e {
		all[i] = one.Error()
	}
	return strings.Join(all, "\n\n")
}

// Unwrap gives each mistake to errors.As.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

// maxMistakes are listed; nobody reads more at a time.
const maxMistakes = 50

// mistakes are those found so far, in order. A mistake under an anchor is
// found once for each alias and listed once.
func (r *reader) mistakes() Errors {
	slices.SortStableFunc(r.found, func(a, b *Error) int {
		return cmp.Or(a.Line-b.Line, a.Column-b.Column, strings.Compare(a.Message, b.Message))
	})
	list := slices.CompactFunc(r.found, func(a, b *Error) bool {
		return a.Line == b.Line && a.Column == b.Column && a.Message == b.Message
	})
	if len(list) <= maxMistakes {
		return list
	}
	list = list[:maxMistakes:maxMistakes]
	last := *list[maxMistakes-1]
	last.Hint = strings.TrimPrefix(last.Hint+"; there are more mistakes below, correct these first", "; ")
	return append(list[:maxMistakes-1], &last)
}
