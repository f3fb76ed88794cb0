package action

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
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
		if len(w.held) > w.maxLine+m.now().longest()+beside {
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

// Wherever a long line is cut, what comes out is what would without a cut: of
// values that overlap, in each form, and of words.
func TestMaskedWriterInParts(t *testing.T) {
	for name, m := range map[string]*Masker{
		"abcdefghij abcdefghijabcdefghij": NewMasker("abcdef", "efghij"),
		"aaaaaaaaaaaaaaaaaaaaaaaaaaa":     NewMasker("aaaa"),
		"é7 7é 7 x7 7":                    NewMasker("7"),
		"SECRETxxx":                       NewMasker("SECRET", "***x"),
	} {
		t.Run(name, func(t *testing.T) { checkParts(t, m, name) })
	}
	for name, form := range written(spicy) {
		t.Run(name, func(t *testing.T) { checkParts(t, NewMasker(spicy), form) })
	}
}

// checkParts cuts a line in a text, at each of its places or at some 50 of them.
func checkParts(t *testing.T, m *Masker, text string) {
	t.Helper()
	short := func(w io.Writer) *MaskedWriter {
		masked := m.Writer(w)
		masked.maxLine = 1
		return masked
	}
	cut := m.now().longest() + beside
	for in := 0; in <= len(text); in += 1 + len(text)/50 {
		s := strings.Repeat(".", max(0, cut-in)) + text + strings.Repeat(".", 2*cut)
		if got, want := inPieces(t, short, s), m.String(s); got != want {
			t.Fatalf("%d bytes before the cut: %s, and whole %s", in, strings.Trim(got, "."), strings.Trim(want, "."))
		}
	}
}

func TestMaskedWriterTellsOfErrors(t *testing.T) {
	w := NewMasker("x").Writer(broken{})
	if _, err := w.Write([]byte("line\n")); err == nil {
		t.Error("no error")
	}
}

// FuzzMasker holds the promise: what comes out, whole or in pieces, never
// contains a value of 4 bytes or more, and is the same either way.
func FuzzMasker(f *testing.F) {
	f.Add("hunter22", "login hunter22 ok", 3)
	f.Add("****", "*****", 1)
	f.Add("***x", "xxxxx", 1)
	f.Add("a\x00b\xffc", "a\x00b\xffc", 2)
	f.Add("line one\nline two", "x line two y", 5)
	f.Fuzz(func(t *testing.T, secret, text string, size int) {
		skipLong(t, secret, text)
		m := NewMasker(secret)
		for _, s := range []string{text, text + secret + text, secret + secret} {
			whole := m.String(s)
			checkHidden(t, secret, whole)
			if got := inPieces(t, m.Writer, s, byte(size)); got != whole {
				t.Errorf("%q in pieces is %q, and whole %q", s, got, whole)
			}
		}
	})
}

// FuzzMaskedWriter holds the same of two values and lines of which a writer keeps
// a part only, in pieces of all sizes. A value with asterisks may be seen there.
func FuzzMaskedWriter(f *testing.F) {
	f.Add("hunter22", "22login", "hunter22login, 22login\n", []byte{3, 1})
	f.Add("abab", "x", "babababab x", []byte{4})
	f.Add("é7", "7", "aé7 é7é é7\n7", []byte{1})
	f.Add("a\n", "\xff\xff\\", "a\xff\xff\\\\\\a", []byte{})
	f.Add("p&ss", "***x", "p&amp;ssxxxxx", []byte{2, 9})
	f.Fuzz(func(t *testing.T, one, other, text string, sizes []byte) {
		skipLong(t, one, other, text)
		m := NewMasker(one, other)
		short := func(w io.Writer) *MaskedWriter {
			masked := m.Writer(w)
			masked.maxLine = 1
			return masked
		}
		s := strings.Repeat(text+one+other, 3)
		whole := inPieces(t, short, s)
		if got := inPieces(t, short, s, sizes...); got != whole {
			t.Errorf("%q in pieces of %d is %q, and at once %q", s, sizes, got, whole)
		}
		if !strings.Contains(one+other, "*") {
			checkHidden(t, one, whole)
			checkHidden(t, other, whole)
		}
	})
}

func skipLong(t *testing.T, texts ...string) {
	t.Helper()
	if len(strings.Join(texts, "")) > 1<<10 {
		t.Skip("no longer text shows anything else")
	}
}

// inPieces is what comes out of a writer for a text in pieces of those sizes, in
// turn, or as a whole. A size of 0 is 1.
func inPieces(t *testing.T, writer func(io.Writer) *MaskedWriter, s string, sizes ...byte) string {
	t.Helper()
	var out bytes.Buffer
	w := writer(&out)
	for i := 0; s != ""; i++ {
		n := len(s)
		if len(sizes) > 0 {
			n = min(n, max(1, int(sizes[i%len(sizes)])))
		}
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
