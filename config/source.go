package config

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// source is the text of a file, by lines.
type source struct {
	path  string
	text  string
	lines []string
}

func newSource(path string, data []byte) source {
	text := strings.TrimPrefix(string(data), "\ufeff") // editors on Windows like to add it
	return source{path: path, text: text, lines: strings.Split(text, "\n")}
}

// mark is a place in the source: width characters from line and column on,
// which count from 1.
type mark struct{ line, column, width int }

// Lines longer than this are shown around the place alone.
const snippetWidth = 96

// snippet shows the line of a mark with a caret line below it; empty where
// there is no such line.
func (s source) snippet(m mark) string {
	if m.line < 1 || m.line > len(s.lines) {
		return ""
	}
	line := []rune(strings.TrimRight(s.lines[m.line-1], "\r"))
	if len(line) == 0 {
		return ""
	}
	at := min(max(m.column-1, 0), len(line))
	from := 0
	if len(line) > snippetWidth {
		from = min(max(0, at-snippetWidth/3), len(line)-snippetWidth)
	}
	to := min(len(line), from+snippetWidth)
	width := max(1, min(m.width, to-at))
	shown := visible(line[from:to])
	indent := at - from
	if from > 0 {
		shown, indent = "… "+shown, indent+2
	}
	if to < len(line) {
		shown += " …"
	}
	return shown + "\n" + strings.Repeat(" ", indent) + strings.Repeat("^", width)
}

// visible keeps the number of characters and whatever a terminal shows as it
// is; the rest could move the cursor or hide something.
func visible(line []rune) string {
	out := make([]rune, len(line))
	for i, c := range line {
		switch {
		case c == '\t':
			out[i] = ' '
		case !unicode.IsPrint(c):
			out[i] = '·'
		default:
			out[i] = c
		}
	}
	return string(out)
}

// clean makes foreign text fit for one line of a message.
func clean(s string) string {
	return visible([]rune(strings.ReplaceAll(s, "\n", " ")))
}

// find is the place of the first character that is bad. Bytes that are not
// UTF-8 are utf8.RuneError with size 1.
func (s source) find(bad func(c rune, size int) bool) (mark, rune, bool) {
	for i, line := range s.lines {
		column := 1
		for rest := strings.TrimSuffix(line, "\r"); rest != ""; column++ {
			c, size := utf8.DecodeRuneInString(rest)
			if bad(c, size) {
				return mark{line: i + 1, column: column, width: 1}, c, true
			}
			rest = rest[size:]
		}
	}
	return mark{}, 0, false
}
