// Command live releases versions that are bad in different ways to a sandbox
// under the load of users, and one that is as good as the version before, and
// holds what comes of each against what has to come of it:
//
//	go run ./bench/live                # some minutes; a broken promise or a figure above its limit exits with 1
//	go run ./bench/live -short         # two minutes; only an outcome that is wrong exits with 1
//	go run ./bench/live -markdown FILE # and write the tables to a file
//	go run ./bench/live -only "leaks"  # the versions whose name contains that
//
// Outcomes, reasons and lost requests are the same on every machine. Times, and
// how many users a bad version has met, depend on what else a machine does, and
// are only told. A version that leaks memory needs a prometheus on the PATH;
// without one, or off Linux, it is left out, and that is said.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/internal/workshop"
)

// options are the flags.
type options struct {
	workshop.Bench
	rounds int
}

func main() {
	var o options
	o.Flags("a version that turns bad later does so sooner, fewer rounds, and no failure because of a figure", "versions")
	flag.IntVar(&o.rounds, "rounds", 0, "how often a version is released that fails all requests (default: 20, and 3 with -short)")
	flag.Parse()
	os.Exit(workshop.Run("bench-live", func(ctx context.Context) error { return run(ctx, o) }))
}

// bench is one run.
type bench struct {
	*workshop.Workshop
	short  bool
	rounds int
	log    io.Writer
	// saying keeps lines of those apart who work at once.
	saying sync.Mutex
}

func run(ctx context.Context, o options) (err error) {
	began, on := time.Now(), workshop.Machine(time.Now())
	b := &bench{short: o.Short, rounds: o.rounds, log: os.Stderr}
	if b.rounds <= 0 {
		b.rounds = b.either(20, 3)
	}
	all, failing := b.chosen(o)
	if len(all) == 0 && !failing {
		return fmt.Errorf("no version's name contains %q", o.Only)
	}
	b.say("building slipway, and a small web app in %d versions", len(all)+2)
	if b.Workshop, err = workshop.Open(ctx, os.Environ()); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close()) }()
	if err := b.Build(ctx, builds(all)...); err != nil {
		return err
	}
	trials, err := b.releaseAll(ctx, all)
	tables := table(trials)
	if failing && ctx.Err() == nil {
		t, failed := b.failAll(ctx)
		tables += "\n" + t.table()
		err = errors.Join(err, failed, b.judge(t))
	}
	tables = fmt.Sprintf("Measured by `%s` on %s.\n\n%s", o.command(), on, tables)
	fmt.Print(tables)
	b.say("\n%s in all", time.Since(began).Round(time.Second))
	if err == nil {
		err = o.Keep(title + tables)
	}
	return err
}

const title = `# Bad versions under load

A small web app in a [sandbox](sandbox.md) of its own for each line, while users send requests at a steady rate. Half of the users are sent to the version first, except in the last paragraph. Outcomes and reasons are the same on every machine; how many requests failed, and the times, depend on what else it does.

`

// command is what to say to get the same again.
func (o options) command() string {
	command := "make bench-live"
	if o.Short {
		command += " SHORT=1"
	}
	return command
}

// chosen are the scenes that are asked for, and whether those are among
// them in which all requests fail, which are measured one after another.
func (b *bench) chosen(o options) (all []scene, failing bool) {
	for _, s := range b.scenes() {
		switch {
		case !o.Names(s.name):
		case s.missing() != "":
			b.say("left out: a version that %s: %s", s.name, s.missing())
		default:
			all = append(all, s)
		}
	}
	return all, o.Names(everything)
}

// atOnce is how many scenes are played at a time: most of each is waiting.
const atOnce = 4

// releaseAll plays all scenes, and is an error where one ends in the wrong way.
// One that does does not keep the others from being played.
func (b *bench) releaseAll(ctx context.Context, all []scene) ([]trial, error) {
	trials, errs := make([]trial, len(all)), make([]error, len(all))
	var g errgroup.Group
	g.SetLimit(atOnce)
	for i, s := range all {
		g.Go(func() error {
			trials[i], errs[i] = b.play(ctx, s, i)
			b.tell(trials[i], errs[i])
			return nil
		})
	}
	return trials, errors.Join(append(errs, g.Wait())...)
}

func (b *bench) say(format string, args ...any) {
	b.saying.Lock()
	defer b.saying.Unlock()
	_, _ = fmt.Fprintf(b.log, format+"\n", args...)
}

// either is what holds for a long run, or for a short one.
func (b *bench) either(long, short int) int {
	if b.short {
		return short
	}
	return long
}
