// Command images measures how fast slipway makes an image of files and brings
// it to a registry, beside other tools, in one run on the same machine:
//
//	go run ./bench/images                  # many minutes; a ratio above its limit exits with 1
//	go run ./bench/images -short           # smaller trees, once; only a blob too many exits with 1
//	go run ./bench/images -markdown FILE   # and write the table to a file
//	go run ./bench/images -only "tree B"   # the rows whose name contains that
//
// Every measurement gets a registry of its own (docker-registry, on loopback)
// and nothing from the one before. It installs nothing: it says which tools are
// missing, and how they are installed, and leaves their columns out.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/slipway-ci/slipway/internal/workshop"
)

func main() {
	b := &bench{scale: 1, log: os.Stderr}
	var c copying
	b.Flags("smaller trees, one round, and no failure because of a time", "rows")
	flag.IntVar(&b.rounds, "rounds", 5, "how often everything is measured")
	flag.StringVar(&c.from, "copy-from", "", "copy this image, REPOSITORY:TAG@DIGEST (for the benchmark itself)")
	flag.StringVar(&c.to, "copy-to", "", "to this repository")
	flag.Parse()
	run := b.measure
	if c.from != "" {
		run = c.run
	}
	os.Exit(workshop.Run("bench-images", run))
}

// bench is one run.
type bench struct {
	workshop.Bench
	dir string
	// rounds is how often everything is measured, after it was done once.
	rounds int
	// scale divides the size of what is packed.
	scale int
	log   io.Writer
	tools tools
	rows  []row
}

// row is a case: it is measured round by round, so that what else the machine
// does falls on all tools alike.
type row struct {
	name    string
	measure func(*bench, context.Context, *row) error
	// limits are what slipway must keep to, by what it is compared with.
	limits map[string]float64
	// mostMegabytes and mostTime are limits that need no comparison; zero is none.
	mostMegabytes float64
	mostTime      time.Duration

	figures figures
	// megabytes is what was held at most, round by round.
	megabytes []float64
	// broken is what is a mistake on every machine.
	broken []string
}

func rows() []row {
	return []row{
		{name: "tree A, empty registry", measure: (*bench).empty, limits: map[string]float64{crane: 0.7, docker: 0.25, buildah: 0.25}},
		{name: "tree A, one file changed, fresh machine", measure: (*bench).oneChanged, limits: map[string]float64{crane: 0.3}},
		{name: "tree A, a new commit with the same files, fresh machine", measure: (*bench).sameFiles, limits: map[string]float64{crane: 0.2}},
		{name: "tree A, the same commit, fresh machine", measure: (*bench).sameCommit, limits: map[string]float64{crane: 0.2}},
		{name: "tree B, empty registry", measure: (*bench).large, limits: map[string]float64{sending: 1.1}},
		{name: "2 GB of files, peak memory", measure: (*bench).memory, mostMegabytes: 150},
		{name: "copy of tree A's image to an empty registry", measure: (*bench).copyAnew, limits: map[string]float64{fastest: 1}},
		{name: "copy of tree A's image, there already", measure: (*bench).copyAgain, mostTime: 100 * time.Millisecond},
	}
}

func (b *bench) measure(ctx context.Context) (err error) {
	began, on := time.Now(), workshop.Machine(time.Now())
	if b.Short {
		b.rounds, b.scale = 1, 10
	}
	if b.dir, err = os.MkdirTemp("", "slipway-bench-images-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(b.dir)) }()
	if b.tools, err = b.find(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.tools.clean()) }()
	b.say("writing the trees")
	if err := b.trees(); err != nil {
		return err
	}
	failed := b.run(ctx)
	table := b.table(on)
	fmt.Print(table)
	b.say("\n%s in all", time.Since(began).Round(time.Second))
	if failed == nil {
		failed = b.Keep(table)
	}
	return errors.Join(failed, b.judge())
}

func (b *bench) run(ctx context.Context) error {
	for _, r := range rows() {
		if !b.Names(r.name) {
			continue
		}
		b.say("%s", r.name)
		r.figures = figures{}
		for n := range b.rounds {
			if err := r.measure(b, ctx, &r); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			b.say("  round %d: %s", n+1, r.figures.last())
		}
		b.rows = append(b.rows, r)
	}
	if len(b.rows) == 0 {
		return fmt.Errorf("no row's name contains %q", b.Only)
	}
	return nil
}

// judge is an error for every blob too many, and in a long run for every ratio
// above its limit.
func (b *bench) judge() error {
	var errs []error
	for _, r := range b.rows {
		for _, what := range r.broken {
			errs = append(errs, fmt.Errorf("%s: %s", r.name, what))
		}
		if above := r.above(); above != "" && !b.Short {
			errs = append(errs, fmt.Errorf("above the limit: %s: %s", r.name, above))
		}
	}
	return errors.Join(errs...)
}

func (b *bench) say(format string, args ...any) { _, _ = fmt.Fprintf(b.log, format+"\n", args...) }

func (b *bench) path(parts ...string) string {
	return filepath.Join(append([]string{b.dir}, parts...)...)
}
