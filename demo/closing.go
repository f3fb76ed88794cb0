package main

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/internal/workshop"
)

// row is what users got in one act.
type row struct {
	title string
	workshop.Count
}

// record remembers an act for the closing table, and says what came of it.
func (d *demo) record(title string, c workshop.Count) {
	d.rows = append(d.rows, row{title, c})
	d.out.line("\n  %d requests meanwhile: %s", c.Sent, summary(c))
}

// summary is a count in words: who answered, and what failed.
func summary(c workshop.Count) string {
	var parts []string
	for _, b := range builds {
		if n := c.Answered[b.Version]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d answered by %s", n, b.Version))
		}
	}
	for _, b := range builds {
		if n := c.Faults[b.Version]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d failed on %s", n, b.Version))
		}
	}
	return strings.Join(append(parts, fmt.Sprintf("%d lost", c.Lost)), ", ")
}

// backLimit is what slipway promises: users are back within a second of the
// decision. It takes a small part of that; `make bench` measures how small.
const backLimit = time.Second

// promise is something that the demo has to show.
type promise struct {
	kept bool
	text string
}

func (d *demo) promises(all workshop.Count) []promise {
	last := d.rows[len(d.rows)-1].Last
	return []promise{
		{all.Lost == 0 && all.Failed() == all.Faults[bad], fmt.Sprintf("nothing was lost: what failed, %s itself failed", bad)},
		{all.Faults[bad] > 0, fmt.Sprintf("%s was bad, and went back by itself", bad)},
		{d.back < backLimit && d.seen < backLimit, fmt.Sprintf("users were back within %s of the decision", backLimit)},
		{last["1.0.0"].After(last["1.1.0"]), "1.0.0 answers again after the rollback"},
	}
}

const closingTitle = "What the users got"

// close prints what users got, how long the way back took, and whether every
// promise was kept. One that was not is an error.
func (d *demo) close() error {
	all := d.users.Count()
	d.out.title(closingTitle)
	d.out.line("")
	d.table(all)
	d.out.line("\nThe way back from %s took %s from the decision, by slipway's own report.", bad, short(d.back))
	d.out.line("The last request that %s answered was sent %s.\n", bad, after(d.seen))
	var broken []error
	for _, p := range d.promises(all) {
		mark := "✓"
		if !p.kept {
			mark = "✗"
			broken = append(broken, errors.New("broken: "+p.text))
		}
		d.out.line("  %s %s", mark, p.text)
	}
	if all.Lost > 0 {
		d.out.line("\n  the first request that was lost, %s", all.FirstLost)
	}
	return errors.Join(broken...)
}

func (d *demo) table(all workshop.Count) {
	d.out.line("  %-21s%6s%9s%9s%9s%7s%9s%5s", "requests", "sent", "by 1.0.0", "by 1.1.0", "by "+bad, "failed", "on "+bad, "lost")
	for _, r := range append(d.rows, row{"in all", all}) {
		d.out.line("  %-21s%6d%9d%9d%9d%7d%9d%5d", r.title, r.Sent, r.Answered["1.0.0"], r.Answered["1.1.0"], r.Answered[bad],
			r.Failed(), r.Faults[bad], r.Lost)
	}
}

// short is a duration with as many digits as anybody reads.
func short(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

func after(d time.Duration) string {
	if d == 0 {
		return "before the decision"
	}
	return short(d) + " after the decision"
}
