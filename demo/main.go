// Command demo shows what slipway is for, on this machine and in less than a
// minute: a release, a canary while users send requests, a bad version that is
// taken back by itself, and a rollback by hand. It checks what it shows, and
// exits with 1 when a promise is broken. What it starts it ends, also on
// Ctrl-C.
//
//	go run ./demo
//	go run ./demo -record demo.svg    # and draw what the terminal showed
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/slipway-ci/slipway/internal/workshop"
)

func main() {
	picture := flag.String("record", "", "write an animated SVG of the terminal to this file")
	flag.Parse()
	os.Exit(workshop.Run("\ndemo", func(ctx context.Context) error { return run(ctx, *picture) }))
}

func run(ctx context.Context, picture string) error {
	if picture == "" {
		bold := term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == ""
		return show(ctx, &screen{Writer: os.Stdout, bold: bold})
	}
	tape := &tape{}
	if err := show(ctx, &screen{Writer: io.MultiWriter(os.Stdout, tape)}); err != nil {
		return err
	}
	return os.WriteFile(picture, tape.draw(), 0o644)
}

// show plays the demo and clears everything away, whatever happens.
func show(ctx context.Context, out *screen) error {
	began := time.Now()
	out.line("Building slipway, and a small web app in three versions …")
	w, err := workshop.Open(ctx, os.Environ())
	if err != nil {
		return interrupted(ctx, err)
	}
	d := &demo{Workshop: w, out: out}
	err = errors.Join(interrupted(ctx, d.play(ctx)), w.Close())
	if err == nil {
		out.line("\nAll of it took %s. The sandbox has ended, and nothing is left on this machine.", time.Since(began).Round(time.Second))
	}
	return err
}

// interrupted replaces what an interrupted command says by what happened.
func interrupted(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		return errors.New("interrupted")
	}
	return err
}

// screen is what the demo prints on. The embedded writer is handed to slipway
// as it is, so that slipway sees a terminal where there is one.
type screen struct {
	io.Writer
	bold bool
}

func (s *screen) line(format string, args ...any) {
	_, _ = fmt.Fprintf(s.Writer, format+"\n", args...)
}

// title begins an act.
func (s *screen) title(text string) {
	if s.bold {
		text = "\x1b[1;36m" + text + "\x1b[0m"
	}
	s.line("\n%s", text)
}

// command shows what is run next, as one would type it.
func (s *screen) command(text string) {
	if s.bold {
		text = "\x1b[1m" + text + "\x1b[0m"
	}
	s.line("\n$ %s", text)
}
