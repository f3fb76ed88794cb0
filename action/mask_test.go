package action

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"net/url"
	"strings"
	"testing"
)

func TestMasker(t *testing.T) {
	const secret = `p@ss"w<o>rd&1/+?`
	m := NewMasker(secret)
	quoted, err := json.Marshal(map[string]string{"key": secret})
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"plain":            secret,
		"base64":           base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64 raw":       base64.RawStdEncoding.EncodeToString([]byte(secret)),
		"base64 url":       base64.URLEncoding.EncodeToString([]byte(secret)),
		"base64 with echo": base64.StdEncoding.EncodeToString([]byte(secret + "\n")),
		"hex":              hex.EncodeToString([]byte(secret)),
		"query":            url.QueryEscape(secret),
		"path":             url.PathEscape(secret),
		"json":             string(quoted),
		"go":               fmt.Sprintf("%q", secret),
		"html":             html.EscapeString(secret),
	} {
		t.Run(name, func(t *testing.T) {
			got := m.String("before " + text + " after")
			if strings.Contains(got, strings.Trim(text, "=")) || !strings.Contains(got, mask) {
				t.Errorf("got %s", got)
			}
			if !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
				t.Errorf("more than the secret is gone: %s", got)
			}
		})
	}
}

func TestMaskerFindsBase64AtEveryOffset(t *testing.T) {
	const secret = "correct-horse-battery"
	m := NewMasker(secret)
	for offset := range 7 {
		text := base64.StdEncoding.EncodeToString([]byte("user:prefix"[:offset] + secret + ":tail"))
		got := m.String(text)
		if !strings.Contains(got, mask) || len(got) > len(text)-len(secret) {
			t.Errorf("offset %d: %s became %s", offset, text, got)
		}
	}
}

func TestMaskerLineByLine(t *testing.T) {
	key := "-----BEGIN KEY-----\nMIIEvQIBADAN\r\n  BgkqhkiG9w0B\n}\n-----END KEY-----\n"
	m := NewMasker(key)
	got := m.String("a MIIEvQIBADAN b\nBgkqhkiG9w0B }")
	if got != "a *** b\n*** }" {
		t.Errorf("got %q", got)
	}
}

func TestMaskerOfShortValues(t *testing.T) {
	m := NewMasker("7", "ab", "", " \n ")
	got := m.String("7 of 17, ab, grab, x=7; a_ab (7) ab")
	if want := "*** of 17, ***, grab, x=***; a_ab (***) ***"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestMaskerHidesTheUnionOfWhatOverlaps(t *testing.T) {
	m := NewMasker("abcdef", "efghij")
	if got := m.String("<abcdefghij>"); got != "<***>" {
		t.Errorf("got %q", got)
	}
}

func TestMaskerOfStars(t *testing.T) {
	m := NewMasker("****", "secret", "***x")
	for _, text := range []string{"*****", "secret*", "secretx"} {
		if got := m.String(text); strings.Contains(got, "****") || strings.Contains(got, "***x") {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestMaskedWriterAcrossWrites(t *testing.T) {
	m := NewMasker("correct-horse")
	for size := 1; size < 20; size++ {
		var out bytes.Buffer
		w := m.Writer(&out)
		for rest := "one correct-horse two\ncorrect-horse"; rest != ""; {
			n := min(size, len(rest))
			if _, err := w.Write([]byte(rest[:n])); err != nil {
				t.Fatal(err)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if out.String() != "one *** two\n***" {
			t.Errorf("in pieces of %d: %q", size, out.String())
		}
	}
}

func TestMaskedWriterIsBounded(t *testing.T) {
	m := NewMasker("correct-horse")
	var out bytes.Buffer
	w := m.Writer(&out)
	w.maxLine = 64
	for range 100 {
		if _, err := w.Write([]byte("correct-horse, ")); err != nil {
			t.Fatal(err)
		}
		if len(w.held) > w.maxLine+m.longest() {
			t.Fatalf("%d bytes are held", len(w.held))
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if want := strings.Repeat("***, ", 100); out.String() != want {
		t.Errorf("got %q", out.String())
	}
}

func TestMaskedWriterTellsOfErrors(t *testing.T) {
	w := NewMasker("x").Writer(broken{})
	if _, err := w.Write([]byte("line\n")); err == nil {
		t.Error("no error")
	}
}

// FuzzMasker holds the promise: what comes out, whole or in pieces, never
// contains a value of 4 bytes or more.
func FuzzMasker(f *testing.F) {
	f.Add("hunter22", "login hunter22 ok", 3)
	f.Add("****", "*****", 1)
	f.Add("a\x00b\xffc", "a\x00b\xffc", 2)
	f.Add("line one\nline two", "x line two y", 5)
	f.Fuzz(func(t *testing.T, secret, text string, size int) {
		if len(secret)+len(text) > 500 {
			t.Skip("a line in pieces is looked at once for each: seconds for a thousand bytes")
		}
		m := NewMasker(secret)
		for _, s := range []string{text, text + secret + text, secret + secret} {
			checkHidden(t, secret, m.String(s))
			checkHidden(t, secret, inPieces(t, m, s, size))
		}
	})
}

func inPieces(t *testing.T, m *Masker, s string, size int) string {
	var out bytes.Buffer
	w := m.Writer(&out)
	w.maxLine = 1 << 20 // a value that contains *** can be completed across parts
	for step := max(1, size%50); s != ""; {
		n := min(step, len(s))
		if _, err := w.Write([]byte(s[:n])); err != nil {
			t.Fatal(err)
		}
		s = s[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func checkHidden(t *testing.T, secret, out string) {
	t.Helper()
	for line := range strings.SplitSeq(secret, "\n") {
		line = strings.TrimSpace(line)
		if len(line) >= shortest && strings.Contains(out, line) {
			t.Errorf("%q contains %q", out, line)
		}
	}
}
