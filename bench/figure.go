package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/internal/workshop"
)

// figure is one line of the table.
type figure struct {
	name, measured string
	// limit is empty where a figure is only to be known.
	limit   string
	verdict verdict
}

// verdict is how a figure stands to its limit.
type verdict int

const (
	// within its limit, or without one.
	within verdict = iota
	// above its limit, which is a fault unless the machine is busy.
	above
	// broken is a fault on every machine.
	broken
)

func (b *bench) add(f figure) {
	b.figures = append(b.figures, f)
	limit := ""
	if f.limit != "" {
		limit = " (limit: " + f.limit + ")" + marks[f.verdict]
	}
	b.say("  %s: %s%s", f.name, f.measured, limit)
}

var marks = map[verdict]string{within: "", above: " **above the limit**", broken: " **broken**"}

// know adds a figure that has no limit.
func (b *bench) know(name, format string, args ...any) {
	b.add(figure{name: name, measured: fmt.Sprintf(format, args...)})
}

// below adds times of which the given quantile has to be below a limit.
func (b *bench) below(name string, times []time.Duration, q float64, limit time.Duration) {
	f := figure{name: name, measured: spread(times), limit: fmt.Sprintf("p%g < %s", 100*q, limit)}
	if workshop.Quantile(times, q) >= limit {
		f.verdict = above
	}
	b.add(f)
}

// none adds a count that has to be zero.
func (b *bench) none(name string, count int, format string, args ...any) {
	f := figure{name: name, measured: fmt.Sprintf(format, args...), limit: "0"}
	if count > 0 {
		f.verdict = broken
	}
	b.add(f)
}

// judge is an error when something is broken, or above its limit in a long run.
func (b *bench) judge() error {
	var errs []error
	for _, f := range b.figures {
		switch {
		case f.verdict == broken:
			errs = append(errs, fmt.Errorf("broken: %s: %s, not %s", f.name, f.measured, f.limit))
		case f.verdict == above && !b.Short:
			errs = append(errs, fmt.Errorf("above the limit: %s: %s, not %s", f.name, f.measured, f.limit))
		}
	}
	return errors.Join(errs...)
}

// table is all figures in Markdown, with the machine that they are of.
func (b *bench) table(machine string) string {
	lines := [][]string{{"figure", "measured", "limit"}}
	for _, f := range b.figures {
		lines = append(lines, []string{f.name, f.measured, f.limit + marks[f.verdict]})
	}
	return fmt.Sprintf("Measured by `make bench` on %s.\n\n", machine) + workshop.Table(lines)
}

// spread is what one reads of many times.
func spread(times []time.Duration) string {
	return fmt.Sprintf("p50 %s, p99 %s of %d", short(workshop.Quantile(times, 0.5)), short(workshop.Quantile(times, 0.99)), len(times))
}

// short is a duration in three digits.
func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < 10*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < 100*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}
