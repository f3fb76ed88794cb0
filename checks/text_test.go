package checks

import (
	"strings"
	"testing"
	"unicode/utf8"
)

func TestRing(t *testing.T) {
	r := &ring{size: 5}
	for _, s := range []string{"", "ab", "cdefghijk", "l", "mn", strings.Repeat("z", 100), "end"} {
		if n, err := r.Write([]byte(s)); n != len(s) || err != nil {
			t.Errorf("Write(%q) = %d, %v", s, n, err)
		}
	}
	if got := r.String(); got != "zzend" {
		t.Errorf("ring holds %q", got)
	}
	if cap(r.buf) > 64 {
		t.Errorf("a ring of 5 holds on to %d bytes", cap(r.buf))
	}
}

func FuzzTail(f *testing.F) {
	f.Add("a\nb\r\n\x1b[2J")
	f.Add(strings.Repeat("é", 5000))
	f.Fuzz(func(t *testing.T, s string) {
		lines := tail(s)
		if len(lines) > tailLines {
			t.Errorf("%d lines", len(lines))
		}
		for _, line := range lines {
			if !utf8.ValidString(line) || strings.ContainsAny(line, "\n\r\x1b\x00") {
				t.Errorf("line %q", line)
			}
		}
	})
}
