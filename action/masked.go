package action

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"unicode/utf8"
)

// maxLine is how much of a line a MaskedWriter keeps before it writes a part, in
// bytes; it is more where something longer is hidden.
const maxLine = 64 << 10

// beside is what tells whether a short value is a word by itself: the character
// on either side, in bytes, and a beginning that is no whole character.
const beside = 2 * utf8.UTFMax

// Writer hides values in all that is written to w, also those that arrive in
// pieces: it writes line by line and keeps back a line until it is complete. In
// however many pieces a text is written, the same comes out.
func (m *Masker) Writer(w io.Writer) *MaskedWriter {
	return &MaskedWriter{masker: m, w: w, maxLine: maxLine}
}

// MaskedWriter is made by Masker.Writer. Close writes what is left; it does
// not close the writer below. It may be used from several goroutines.
//
// Of a line of more than 64 KiB it writes parts. A value with asterisks, as ***x,
// may be seen where two of them meet, made from a *** and what is behind it.
type MaskedWriter struct {
	masker  *Masker
	w       io.Writer
	maxLine int

	mu sync.Mutex
	// held is of the line that is not complete, of which the first bytes are
	// written: they are kept for what comes after them.
	held    []byte
	written int
}

var _ io.WriteCloser = (*MaskedWriter)(nil)

// Write takes all of p, and writes what is complete. Its error is that of the
// writer below.
func (w *MaskedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	hidden := w.masker.now()
	keep := hidden.longest() + beside
	limit := max(w.maxLine, keep) + keep
	var out strings.Builder
	for rest := p; len(rest) > 0; {
		piece := rest[:min(len(rest), max(1, limit-len(w.held)))]
		end := bytes.IndexByte(piece, '\n') + 1
		if end > 0 {
			piece = piece[:end]
		}
		w.held = append(w.held, piece...)
		rest = rest[len(piece):]
		switch {
		case end > 0:
			out.WriteString(w.line(hidden))
		case len(w.held) >= limit:
			out.WriteString(w.part(hidden, keep))
		}
	}
	if err := w.emit(out.String()); err != nil {
		return 0, err
	}
	return len(p), nil
}

// line is what is held, masked, as the end of its line.
func (w *MaskedWriter) line(hidden hidden) string {
	masked, _ := hidden.replace(string(w.held), w.written, len(w.held))
	w.held, w.written = w.held[:0], 0
	return masked
}

// part is the beginning of an overlong line, masked. It keeps back as much as a
// value could need that goes on in the next piece.
func (w *MaskedWriter) part(hidden hidden, keep int) string {
	masked, end := hidden.replace(string(w.held), w.written, len(w.held)-keep)
	from := len(w.held) - keep - beside
	w.held, w.written = append(w.held[:0], w.held[from:]...), end-from
	return masked
}

// Flush writes what is held back, although more of the line may come. A value
// of which only a part was written so far may then be seen in two pieces.
func (w *MaskedWriter) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.emit(w.line(w.masker.now()))
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
