package action

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

const (
	// mask stands for what was hidden.
	mask = "***"
	// shortest is the length from which a value is hidden wherever it occurs.
	shortest = 4
	// shortestPart is the same for a piece of base64, which says less.
	shortestPart = 6
)

// Masker hides secret values in text. It hides a value as it is and in the
// forms in which it tends to leak: base64 (standard and URL alphabet, with and
// without padding, also in the middle of something longer, and broken into
// lines of 64 or 76), hexadecimal, percent-encoded, and escaped for JSON, Go and
// HTML, whichever characters were escaped and how often. Of a value of several
// lines, each line of 4 bytes or more is hidden by itself; the others are too
// little to tell apart from ordinary text.
//
// A value shorter than 4 bytes is hidden only as a whole word, that is, not
// between letters, digits or underscores: hiding every "1" would leave nothing
// to read. An empty value hides nothing.
//
// Space around a value does not count: what is hidden is what is between.
// A Masker may be used from several goroutines; a value counts from the moment
// of its Add.
type Masker struct {
	mu     sync.RWMutex
	hidden hidden
}

// NewMasker makes a Masker that hides the values.
func NewMasker(values ...string) *Masker {
	m := &Masker{}
	for _, value := range values {
		m.Add(value)
	}
	return m
}

// Add hides one more value from now on.
func (m *Masker) Add(value string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	lines := valueLines(value)
	long := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return len(line) < shortest })
	if len(long) == 0 {
		m.hidden.words = merge(m.hidden.words, lines)
		return
	}
	escaped := long
	if len(lines) > 1 {
		escaped = append([]string{strings.TrimSpace(value)}, long...)
	}
	needles := long
	var spellings []spelling
	for _, one := range escaped {
		needles = append(needles, forms(one)...)
		if s, has := newSpelling(one); has {
			spellings = append(spellings, s)
		}
	}
	m.hidden.anywhere = m.hidden.anywhere.with(needles, spellings)
	m.hidden.starry = m.hidden.starry.with(
		slices.DeleteFunc(needles, func(needle string) bool { return !strings.Contains(needle, "*") }),
		slices.DeleteFunc(spellings, func(s spelling) bool { return !s.starry }))
}

// String is the text with every value replaced by ***.
func (m *Masker) String(s string) string {
	masked, _ := m.now().replace(s, 0, len(s))
	return masked
}

// now is what is hidden at this moment.
func (m *Masker) now() hidden {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.hidden
}

// valueLines are the lines of a value without the space around them and
// without empty ones.
func valueLines(value string) []string {
	var lines []string
	for line := range strings.SplitSeq(value, "\n") {
		if line = strings.TrimSpace(line); line != "" {
			lines = append(lines, line)
		}
	}
	return lines
}

// hidden is what a Masker hides. What its slices hold is not changed in place:
// somebody may be reading it.
type hidden struct {
	anywhere patterns
	// words are hidden only as whole words. They are shorter than 4 bytes.
	words []string
	// starry are those of anywhere that a *** can be a part of.
	starry patterns
}

// longest is the length of the longest text that is hidden, in bytes.
func (h hidden) longest() int { return max(h.anywhere.longest, shortest-1) }

// replace is the text between from and to with *** in place of what is hidden,
// and how far it reaches: beyond to, where to is in the middle of something
// hidden. What is before from is written already, with a *** for all that begins
// there.
//
// Its time grows with the text, and not with how often a *** completes something.
func (h hidden) replace(s string, from, to int) (masked string, end int) {
	found := h.find(s)
	if len(found) == 0 && from <= to {
		return s[from:to], to
	}
	var out []byte
	end = from
	for _, f := range found {
		if f.end <= end || f.start >= max(to, end) {
			continue
		}
		if f.start >= end {
			out = append(append(out, s[end:f.start]...), mask...)
		}
		out, end = h.complete(out, s, f.end)
	}
	if end < to {
		out, end = append(out, s[end:to]...), to
	}
	return string(out), end
}

// complete hides the values that the *** at the end of out is a part of,
// together with what stands before it there and follows in s from end on. It
// returns both as they are then, shorter by a byte or more for each value.
func (h hidden) complete(out []byte, s string, end int) ([]byte, int) {
	for len(out) > 0 {
		before := out[max(0, len(out)-len(mask)-h.starry.longest):]
		found := h.starry.find(string(before) + s[end:min(len(s), end+h.starry.longest)])
		i := slices.IndexFunc(found, func(f span) bool { return f.start < len(before) && f.end > len(before)-len(mask) })
		if i < 0 {
			break
		}
		out = append(out[:len(out)-len(before)+found[i].start], mask...)
		end += max(0, found[i].end-len(before))
	}
	return out, end
}

// find are the places of what is hidden, from the first to the last; those that
// overlap are one.
func (h hidden) find(s string) []span {
	found := h.anywhere.find(s)
	for _, word := range h.words {
		found = append(found, slices.DeleteFunc(places(s, word), func(f span) bool { return !isWhole(s, f) })...)
	}
	slices.SortFunc(found, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	united := found[:0]
	for _, f := range found {
		if last := len(united) - 1; last >= 0 && f.start < united[last].end {
			united[last].end = max(united[last].end, f.end)
			continue
		}
		united = append(united, f)
	}
	return united
}

// isWhole tells whether a word stands by itself.
func isWhole(s string, word span) bool {
	before, _ := utf8.DecodeLastRuneInString(s[:word.start])
	after, _ := utf8.DecodeRuneInString(s[word.end:])
	return !wordRune(before) && !wordRune(after)
}

func wordRune(r rune) bool {
	return r != utf8.RuneError && (r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r))
}

// patterns are hidden wherever they are.
type patterns struct {
	// needles are texts without a line feed, longest first.
	needles []string
	// spellings are of values with special characters.
	spellings []spelling
	// longest is the length of the longest text that is hidden, in bytes.
	longest int
}

// with has some more.
func (p patterns) with(needles []string, spellings []spelling) patterns {
	p.needles = merge(p.needles, needles)
	if len(p.needles) > 0 {
		p.longest = max(p.longest, len(p.needles[0]))
	}
	p.spellings = slices.Clip(p.spellings)
	for _, s := range spellings {
		if !slices.ContainsFunc(p.spellings, s.same) {
			p.spellings = append(p.spellings, s)
			p.longest = max(p.longest, s.longest)
		}
	}
	return p
}

// merge joins two sets of strings, longest first.
func merge(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(x, y string) int {
		return cmp.Or(cmp.Compare(len(y), len(x)), strings.Compare(x, y))
	})
	return slices.Compact(all)
}

// find are the places of all of them, in no order.
func (p patterns) find(s string) []span {
	var found []span
	for _, one := range p.spellings {
		found = one.find(s, found)
	}
	for _, needle := range p.needles {
		found = append(found, places(s, needle)...)
	}
	return found
}

// span is a piece of text, from and including start up to end.
type span struct{ start, end int }

// places are all places of a needle, those too that overlap.
func places(s, needle string) []span {
	var found []span
	for at := 0; ; {
		i := strings.Index(s[at:], needle)
		if i < 0 {
			return found
		}
		found = append(found, span{at + i, at + i + len(needle)})
		at += i + 1
	}
}
