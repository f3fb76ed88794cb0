package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Limits of a Log.
const (
	// MinLog is the least that a Log can be bounded to, in bytes.
	MinLog = 4 << 10
	// maxLine cuts a line that Tail returns, in bytes.
	maxLine = 4 << 10
)

// Log is a file that keeps the end of what is written to it: once it holds
// half of its limit it becomes path.1, replacing the one before, and a new one
// is begun. It may be written and read from several goroutines.
type Log struct {
	path string
	half int64

	mu    sync.Mutex
	file  *os.File
	size  int64
	noted map[string]bool
}

// NewLog opens the file for appending, or makes it, readable by its owner
// alone. The two files together keep the last max/2 to max bytes; max is at
// least MinLog.
func NewLog(path string, limit int64) (*Log, error) {
	if limit < MinLog {
		return nil, fmt.Errorf("log %s: a limit of %d bytes is below %d", path, limit, int64(MinLog))
	}
	l := &Log{path: path, half: limit / 2}
	if err := l.open(os.O_APPEND); err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	return l, nil
}

// Write appends, and turns the file over where it is due. It fails with
// os.ErrClosed after Close.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return 0, fmt.Errorf("log %s: %w", l.path, os.ErrClosed)
	}
	written := 0
	for written < len(p) {
		if l.size >= l.half {
			if err := l.rotate(); err != nil {
				return written, err
			}
		}
		chunk := p[written:min(len(p), written+int(l.half-l.size))]
		n, err := l.file.Write(chunk)
		written += n
		l.size += int64(n)
		if err != nil {
			return written, fmt.Errorf("log: %w", err)
		}
	}
	return written, nil
}

// note writes a line of our own, once: a replica that is started again and
// again has other things to say. What cannot be written is not worth an error.
func (l *Log) note(text string) {
	l.mu.Lock()
	known := l.noted[text]
	if l.noted == nil {
		l.noted = map[string]bool{}
	}
	l.noted[text] = true
	l.mu.Unlock()
	if !known {
		_, _ = fmt.Fprintf(l, "slipway: %s\n", text)
	}
}

// Tail returns the last n lines, oldest first, without line ends. A line of
// more than 4 KiB is cut; control characters but the tab, and bytes that are
// not UTF-8, are made visible, so that printing them does no harm.
func (l *Log) Tail(n int) ([]string, error) {
	if n <= 0 {
		return nil, nil
	}
	text, err := l.read()
	if err != nil {
		return nil, fmt.Errorf("log: %w", err)
	}
	text = strings.TrimSuffix(text, "\n")
	if text == "" {
		return nil, nil
	}
	lines := make([]string, 0, n)
	for len(lines) < n {
		cut := strings.LastIndexByte(text, '\n')
		lines = append(lines, printable(text[cut+1:]))
		if cut < 0 {
			break
		}
		text = text[:cut]
	}
	for i, j := 0, len(lines)-1; i < j; i, j = i+1, j-1 {
		lines[i], lines[j] = lines[j], lines[i]
	}
	return lines, nil
}

// Close closes the file; what it holds can still be read by Tail.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}

// read returns all that is kept.
func (l *Log) read() (string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	older, err := os.ReadFile(l.path + ".1")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	newer, err := os.ReadFile(l.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return string(older) + string(newer), nil
}

// open opens the file; flag is O_APPEND or O_TRUNC.
func (l *Log) open(flag int) error {
	file, err := os.OpenFile(l.path, os.O_CREATE|os.O_WRONLY|flag, 0o600)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return errors.Join(err, file.Close())
	}
	l.file, l.size = file, info.Size()
	return nil
}

// rotate begins a new file. The old one is closed only when there is a new
// one, so that a full disk leaves a Log that works again later.
func (l *Log) rotate() error {
	old := l.file
	if err := os.Rename(l.path, l.path+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("log: %w", err)
	}
	if err := l.open(os.O_TRUNC); err != nil {
		return fmt.Errorf("log: %w", err)
	}
	return old.Close()
}

// printable cuts a line and makes it safe to print on a terminal.
func printable(line string) string {
	line = strings.TrimSuffix(line, "\r")
	cut := len(line) > maxLine
	if cut {
		line = line[:maxLine]
	}
	var b strings.Builder
	for len(line) > 0 {
		r, size := utf8.DecodeRuneInString(line)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, line[0])
		case r != '\t' && (unicode.IsControl(r) || unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp)):
			fmt.Fprintf(&b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
		line = line[size:]
	}
	if cut {
		b.WriteString("…")
	}
	return b.String()
}
