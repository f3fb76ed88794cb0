// Command simulate plays rollouts with made-up traffic to the judge and to the
// rules of others, and prints how often each of them is wrong and how long each
// takes. All see the same traffic, which comes from seeds: the same code prints
// the same numbers, but for the cost. It fails when a goal is missed, and with
// -short not because of a time.
//
//	go run ./rollout/analysis/simulate -short            # the goals and the main rows, about two minutes
//	go run ./rollout/analysis/simulate                   # and a selection with everybody, some minutes more
//	go run ./rollout/analysis/simulate -long             # and the long proof and the whole grid
//	go run ./rollout/analysis/simulate -long -grid 100   # the grid with more rollouts, hours
//	go run ./rollout/analysis/simulate -pictures DIR     # only the pictures of the documentation
//
// -markdown FILE writes what is printed to a file, too. How far it is, with the
// time, goes to the standard error.
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"runtime"
	"strings"
	"time"
)

func main() {
	if err := play(os.Args[1:], os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// options are the flags.
type options struct {
	short, long                           bool
	runs, identical, grid, goals, workers int
	markdown, pictures                    string
}

func play(args []string, out io.Writer) error {
	o, err := parse(args)
	if err != nil {
		return err
	}
	if o.pictures != "" {
		return pictures(o.pictures)
	}
	var kept bytes.Buffer
	began := time.Now()
	missed := o.measure(io.MultiWriter(out, &kept))
	fmt.Fprintf(out, "\n%s in all\n", time.Since(began).Round(time.Second))
	if o.markdown != "" {
		if err := os.WriteFile(o.markdown, kept.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return missed
}

func parse(args []string) (options, error) {
	var o options
	flags := flag.NewFlagSet("simulate", flag.ContinueOnError)
	flags.BoolVar(&o.short, "short", false, "the goals, and the rows that tell most")
	flags.BoolVar(&o.long, "long", false, "also the long proof and the whole grid")
	flags.IntVar(&o.runs, "runs", 100, "rollouts for each cell of a table")
	flags.IntVar(&o.identical, "identical", 10000, "rollouts of an equal version for each cell of the long proof")
	flags.IntVar(&o.grid, "grid", 4, "rollouts for each world of the grid, twice as many for those of an equal version")
	flags.IntVar(&o.goals, "goals", 10000, "rollouts of an equal version for each goal, and in proportion for other goals")
	flags.IntVar(&o.workers, "workers", runtime.GOMAXPROCS(0), "how many processors to use")
	flags.StringVar(&o.markdown, "markdown", "", "write what is printed to this file, too")
	flags.StringVar(&o.pictures, "pictures", "", "only draw the pictures of the documentation, into this folder")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	switch {
	case min(o.runs, o.identical, o.grid, o.goals, o.workers) < 1:
		return o, errors.New("-runs, -identical, -grid, -goals and -workers have to be positive")
	case o.short && o.long:
		return o, errors.New("-short and -long cannot be had together")
	case o.short:
		o.runs = min(o.runs, 20)
	}
	return o, nil
}

// measure prints all tables, and says which goal was missed.
func (o options) measure(out io.Writer) error {
	fmt.Fprintf(out, "# What the simulator says of the judge\n\n%s\n", o.intro())
	reached := append(check([]goal{cost(!o.short)}, 1), check(goals(o.goals), o.workers)...)
	goalTable(reached).write(out)
	ruleTable().write(out)
	for _, make := range o.tables() {
		t := make()
		t.write(out)
		log.Print(t.title)
	}
	var missed []error
	for _, c := range reached {
		if !c.met {
			missed = append(missed, fmt.Errorf("a goal is missed: %s: %s: %s, want %s", c.of, c.what, c.got, c.want))
		}
	}
	return errors.Join(missed...)
}

// tables are what is printed besides the goals, each made when it is its turn.
func (o options) tables() []func() table {
	healthy, worse := headline()
	if !o.short {
		more, bad, _ := selection()
		healthy, worse = more, bad
	}
	all := []func() table{
		func() table { return falseRevertTable(healthy, entrants(), o.runs, o.workers) },
		func() table { return detectionTable(worse, entrants(), o.runs, o.workers) },
		func() table { return warmUpTable(o.runs, o.workers) },
	}
	if o.short {
		return all
	}
	_, _, rollouts := selection()
	all = append(all,
		func() table { return promotionTable(rollouts, entrants(), o.runs, o.workers) },
		func() table { return clusteredTable(o.runs, o.workers) })
	if !o.long {
		return all
	}
	all = append(all, func() table { return identicalTable(o.identical, o.workers) })
	return append(all, gridTables(o.grid, o.workers)...)
}

// intro says what was run.
func (o options) intro() string {
	var flags []string
	if o.short {
		flags = append(flags, "-short")
	}
	if o.long {
		flags = append(flags, "-long")
	}
	flags = append(flags, fmt.Sprintf("-runs %d -identical %d -grid %d -goals %d", o.runs, o.identical, o.grid, o.goals))
	return "Made by `go run ./rollout/analysis/simulate " + strings.Join(flags, " ") + "`. The seeds are fixed: the same code prints the same numbers, but for the cost of an observation. " +
		"A burst of errors ends with the batch that it began in, so that request by request little is left of them. " +
		"A dash in the column of each request means that this many requests one by one would take too long; a dash elsewhere, that nothing was reverted or promoted."
}
