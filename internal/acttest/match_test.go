package acttest

import (
	"regexp"
	"testing"
)

func match(t testing.TB, what, pattern, got string) {
	t.Helper()
	if !regexp.MustCompile(pattern).MatchString(got) {
		t.Errorf("%s is %q, which is not %s", what, got, pattern)
	}
}

// inOrder finds each pattern after the one before it.
func inOrder(t testing.TB, what string, patterns []string, text string) {
	t.Helper()
	rest := text
	for _, pattern := range patterns {
		at := regexp.MustCompile(pattern).FindStringIndex(rest)
		if at == nil {
			t.Errorf("%s has no %s where it should:\n%s", what, pattern, rest)
			return
		}
		rest = rest[at[1]:]
	}
}

// each holds texts against patterns, one by one.
func each(t testing.TB, what string, patterns, texts []string) {
	t.Helper()
	if len(texts) != len(patterns) {
		t.Errorf("there are %d %s, not %d: %q", len(texts), what, len(patterns), texts)
		return
	}
	for i, pattern := range patterns {
		match(t, what, pattern, texts[i])
	}
}
