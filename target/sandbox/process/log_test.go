package process

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"
)

func newLog(t testing.TB, limit int64) *Log {
	t.Helper()
	log, err := NewLog(filepath.Join(t.TempDir(), "log"), limit)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return log
}

func TestLogTail(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for _, c := range []struct {
		written string
		n       int
		want    []string
	}{
		{"", 5, nil},
		{"\n", 5, nil},
		{"a\nb\nc\n", 2, []string{"b", "c"}},
		{"a\nb\nc", 5, []string{"a", "b", "c"}},
		{"a\n\nc\n", 5, []string{"a", "", "c"}},
		{"a\n", 0, nil},
		{"a\n", -1, nil},
		{"tab\there\r\n", 1, []string{"tab\there"}},
		{"\x1b[31mred\x07\n", 1, []string{`\u001b[31mred\u0007`}},
		{"\u202egnp.exe\u2028\n", 1, []string{`\u202egnp.exe\u2028`}},
		{"bad \xff\xfe utf-8\n", 1, []string{`bad \xff\xfe utf-8`}},
		{"grüße, 世界 👋\n", 1, []string{"grüße, 世界 👋"}},
		{long + "\nend\n", 2, []string{long[:4096] + "…", "end"}},
	} {
		log := newLog(t, 1<<20)
		if _, err := log.Write([]byte(c.written)); err != nil {
			t.Fatal(err)
		}
		if got, err := log.Tail(c.n); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%.40q: got %q (%v), want %q", c.written, got, err, c.want)
		}
	}
}

func TestLogStaysWithinItsBounds(t *testing.T) {
	for _, size := range []int{1, 100, 3000, 50000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			log, sent := newLog(t, 8192), 0
			for sent < 40000 {
				n, err := log.Write([]byte(strings.Repeat("y", size-1) + "\n"))
				if err != nil || n != size {
					t.Fatal(n, err)
				}
				sent += n
				kept, err := log.read()
				if err != nil || len(kept) > 8192 || sent > 8192 && len(kept) < 4096 {
					t.Fatalf("%d bytes are kept (%v)", len(kept), err)
				}
			}
		})
	}
}

func TestLogGoesOn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	for i := range 3 {
		log, err := NewLog(path, MinLog)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(log, "start %d\n", i); err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			if got, _ := log.Tail(9); !slices.Equal(got, []string{"start 0", "start 1", "start 2"}) {
				t.Errorf("got %q", got)
			}
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
		if err := log.Close(); err != nil {
			t.Errorf("closed twice: %v", err)
		}
		if _, err := log.Write([]byte("x")); !errors.Is(err, os.ErrClosed) {
			t.Errorf("a closed one says %v", err)
		}
		if got, err := log.Tail(1); err != nil || len(got) != 1 {
			t.Errorf("a closed one ends with %q (%v)", got, err)
		}
	}
	if info, _ := os.Stat(path); info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %s", info.Mode())
	}
}

func TestLogOfMany(t *testing.T) {
	log := newLog(t, 64<<10)
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			for j := range 500 {
				_, _ = fmt.Fprintf(log, "writer %d line %d\n", i, j)
				if j%100 == 0 {
					_, _ = log.Tail(10)
				}
			}
		})
	}
	group.Wait()
	lines, err := log.Tail(5000)
	if err != nil || len(lines) != 2000 {
		t.Fatalf("%d lines (%v)", len(lines), err)
	}
	for _, line := range lines {
		if !strings.HasPrefix(line, "writer ") || strings.Count(line, "writer") != 1 {
			t.Fatalf("a torn line %q", line)
		}
	}
}

// TestLogRecovers loses its folder for a while, as a full disk would have it.
func TestLogRecovers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "logs")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	log, err := NewLog(filepath.Join(dir, "log"), MinLog)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := log.Write(make([]byte, 2*MinLog)); err == nil {
		t.Error("it wrote nowhere")
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := log.Write([]byte("again\n")); err != nil {
		t.Error(err)
	}
	if got, err := log.Tail(1); err != nil || !slices.Equal(got, []string{"again"}) {
		t.Errorf("got %q (%v)", got, err)
	}
}

func TestNewLogRefuses(t *testing.T) {
	if _, err := NewLog(filepath.Join(t.TempDir(), "log"), MinLog-1); err == nil {
		t.Error("a limit too small")
	}
	if _, err := NewLog(filepath.Join(t.TempDir(), "no", "log"), MinLog); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add("plain\ttext")
	f.Add("\x1b]0;title\x07\u009b\u202e\xff\r")
	f.Fuzz(func(t *testing.T, line string) {
		got := printable(line)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return r != '\t' && unicode.IsControl(r) }) {
			t.Errorf("%q became %q", line, got)
		}
	})
}

func TestLogNotesOnce(t *testing.T) {
	log, err := NewLog(filepath.Join(t.TempDir(), "log"), MinLog)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	for _, text := range []string{"one thing", "another", "one thing"} {
		log.note(text)
	}
	if got, err := log.Tail(10); err != nil || !slices.Equal(got, []string{"slipway: one thing", "slipway: another"}) {
		t.Errorf("got %q (%v)", got, err)
	}
}
