package main

import (
	"runtime"
	"testing"
)

// A quick look at all goals, with the seeds of a few rollouts and wider limits: it
// says the same each time. Whether the goals are reached in earnest is what `make bench-judge
// SHORT=1` says. The race detector, which makes all of it many times slower,
// looks at a few rollouts of each kind and at no numbers.
func TestTheJudgeReachesItsGoals(t *testing.T) {
	runs := 100
	if racing {
		runs = 4
	}
	// Allocations are counted over the whole process: alone, they are the judge's.
	all := append(check([]goal{cost(false)}, 1), check(goalsWithin(1.2, runs), runtime.GOMAXPROCS(0))...)
	for _, c := range all {
		switch {
		case c.met || racing:
			t.Logf("%s: %s", c.what, c.got)
		default:
			t.Errorf("%s: %s: %s, want %s", c.of, c.what, c.got, c.want)
		}
	}
}
