package main

import (
	"errors"
	"fmt"
	"strings"
)

// figure is what was measured of slipway alone, and its goal.
type figure struct {
	name, measured string
	// goal is empty where a figure is only to be known.
	goal string
	// missed goals are told; broken ones are mistakes.
	missed, broken bool
}

func (b *bench) add(f figure) {
	b.figures = append(b.figures, f)
	say("  %s: %s %s", f.name, f.measured, f.verdict())
}

// verdict is how a figure stands to its goal.
func (f figure) verdict() string {
	switch {
	case f.goal == "":
		return ""
	case f.broken:
		return f.goal + ": **broken**"
	case f.missed:
		return f.goal + ": **missed**"
	}
	return f.goal + ": met"
}

// none adds a count that has to be zero.
func (b *bench) none(name string, count int, format string, args ...any) {
	b.add(figure{name: name, measured: fmt.Sprintf(format, args...), goal: "0", broken: count > 0})
}

// list is all figures in Markdown.
func (b *bench) list(s *strings.Builder) {
	if len(b.figures) == 0 {
		return
	}
	s.WriteString("\n| figure | measured | goal |\n|---|---|---|\n")
	for _, f := range b.figures {
		fmt.Fprintf(s, "| %s | %s | %s |\n", f.name, f.measured, f.verdict())
	}
}

// broken is an error where something is.
func (b *bench) broken() error {
	var errs []error
	for _, f := range b.figures {
		if f.broken {
			errs = append(errs, fmt.Errorf("broken: %s: %s, not %s", f.name, f.measured, f.goal))
		}
	}
	return errors.Join(errs...)
}
