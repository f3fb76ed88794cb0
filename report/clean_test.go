package report

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestOneLine(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                      "plain",
		"  two\n\tlines \r\n":        "two lines",
		"\x1b[31mred\x1b[0m":         "red",
		"\x1b]0;title\x07text":       "text",
		"\x1b]8;;http://x\x1b\\link": "link",
		"left\u202eright":            "left right",
		"bell\a and \x00null":        "bell and null",
		"\xff\xfe":                   "�",
		"line\u2028separator":        "line separator",
		"0123456789 0123456789 0":    "0123456789 012345…",
		strings.Repeat("\n", 100000): "…",
	} {
		if got := oneLine(in, 18); got != want {
			t.Errorf("%.40q: %q, not %q", in, got, want)
		}
	}
}

func TestShorten(t *testing.T) {
	for in, want := range map[string]string{"": "", "äöü": "äöü", "äöüß": "äö…", "abcd": "ab…", "a": "a"} {
		if got := shorten(in, 3); got != want {
			t.Errorf("%q: %q, not %q", in, got, want)
		}
	}
}

func TestWebAddress(t *testing.T) {
	for in, want := range map[string]string{
		"https://example.com/a?b=c":     "https://example.com/a?b=c",
		"http://x.localhost:4280":       "http://x.localhost:4280",
		"https://user:word@x.example/a": "https://x.example/a",
		"javascript:alert(1)":           "",
		"//x.example":                   "",
		"data:text/html,x":              "",
		"https://":                      "",
		"https://x.example/<b>":         "https://x.example/%3Cb%3E",
		"https://x.example/) [a](b":     "https://x.example/%29%20%5Ba%5D%28b",
		"":                              "",
	} {
		if got := webAddress(in); got != want {
			t.Errorf("%q: %q, not %q", in, got, want)
		}
	}
}

func TestMarker(t *testing.T) {
	for in, want := range map[string]string{
		"hello": "<!-- slipway:hello -->", "a--b": "<!-- slipway:a-_b -->", "a-b": "<!-- slipway:a-b -->",
		"x-->evil": "<!-- slipway:x-__evil -->", "Ä B": "<!-- slipway:__b -->", "": "<!-- slipway: -->",
	} {
		if got := marker(in); got != want {
			t.Errorf("%q: %q, not %q", in, got, want)
		}
	}
}

func FuzzOneLine(f *testing.F) {
	f.Add("\x1b[31mred\u202e\n::error::x", 10)
	f.Fuzz(func(t *testing.T, s string, limit int) {
		if limit < 1 || limit > 1000 {
			return
		}
		got := oneLine(s, limit)
		if !utf8.ValidString(got) || utf8.RuneCountInString(got) > limit || strings.ContainsFunc(got, unicode.IsControl) {
			t.Errorf("%q: %q", s, got)
		}
	})
}

// FuzzInline holds that what comes from elsewhere begins nothing in Markdown:
// each character that could has a backslash before it.
func FuzzInline(f *testing.F) {
	f.Add("<b>@octocat #1 GH-2 [x](y) `www.x.example` \\")
	f.Fuzz(func(t *testing.T, s string) {
		got := inline(s, 200)
		escaped := false
		for _, r := range got {
			if !escaped && r != '\\' && r < utf8.RuneSelf && strings.ContainsRune(punctuation, r) {
				t.Fatalf("%q is bare in %q", r, got)
			}
			escaped = !escaped && r == '\\'
		}
		for _, live := range []string{"@octocat", "#1", "www."} {
			if strings.Contains(got, live) {
				t.Errorf("%s lives in %q", live, got)
			}
		}
	})
}

// FuzzFence holds that nothing but its own last line ends a fence.
func FuzzFence(f *testing.F) {
	f.Add("```\n````\n~~~")
	f.Fuzz(func(t *testing.T, s string) {
		lines := strings.Split(strings.TrimSuffix(fence(strings.Split(s, "\n")), "\n"), "\n")
		mark := strings.TrimSuffix(lines[0], "text")
		for _, line := range lines[1 : len(lines)-1] {
			if strings.HasPrefix(strings.TrimLeft(line, " "), mark) {
				t.Errorf("%q ends the fence %q", line, mark)
			}
		}
	})
}

// FuzzCode holds that a code span ends where it is to.
func FuzzCode(f *testing.F) {
	f.Add("`a``b`")
	f.Fuzz(func(t *testing.T, s string) {
		got := code(s)
		if got == "" {
			return
		}
		mark := got[:len(got)-len(strings.TrimLeft(got, "`"))]
		if inside := strings.TrimSuffix(strings.TrimPrefix(got, mark), mark); longestRun(inside, '`') >= len(mark) {
			t.Errorf("%q ends early: %q", s, got)
		}
	})
}

// FuzzGantt holds that a name stays a name.
func FuzzGantt(f *testing.F) {
	f.Add("a: b, c; #d %% e\nsection x")
	f.Fuzz(func(t *testing.T, s string) {
		if got := ganttName(s); got == "" || strings.ContainsAny(got, ":;,#\n{}\"") || strings.Contains(got, "%%") {
			t.Errorf("%q: %q", s, got)
		}
	})
}

// FuzzDefuse holds that no line of a log commands the runner.
func FuzzDefuse(f *testing.F) {
	f.Add("\u00a0::error::x ##[group]")
	f.Fuzz(func(t *testing.T, s string) {
		got := defuse(oneLine(s, 500))
		if strings.HasPrefix(strings.TrimSpace(got), "::") || strings.Contains(got, "##[") {
			t.Errorf("%q: %q", s, got)
		}
	})
}
