package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/internal/workshop"
)

// tell says what came of a scene as soon as it is known.
func (b *bench) tell(t trial, err error) {
	if err != nil {
		b.say("  %v", err)
		return
	}
	b.say("  a version that %s: %s", t.name, strings.Join(t.cells()[1:], "; "))
}

// cells are the trial's line of the table.
func (t trial) cells() []string {
	c := t.users
	outcome, reason := "promoted", "–"
	toRevert, back := "–", "–"
	if r := t.result.Report; r != nil {
		outcome = r.Outcome
		if why := r.Reason("production"); why != "" {
			reason, toRevert, back = strings.ReplaceAll(why, "|", `\|`), short(t.toRevert), short(t.back)
		}
	}
	met := c.Answered[t.version] + c.Faults[t.version] + c.LostBy[t.version]
	return []string{
		t.name, fmt.Sprint(t.perSecond), outcome, reason,
		fmt.Sprint(c.Faults[t.version] + c.LostBy[t.version]), fmt.Sprint(met), toRevert, back, fmt.Sprint(c.Lost - c.LostBy[t.version]),
	}
}

// table is all trials in Markdown.
func table(all []trial) string {
	if len(all) == 0 {
		return ""
	}
	lines := [][]string{
		{"a version that …", "requests a second", "outcome", "reason", "failed on it", "of those it got", "until the decision", "then until its last request", "lost otherwise"},
	}
	for _, t := range all {
		lines = append(lines, t.cells())
	}
	return workshop.Table(lines)
}

// short is a duration in as many digits as anybody reads.
func short(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}
