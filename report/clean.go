package report

import (
	"reflect"
	"regexp"
	"strings"
	"time"
	"unicode"

	"github.com/slipway-ci/slipway/deploy"
)

// Scrub hides secrets in a text. A nil Scrub hides nothing.
type Scrub func(string) string

func (s Scrub) apply(text string) string {
	if s == nil {
		return text
	}
	return s(text)
}

// escapes are terminal control sequences: CSI, OSC, and the short ones.
var escapes = regexp.MustCompile(`\x1b(?:\[[0-9:;<=>?]*[\x20-\x2f]*[\x40-\x7e]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[\x20-\x2f]*[\x30-\x7e])`)

// oneLine makes text safe to stand in a line: no control sequences, no line
// breaks, no characters that reorder what stands around them. It keeps at most
// limit characters, and does not read much further than it needs to.
func oneLine(s string, limit int) string {
	rest := ""
	if most := 8*limit + 1024; len(s) > most {
		s, rest = s[:most], "…"
	}
	s = strings.ToValidUTF8(s, "�")
	if strings.ContainsRune(s, '\x1b') {
		s = escapes.ReplaceAllString(s, "")
	}
	s = strings.Map(func(r rune) rune {
		if unsafeRune(r) {
			return ' '
		}
		return r
	}, s)
	return shorten(strings.Join(strings.Fields(s), " ")+rest, limit)
}

// logLine is oneLine that keeps the indentation.
func logLine(s string) string {
	s = strings.ReplaceAll(strings.TrimRight(s, "\r\n"), "\t", "    ")
	indent := s[:len(s)-len(strings.TrimLeft(s, " "))]
	return shorten(indent+oneLine(s, 500), 500)
}

func unsafeRune(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029'
}

// shorten cuts text to at most limit characters, the last one an ellipsis.
func shorten(s string, limit int) string {
	if len(s) <= limit {
		return s
	}
	n, last := 0, 0
	for at := range s {
		if n == limit-1 {
			last = at
		}
		if n++; n > limit {
			return s[:last] + "…"
		}
	}
	return s
}

// defuse keeps a line of a log from being read as a workflow command by a
// runner: "::" at its beginning, "##[" anywhere.
func defuse(line string) string {
	line = strings.ReplaceAll(line, "##[", "## [")
	if strings.HasPrefix(strings.TrimSpace(line), "::") {
		return "| " + line
	}
	return line
}

// event hides secrets in the texts of an event before anything shortens them:
// half a secret is not recognised any more.
func (s Scrub) event(e deploy.Event) deploy.Event {
	e.Message, e.Hint, e.URL = s.apply(e.Message), s.apply(e.Hint), s.apply(e.URL)
	e.Environment = s.apply(e.Environment)
	e.Run, e.Image = scrubbed(e.Run, s), scrubbed(e.Image, s)
	e.Check, e.Evidence = scrubbed(e.Check, s), scrubbed(e.Evidence, s)
	e.Drift = scrubbed(e.Drift, s)
	return e
}

// scrubbed is a deep copy of a value of plain data in which every string has
// passed scrub. Keys of maps are kept.
func scrubbed[T any](value T, scrub Scrub) T {
	v := reflect.ValueOf(&value).Elem()
	scrubValue(v, scrub)
	return value
}

var timeType = reflect.TypeFor[time.Time]()

// scrubValue replaces what v shares with the original by copies.
func scrubValue(v reflect.Value, scrub Scrub) {
	switch v.Kind() {
	case reflect.String:
		v.SetString(scrub.apply(v.String()))
	case reflect.Pointer:
		if !v.IsNil() {
			fresh := reflect.New(v.Type().Elem())
			fresh.Elem().Set(v.Elem())
			scrubValue(fresh.Elem(), scrub)
			v.Set(fresh)
		}
	case reflect.Slice:
		if !v.IsNil() {
			fresh := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
			reflect.Copy(fresh, v)
			for i := range fresh.Len() {
				scrubValue(fresh.Index(i), scrub)
			}
			v.Set(fresh)
		}
	case reflect.Struct:
		if v.Type() == timeType {
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				scrubValue(v.Field(i), scrub)
			}
		}
	}
}
