package action

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"html"
	"io"
	"net/url"
	"slices"
	"strconv"
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
	mu sync.RWMutex
	// needles are hidden anywhere, longest first; words only as whole words.
	// Neither contains a line feed.
	needles []string
	words   []string
	// spellings are of values with special characters.
	spellings []spelling
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
	words := slices.DeleteFunc(slices.Clone(lines), func(line string) bool { return len(line) >= shortest })
	if len(words) == len(lines) {
		m.words = merge(m.words, words)
		return
	}
	if len(lines) > 1 {
		m.addForms(strings.TrimSpace(value))
	}
	for _, line := range lines {
		if len(line) >= shortest {
			m.needles = merge(m.needles, []string{line})
			m.addForms(line)
		}
	}
}

// addForms hides the forms of a value, but for the value as it is.
func (m *Masker) addForms(value string) {
	m.needles = merge(m.needles, forms(value))
	s, has := newSpelling(value)
	if has && !slices.ContainsFunc(m.spellings, s.same) {
		m.spellings = append(slices.Clip(m.spellings), s) // somebody may be reading the old ones
	}
}

// String is the text with every value replaced by ***.
func (m *Masker) String(s string) string {
	m.mu.RLock()
	needles, words, spellings := m.needles, m.words, m.spellings
	m.mu.RUnlock()
	for _, word := range words {
		s = maskWord(s, word)
	}
	// A replacement can complete another value out of what stands beside it.
	// Each round makes the text shorter, so this ends.
	for {
		masked := maskAll(s, needles, spellings)
		if masked == s {
			return s
		}
		s = masked
	}
}

// longest is the length of the longest text that is hidden.
func (m *Masker) longest() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	longest := 0
	for _, s := range slices.Concat(m.needles, m.words) {
		longest = max(longest, len(s))
	}
	for _, s := range m.spellings {
		longest = max(longest, s.longest)
	}
	return longest
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

// merge joins two sets of strings, longest first.
func merge(a, b []string) []string {
	all := slices.Concat(a, b)
	slices.SortFunc(all, func(x, y string) int {
		return cmp.Or(cmp.Compare(len(y), len(x)), strings.Compare(x, y))
	})
	return slices.Compact(all)
}

// forms are the encodings in which a value tends to leak. Those that contain a
// line feed or are too short to tell anything are left out.
func forms(value string) []string {
	all := []string{
		hex.EncodeToString([]byte(value)),
		strings.ToUpper(hex.EncodeToString([]byte(value))),
		url.QueryEscape(value),
		url.PathEscape(value),
		html.EscapeString(value),
		inner(strconv.Quote(value)),
		inner(strconv.QuoteToASCII(value)),
		jsonString(value, true),
		jsonString(value, false),
	}
	all = append(all, base64Forms(value)...)
	return slices.DeleteFunc(all, func(s string) bool {
		return len(s) < shortest || strings.Contains(s, "\n")
	})
}

func jsonString(value string, escapeHTML bool) string {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(escapeHTML)
	if err := encoder.Encode(value); err != nil {
		return "" // no string fails to encode
	}
	return inner(strings.TrimSuffix(b.String(), "\n"))
}

func inner(quoted string) string { return quoted[1 : len(quoted)-1] }

// base64Forms are the whole encodings, and what is certain to appear when the
// value stands at any offset in something longer that is encoded as a whole.
func base64Forms(value string) []string {
	var all []string
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		raw := encoding.EncodeToString([]byte(value))
		padding := strings.Repeat("=", (4-len(raw)%4)%4)
		all = append(all, raw+padding, raw)
		for _, width := range base64Lines {
			all = append(all, wrapped(raw, width)...)
		}
		for offset := range 3 {
			if part := base64Part(encoding, value, offset); len(part) >= shortestPart {
				all = append(all, part)
			}
		}
	}
	return all
}

// base64Lines are the lengths at which base64 is broken into lines: of PEM (RFC
// 7468) and of MIME (RFC 2045).
var base64Lines = []int{64, 76}

// wrapped are the lines of a text that does not fit into one, but for a last one
// that tells too little.
func wrapped(text string, width int) []string {
	var lines []string
	for len(text) > width {
		lines = append(lines, text[:width])
		text = text[width:]
	}
	if len(lines) > 0 && len(text) >= shortestPart {
		lines = append(lines, text)
	}
	return lines
}

// base64Part encodes the value behind offset other bytes and keeps the
// characters that depend on the value alone.
func base64Part(encoding *base64.Encoding, value string, offset int) string {
	bytes := append(make([]byte, offset), value...)
	encoded := encoding.EncodeToString(bytes)
	from := (offset*8 + 5) / 6
	to := len(bytes) * 8 / 6
	return encoded[from:max(from, to)]
}

// span is a piece of text, from and including start up to end.
type span struct{ start, end int }

// maskAll replaces all needles and spellings; where some overlap, their union.
func maskAll(s string, needles []string, spellings []spelling) string {
	var found []span
	for _, one := range spellings {
		found = one.find(s, found)
	}
	for _, needle := range needles {
		for at := 0; ; {
			i := strings.Index(s[at:], needle)
			if i < 0 {
				break
			}
			found = append(found, span{at + i, at + i + len(needle)})
			at += i + 1
		}
	}
	if len(found) == 0 {
		return s
	}
	slices.SortFunc(found, func(a, b span) int { return cmp.Compare(a.start, b.start) })
	return replace(s, found)
}

func replace(s string, found []span) string {
	var b strings.Builder
	end := 0
	for i, f := range found {
		if i == 0 || f.start >= end {
			b.WriteString(s[end:f.start])
			b.WriteString(mask)
		}
		end = max(end, f.end)
	}
	b.WriteString(s[end:])
	return b.String()
}

func maskWord(s, word string) string {
	var found []span
	for at := 0; at < len(s); {
		i := strings.Index(s[at:], word)
		if i < 0 {
			break
		}
		start, end := at+i, at+i+len(word)
		before, _ := utf8.DecodeLastRuneInString(s[:start])
		after, _ := utf8.DecodeRuneInString(s[end:])
		if !wordRune(before) && !wordRune(after) {
			found = append(found, span{start, end})
		}
		at = end
	}
	if len(found) == 0 {
		return s
	}
	return replace(s, found)
}

func wordRune(r rune) bool {
	return r != utf8.RuneError && (r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r))
}

// maxLine is how much of a line a MaskedWriter keeps before it writes a part.
const maxLine = 64 << 10

// Writer hides values in all that is written to w, also those that arrive in
// pieces: it writes line by line and keeps back a line until it is complete.
func (m *Masker) Writer(w io.Writer) *MaskedWriter {
	return &MaskedWriter{masker: m, w: w, maxLine: maxLine}
}

// MaskedWriter is made by Masker.Writer. Close writes what is left; it does
// not close the writer below. It may be used from several goroutines.
type MaskedWriter struct {
	masker  *Masker
	w       io.Writer
	maxLine int

	mu   sync.Mutex
	held []byte
}

var _ io.WriteCloser = (*MaskedWriter)(nil)

// Write takes all of p, and writes what is complete. Its error is that of the
// writer below.
func (w *MaskedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = append(w.held, p...)
	if end := bytes.LastIndexByte(w.held, '\n') + 1; end > 0 {
		if err := w.emit(w.masker.String(string(w.held[:end]))); err != nil {
			return 0, err
		}
		w.held = slices.Clone(w.held[end:])
	}
	if longest := w.masker.longest(); len(w.held) > w.maxLine+longest {
		return len(p), w.emitPart(longest)
	}
	return len(p), nil
}

// emitPart writes the beginning of an overlong line and keeps back as much as
// a value could need that goes on in the next piece.
func (w *MaskedWriter) emitPart(keep int) error {
	masked := w.masker.String(string(w.held))
	cut := max(0, len(masked)-keep)
	w.held = []byte(masked[cut:])
	return w.emit(masked[:cut])
}

// Flush writes what is held back, although more of the line may come. A value
// of which only a part was written so far may then be seen in two pieces.
func (w *MaskedWriter) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	rest := w.masker.String(string(w.held))
	w.held = nil
	return w.emit(rest)
}

// Close is Flush.
func (w *MaskedWriter) Close() error { return w.Flush() }

func (w *MaskedWriter) emit(s string) error {
	if s == "" {
		return nil
	}
	_, err := io.WriteString(w.w, s)
	return err
}
