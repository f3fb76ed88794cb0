package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/slipway-ci/slipway/deploy"
)

// page collects what one event prints, so that it is written at once.
type page struct {
	c   *Console
	b   strings.Builder
	err error
	// progress is the live line to show after the lines.
	progress string
}

// line adds a line. The console's own colours are in it already; text from
// elsewhere has passed oneLine.
func (p *page) line(format string, args ...any) {
	text := p.c.o.Scrub.apply(fmt.Sprintf(format, args...))
	if text == "" && p.c.gap {
		return
	}
	p.c.gap = text == ""
	p.openGroup()
	p.erase()
	p.b.WriteString(strings.TrimRight(p.safe(text), " "))
	p.b.WriteString("\n")
}

// safe keeps lines from commanding the runner. Off a runner "::" is only text.
func (p *page) safe(line string) string {
	if p.c.o.Runner == nil {
		return line
	}
	return defuse(line)
}

// quote adds lines of a log, each behind a bar.
func (p *page) quote(lines []string) {
	for _, line := range lines {
		// Scrubbed before it is shortened: half a secret is not recognised.
		if line = logLine(p.c.o.Scrub.apply(line)); line != "" {
			p.line("      %s %s", p.dim("│"), line)
		}
	}
}

func (p *page) openGroup() {
	if p.c.group == "" {
		return
	}
	title := p.c.group
	p.c.group, p.c.open = "", true
	p.flushed()
	p.c.o.Runner.Group(p.c.clean(title))
}

// erase removes the live line from the screen.
func (p *page) erase() {
	if p.c.live {
		p.b.WriteString("\r\x1b[2K")
		p.c.live = false
	}
}

// flushed writes what there is, before somebody else writes to the same place.
func (p *page) flushed() {
	if p.b.Len() == 0 {
		return
	}
	if _, err := io.WriteString(p.c.o.Out, p.b.String()); err != nil && p.err == nil {
		p.err = fmt.Errorf("print: %w", err)
	}
	p.b.Reset()
}

func (p *page) flush() error {
	if p.c.o.Terminal {
		p.erase()
		if p.progress != "" {
			p.b.WriteString(cut(p.c.o.Scrub.apply(p.progress), p.c.o.Width-1))
			p.c.live = true
		}
	}
	p.flushed()
	return p.err
}

// cut keeps the first width columns of a line that has colours in it.
func cut(line string, width int) string {
	var b strings.Builder
	for line != "" && width > 0 {
		if loc := escapes.FindStringIndex(line); len(loc) == 2 && loc[0] == 0 {
			b.WriteString(line[:loc[1]])
			line = line[loc[1]:]
			continue
		}
		r, size := utf8.DecodeRuneInString(line)
		b.WriteRune(r)
		line = line[size:]
		width--
	}
	if strings.Contains(b.String(), "\x1b[") {
		b.WriteString("\x1b[0m")
	}
	return b.String()
}

func (p *page) color(code, s string) string {
	if !p.c.o.Terminal || p.c.o.NoColor || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

func (p *page) bold(s string) string   { return p.color("1", s) }
func (p *page) dim(s string) string    { return p.color("2", s) }
func (p *page) cross() string          { return p.color("31", "✗") }
func (p *page) green(s string) string  { return p.color("32", s) }
func (p *page) yellow(s string) string { return p.color("33", s) }

// mark is the sign for an outcome.
func (p *page) mark(o deploy.Outcome) string {
	switch o {
	case deploy.Promoted:
		return p.green("✓")
	case deploy.Unchanged:
		return p.green("=")
	case deploy.Reverted:
		return p.yellow("↩")
	case deploy.Held:
		return p.yellow("‖")
	}
	return p.cross()
}
