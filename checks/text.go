package checks

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// excerpt is the beginning of a text in quotes, at most size bytes of it, with
// control characters as escapes.
func excerpt(s string, size int) string {
	if len(s) <= size {
		return strconv.Quote(s)
	}
	for !utf8.RuneStart(s[size]) {
		size--
	}
	return strconv.Quote(s[:size]) + "…"
}

const (
	// tailLines of an output are told, at most tailBytes in all.
	tailLines = 10
	tailBytes = 4 << 10
)

// tail is the end of an output in lines that a terminal shows as they are.
func tail(s string) []string {
	s = strings.TrimRight(s, "\r\n \t")
	if len(s) > tailBytes {
		cut := len(s) - tailBytes
		for cut < len(s) && !utf8.RuneStart(s[cut]) {
			cut++
		}
		s = "…" + s[cut:]
	}
	if s == "" {
		return nil
	}
	lines := strings.Split(s, "\n")
	lines = lines[max(0, len(lines)-tailLines):]
	for i, line := range lines {
		lines[i] = printable(strings.TrimRight(line, "\r"))
	}
	return lines
}

// printable writes control characters as escapes, all but the tab.
func printable(line string) string {
	var b strings.Builder
	for _, c := range strings.ToValidUTF8(line, "\ufffd") {
		if c == '\t' || strconv.IsPrint(c) {
			b.WriteRune(c)
			continue
		}
		quoted := strconv.QuoteRune(c)
		b.WriteString(quoted[1 : len(quoted)-1])
	}
	return b.String()
}
