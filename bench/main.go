// Command bench measures what slipway promises, on this machine and from
// outside, and prints it as a Markdown table:
//
//	go run ./bench                       # some minutes; a figure above its limit exits with 1
//	go run ./bench -short                # less than a minute; only a lost request exits with 1
//	go run ./bench -markdown FILE        # and write the table to a file
//	go run ./bench -only "way back"      # the chapters whose name contains that
//
// Requests that are lost are a mistake wherever it runs. Times depend on the
// machine and on what else it does, which is why only a run by hand, on a
// machine with nothing else to do, is measured against them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/slipway-ci/slipway/internal/workshop"
)

func main() {
	var o workshop.Bench
	var plain plainProxy
	o.Flags("fewer rounds, and no failure because of a time", "chapters")
	flag.StringVar(&plain.to, "plain-proxy", "", "be the proxy to compare with, before this URL (for the benchmark itself)")
	flag.StringVar(&plain.port, "plain-port", "", "the port of that proxy")
	flag.Parse()
	run := func(ctx context.Context) error { return measure(ctx, o) }
	if plain.to != "" {
		run = plain.serve
	}
	os.Exit(workshop.Run("bench", run))
}

// bench is one run.
type bench struct {
	*workshop.Workshop
	workshop.Bench
	log     io.Writer
	figures []figure
}

// chapter measures some figures that belong together.
type chapter struct {
	name    string
	measure func(*bench, context.Context) error
}

// chapters are all that is measured. Memory comes first, while the sandbox has
// done nothing else yet.
var chapters = []chapter{
	{"memory", (*bench).memory},
	{"start of the binary", (*bench).binaryStart},
	{"unchanged commit", (*bench).unchangedCommit},
	{"packing", (*bench).packing},
	{"proxy overhead", (*bench).overhead},
	{"way back", (*bench).wayBack},
	{"lost requests", (*bench).lostRequests},
}

func measure(ctx context.Context, o workshop.Bench) (err error) {
	began, on := time.Now(), workshop.Machine(time.Now())
	fmt.Fprintln(os.Stderr, "building slipway, and a small web app in three versions")
	w, err := workshop.Open(ctx, os.Environ())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Close()) }()
	b := &bench{Workshop: w, Bench: o, log: os.Stderr}
	if err := b.Build(ctx, builds...); err != nil {
		return err
	}
	failed := b.run(ctx)
	table := b.table(on)
	fmt.Print(table)
	fmt.Fprintf(os.Stderr, "\n%s in all\n", time.Since(began).Round(time.Second))
	if failed == nil {
		failed = o.Keep(table)
	}
	return errors.Join(failed, b.judge())
}

// run measures the chapters. One that cannot be measured to its end does not
// keep the others from being measured.
func (b *bench) run(ctx context.Context) error {
	var errs []error
	for _, c := range chapters {
		if !b.Names(c.name) || ctx.Err() != nil {
			continue
		}
		b.say("%s", c.name)
		if err := c.measure(b, ctx); err != nil {
			b.say("  %v", err)
			errs = append(errs, fmt.Errorf("%s: %w", c.name, err))
		}
	}
	if len(b.figures) == 0 && len(errs) == 0 {
		return fmt.Errorf("no chapter's name contains %q", b.Only)
	}
	return errors.Join(errs...)
}

func (b *bench) say(format string, args ...any) {
	_, _ = fmt.Fprintf(b.log, format+"\n", args...)
}

// rounds is how often something is done: often, or in a short run seldom.
func (b *bench) rounds(often, seldom int) int {
	if b.Short {
		return seldom
	}
	return often
}
