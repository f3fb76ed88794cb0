package workshop

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// Bench is what one says to each benchmark by its flags.
type Bench struct {
	// Short: fewer rounds, and no failure because of a time.
	Short bool
	// Markdown is the file that gets the tables, too; empty for none.
	Markdown string
	// Only is a part of the names of what is measured; empty for all of it.
	Only string
}

// Flags makes them flags of the program: what a short run does, and what it is
// that has a name.
func (b *Bench) Flags(short, named string) {
	flag.BoolVar(&b.Short, "short", false, short)
	flag.StringVar(&b.Markdown, "markdown", "", "write the table to this file, too")
	flag.StringVar(&b.Only, "only", "", "only the "+named+" whose name contains this")
}

// Names reports whether that has to be measured.
func (b Bench) Names(name string) bool { return strings.Contains(name, b.Only) }

// Keep writes the tables to the file that was asked for.
func (b Bench) Keep(tables string) error {
	if b.Markdown == "" {
		return nil
	}
	return os.WriteFile(b.Markdown, []byte(tables), 0o644)
}

// Run runs a program until it ends, or is interrupted, and returns its exit code.
// An error is told on stderr by the program's name.
func Run(name string, program func(context.Context) error) (code int) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := program(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1
	}
	return 0
}

// Pause waits, for users to send requests meanwhile. Its error is that ctx ended.
func Pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// Table is lines of as many cells in Markdown, the first of them its head. The
// columns are as wide as their widest cell.
func Table(lines [][]string) string {
	width := make([]int, len(lines[0]))
	for _, cells := range lines {
		for i, c := range cells {
			width[i] = max(width[i], len([]rune(c)))
		}
	}
	rule := make([]string, len(width))
	for i, w := range width {
		rule[i] = strings.Repeat("-", w)
	}
	var s strings.Builder
	for _, cells := range slices.Insert(lines, 1, rule) {
		for i, c := range cells {
			fmt.Fprintf(&s, "| %-*s ", width[i], c)
		}
		s.WriteString("|\n")
	}
	return s.String()
}
