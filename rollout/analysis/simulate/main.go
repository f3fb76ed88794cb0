// Command simulate plays rollouts with made-up traffic to the judge and to the
// rules of others, and prints how often each of them is wrong and how long each
// takes. All see the same traffic, which comes from seeds.
//
//	go run ./rollout/analysis/simulate                       # a selection, minutes
//	go run ./rollout/analysis/simulate -identical 10000      # and the long proof
//	go run ./rollout/analysis/simulate -all -runs 20         # everything with everything, days
//	go test ./rollout/analysis/simulate -run Goals -v        # the goals alone, a minute
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"runtime"
)

func main() {
	if err := play(os.Args[1:], os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func play(args []string, out io.Writer) error {
	flags := flag.NewFlagSet("simulate", flag.ContinueOnError)
	runs := flags.Int("runs", 200, "rollouts for each cell of a table; 0 leaves the tables out")
	identical := flags.Int("identical", 0, "rollouts of an equal version for each cell of the long proof; 0 leaves it out")
	workers := flags.Int("workers", runtime.GOMAXPROCS(0), "how many processors to use")
	all := flags.Bool("all", false, "every traffic with every effect, shape, onset and stress, instead of a selection")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *runs < 0 || *workers < 1 || *identical < 0 {
		return errors.New("-runs and -identical cannot be negative, -workers must be positive")
	}
	fmt.Fprintf(out, "Seeds from 1 on, alpha %g, alpha of promotions %g.\n", alpha, alphaPromote)
	if *runs > 0 {
		compare(out, *all, *runs, *workers)
	}
	if *identical > 0 {
		identicalTable(*identical, *workers).write(out)
	}
	reached := check(goals(10000), *workers)
	goalTable(reached).write(out)
	for _, c := range reached {
		if !c.met {
			return fmt.Errorf("a goal is missed: %s: %s, want %s", c.what, c.got, c.want)
		}
	}
	return nil
}

// compare prints how all contenders do.
func compare(out io.Writer, all bool, runs, workers int) {
	healthy, worse, rollouts := selection()
	if all {
		healthy, worse = product()
	}
	falseRevertTable(healthy, entrants(), runs, workers).write(out)
	detectionTable(worse, entrants(), runs, workers).write(out)
	promotionTable(rollouts, entrants(), runs, workers).write(out)
	clusteredTable(runs, workers).write(out)
}
