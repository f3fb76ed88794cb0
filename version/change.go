package version

import "strings"

// Change is what a commit means to those who use what is released. A greater
// one weighs more.
type Change uint8

// The changes.
const (
	// NoChange is nothing that a release would be made for.
	NoChange Change = iota
	// Fix is a patch: something works that did not.
	Fix
	// Feature is a minor version: something new.
	Feature
	// Breaking is a major version: something works otherwise than before.
	Breaking
)

// String names it within a sentence.
func (c Change) String() string {
	return [...]string{"nothing to release", "a fix", "a feature", "a breaking change"}[min(c, Breaking)]
}

// kinds are the types of Conventional Commits that mean something to users, as
// semantic-release has them.
var kinds = map[string]Change{"fix": Fix, "perf": Fix, "revert": Fix, "feat": Feature}

// ChangeOf reads the message of a commit by Conventional Commits 1.0.0
// (https://www.conventionalcommits.org/en/v1.0.0/): "feat(api)!: subject", with
// "BREAKING CHANGE: what" in a line of its own. What git revert writes is a Fix.
//
// It is forgiving where a strict reading would miss a change: a type may have
// capitals, an empty line before a body or a footer may be missing, and a
// breaking change counts under whatever subject it stands. Any other message is
// NoChange.
func ChangeOf(message string) Change {
	subject, rest, _ := strings.Cut(strings.TrimLeft(message, " \t\r\n"), "\n")
	change := ofSubject(strings.TrimRight(subject, " \t\r"))
	if change == Breaking || isBreaking(subject) {
		return Breaking
	}
	for line := range strings.Lines(rest) {
		if isBreaking(line) {
			return Breaking
		}
	}
	return change
}

// ofSubject reads type, scope and the exclamation mark.
func ofSubject(subject string) Change {
	if strings.HasPrefix(subject, `Revert "`) {
		return Fix
	}
	prefix, description, found := strings.Cut(subject, ": ")
	if !found || strings.TrimSpace(description) == "" {
		return NoChange
	}
	prefix, breaks := strings.CutSuffix(prefix, "!")
	kind, scope, scoped := strings.Cut(prefix, "(")
	if scoped && (!strings.HasSuffix(scope, ")") || strings.ContainsAny(scope[:len(scope)-1], "()") || scope == ")") {
		return NoChange
	}
	if !isWord(kind) {
		return NoChange
	}
	if breaks {
		return Breaking
	}
	return kinds[strings.ToLower(kind)]
}

// isWord reports whether a text may be the type of a commit.
func isWord(s string) bool {
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return false
		}
	}
	return s != ""
}

// isBreaking finds the footer. It is written in capitals: a sentence about a
// breaking change is none.
func isBreaking(line string) bool {
	for _, token := range []string{"BREAKING CHANGE: ", "BREAKING-CHANGE: "} {
		if what, found := strings.CutPrefix(line, token); found {
			return strings.TrimSpace(what) != ""
		}
	}
	return false
}
