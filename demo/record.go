package main

import (
	"bytes"
	"fmt"
	"html"
	"strings"
	"time"
	"unicode/utf8"
)

// The terminal that is drawn, in characters and pixels.
const (
	columns    = 104
	rows       = 32
	charWidth  = 7.25
	lineHeight = 17
	margin     = 16
)

// The speed of the drawing: a still moment is cut short, lines that were
// printed at once come one after the other, and the end stays for a while.
const (
	longestGap  = 1500 * time.Millisecond
	shortestGap = 50 * time.Millisecond
	stay        = 10 * time.Second
)

// tape remembers what was printed, and when.
type tape struct {
	lines []printed
	rest  []byte
}

type printed struct {
	at   time.Time
	text string
}

// Write remembers whole lines.
func (t *tape) Write(p []byte) (int, error) {
	t.rest = append(t.rest, p...)
	for {
		line, rest, found := bytes.Cut(t.rest, []byte("\n"))
		if !found {
			return len(p), nil
		}
		t.lines = append(t.lines, printed{time.Now(), string(line)})
		t.rest = rest
	}
}

// draw makes an SVG in which the lines appear as they did, over and over. A
// cover moves down over the text to reveal it, and the text moves up where it
// is longer than the terminal.
func (t *tape) draw() []byte {
	moments := t.moments()
	whole := moments[len(moments)-1] + stay
	width, height := int(columns*charWidth)+2*margin, rows*lineHeight+2*margin
	var b bytes.Buffer
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" xml:space="preserve" role="img" aria-label="A terminal in which make demo runs">
<style>
text { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; fill: #c9d1d9; white-space: pre }
.title { fill: #79c0ff; font-weight: bold } .command { fill: #ffffff; font-weight: bold }
.good { fill: #3fb950 } .bad { fill: #f85149 } .back { fill: #d29922 }
#text { animation: scroll %.2fs step-end infinite } #cover { animation: reveal %.2fs step-end infinite }
`, width, height, width, height, whole.Seconds(), whole.Seconds())
	keyframes(&b, "scroll", moments, whole, func(shown int) int { return -max(0, shown-rows) * lineHeight })
	keyframes(&b, "reveal", moments, whole, func(shown int) int { return (shown - len(moments)) * lineHeight })
	fmt.Fprintf(&b, "</style>\n<clipPath id=\"screen\"><rect x=\"0\" y=\"%d\" width=\"%d\" height=\"%d\"/></clipPath>\n", margin, width, rows*lineHeight)
	fmt.Fprintf(&b, "<rect width=\"%d\" height=\"%d\" rx=\"8\" fill=\"#0d1117\"/>\n<g clip-path=\"url(#screen)\"><g id=\"text\">\n", width, height)
	for i, line := range t.lines {
		fmt.Fprintf(&b, "<text x=\"%d\" y=\"%d\"%s</text>\n", margin, margin+(i+1)*lineHeight-4, dressed(line.text))
	}
	// Where nothing moves, the cover lies below the text.
	fmt.Fprintf(&b, "<rect id=\"cover\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"#0d1117\"/>\n</g></g>\n</svg>\n",
		margin+len(t.lines)*lineHeight, width, (len(t.lines)+rows)*lineHeight)
	return b.Bytes()
}

// moments are when each line appears, from the start.
func (t *tape) moments() []time.Duration {
	var all []time.Duration
	var now time.Duration
	for i, line := range t.lines {
		if i > 0 {
			now += min(longestGap, max(shortestGap, line.at.Sub(t.lines[i-1].at)))
		}
		all = append(all, now)
	}
	return all
}

// keyframes move something down by a number of pixels that follows from how
// many lines are shown.
func keyframes(b *bytes.Buffer, name string, moments []time.Duration, whole time.Duration, y func(shown int) int) {
	fmt.Fprintf(b, "@keyframes %s {", name)
	before := 1
	for i, at := range moments {
		if now := y(i + 1); now != before {
			fmt.Fprintf(b, " %.3f%% { transform: translateY(%dpx) }", 100*at.Seconds()/whole.Seconds(), now)
			before = now
		}
	}
	fmt.Fprintf(b, " }\n")
}

// marks are the signs that slipway and the demo begin lines with.
var marks = map[rune]string{'✓': "good", '✗': "bad", '↩': "back", '!': "back"}

// dressed is a line as the rest of a text element, in the colours that a
// terminal would have shown.
func dressed(line string) string {
	if utf8.RuneCountInString(line) > columns {
		line = string([]rune(line)[:columns-1]) + "…"
	}
	switch number, _, _ := strings.Cut(line, ". "); {
	case strings.HasPrefix(line, "$ "):
		return ` class="command">` + html.EscapeString(line)
	case len(number) == 1, line == closingTitle:
		return ` class="title">` + html.EscapeString(line)
	}
	bare := strings.TrimLeft(line, " ")
	mark, size := utf8.DecodeRuneInString(bare)
	class, found := marks[mark]
	if !found {
		return ">" + html.EscapeString(line)
	}
	indent := line[:len(line)-len(bare)]
	return fmt.Sprintf(`>%s<tspan class="%s">%c</tspan>%s`, indent, class, mark, html.EscapeString(bare[size:]))
}
