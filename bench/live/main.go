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
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/internal/workshop"
)

// options are the flags.
type options struct {
	short    bool
	markdown string
	only     string
	rounds   int
}

func main() {
	var o options
	flag.BoolVar(&o.short, "short", false, "a version that turns bad later does so sooner, fewer rounds, and no failure because of a figure")
	flag.StringVar(&o.markdown, "markdown", "", "write the tables to this file, too")
	flag.StringVar(&o.only, "only", "", "only the versions whose name contains this")
	flag.IntVar(&o.rounds, "rounds", 0, "how often a version is released that fails all requests (default: 20, and 3 with -short)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench-live:", err)
		os.Exit(1)
	}
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
	b := &bench{short: o.short, rounds: o.rounds, log: os.Stderr}
	if b.rounds <= 0 {
		b.rounds = b.either(20, 3)
	}
	all, failing := b.chosen(o.only)
	if len(all) == 0 && !failing {
		return fmt.Errorf("no version's name contains %q", o.only)
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
	if o.markdown != "" && err == nil {
		err = os.WriteFile(o.markdown, []byte(title+tables), 0o644)
	}
	return err
}

const title = `# Bad versions under load

A small web app in a [sandbox](sandbox.md) of its own for each line, while users send requests at a steady rate. Half of the users are sent to the version first, except in the last paragraph. Outcomes and reasons are the same on every machine; how many requests failed, and the times, depend on what else it does.

`

// command is what to say to get the same again.
func (o options) command() string {
	command := "make bench-live"
	if o.short {
		command += " SHORT=1"
	}
	return command
}

// chosen are the scenes whose name contains a text, and whether those are among
// them in which all requests fail, which are measured one after another.
func (b *bench) chosen(only string) (all []scene, failing bool) {
	for _, s := range b.scenes() {
		switch {
		case !strings.Contains(s.name, only):
		case s.missing() != "":
			b.say("left out: a version that %s: %s", s.name, s.missing())
		default:
			all = append(all, s)
		}
	}
	return all, strings.Contains(everything, only)
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
