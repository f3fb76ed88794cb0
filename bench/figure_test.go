package main

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/internal/workshop"
)

func TestJudgeFailsForWhatIsBrokenAndInALongRunForTimes(t *testing.T) {
	slow := []time.Duration{time.Second}
	for name, c := range map[string]struct {
		short bool
		add   func(*bench)
		fails string
	}{
		"all is well":             {false, func(b *bench) { b.below("a", slow, 0.5, 2*time.Second); b.none("b", 0, "0 of 9") }, ""},
		"no limit":                {false, func(b *bench) { b.know("a", "99 of 9") }, ""},
		"a request was lost":      {false, func(b *bench) { b.none("b", 1, "1 of 9") }, "broken: b: 1 of 9"},
		"lost, in a short run":    {true, func(b *bench) { b.none("b", 1, "1 of 9") }, "broken: b: 1 of 9"},
		"too slow":                {false, func(b *bench) { b.below("a", slow, 0.5, time.Second) }, "above the limit: a"},
		"too slow in a short run": {true, func(b *bench) { b.below("a", slow, 0.5, time.Second) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := &bench{Bench: workshop.Bench{Short: c.short}, log: io.Discard}
			c.add(b)
			err := b.judge()
			if (err != nil) != (c.fails != "") || err != nil && !strings.Contains(err.Error(), c.fails) {
				t.Errorf("judge says %v, want %q", err, c.fails)
			}
		})
	}
}

func TestTableMarksWhatIsAboveItsLimit(t *testing.T) {
	b := &bench{log: io.Discard}
	b.know("memory", "25 MiB")
	b.below("start", []time.Duration{60 * time.Millisecond}, 0.5, 50*time.Millisecond)
	want := "Measured by `make bench` on a machine.\n\n" +
		"| figure | measured                | limit                          |\n" +
		"| ------ | ----------------------- | ------------------------------ |\n" +
		"| memory | 25 MiB                  |                                |\n" +
		"| start  | p50 60ms, p99 60ms of 1 | p50 < 50ms **above the limit** |\n"
	if got := b.table("a machine"); got != want {
		t.Errorf("the table is\n%s\nwant\n%s", got, want)
	}
}
