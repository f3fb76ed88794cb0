package main

import (
	"runtime"
	"testing"
)

// The short form of the benchmark: seeds are fixed, so it says the same each
// time. The long one is this program.
func TestTheJudgeReachesItsGoals(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a minute of a processor")
	}
	for _, c := range check(goals(10000), runtime.GOMAXPROCS(0)) {
		if !c.met {
			t.Errorf("%s: %s, want %s", c.what, c.got, c.want)
		} else {
			t.Logf("%s: %s", c.what, c.got)
		}
	}
}
