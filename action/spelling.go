package action

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// spelling finds a value however its special characters are written, each by
// itself: percent-encoded, escaped for JSON or a programming language, or as
// HTML has them. Programs differ in which ones they escape and in the case of
// the digits, and escape what is escaped already, so the ways cannot be listed.
type spelling struct {
	pattern *regexp.Regexp
	// anchor is a part that is the same in all of them; where it is missing
	// there is no need to look further.
	anchor string
	// longest is the number of bytes of a match, but for backslashes beyond 8 in
	// a row.
	longest int
	// starry says that the value has an asterisk in it.
	starry bool
}

const (
	// maxSpecial bounds the size of a pattern; what has more special characters
	// than this is no password.
	maxSpecial = 1000
	// runOfBackslashes is what is reckoned with: JSON in JSON in JSON has 7.
	runOfBackslashes = 8
)

// newSpelling is false for a value that nobody needs to escape, and for one
// with too much to escape.
func newSpelling(value string) (spelling, bool) {
	var pattern, run strings.Builder
	s := spelling{starry: strings.Contains(value, "*")}
	special := 0
	for rest := value; rest != ""; {
		c, size := utf8.DecodeRuneInString(rest)
		if isPlain(c) {
			pattern.WriteString(regexp.QuoteMeta(rest[:size]))
			run.WriteString(rest[:size])
			s.longest++
		} else {
			special++
			ways := spellingsOf(c, rest[:size])
			pattern.WriteString("(?:" + strings.Join(ways, "|") + ")")
			run.Reset()
			s.longest += 2 * (runOfBackslashes + len("u0000")) // more than four bytes in percent
		}
		if run.Len() > len(s.anchor) {
			s.anchor = run.String()
		}
		rest = rest[size:]
	}
	if special == 0 || special > maxSpecial {
		return spelling{}, false
	}
	var err error
	s.pattern, err = regexp.Compile(pattern.String())
	return s, err == nil
}

// isPlain tells what every encoding leaves alone.
func isPlain(c rune) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.'
}

// letters are what follows a backslash in place of a control character.
var letters = map[rune]string{'\a': "a", '\b': "b", '\t': "t", '\n': "n", '\v': "v", '\f': "f", '\r': "r"}

// names are those of HTML.
var names = map[rune]string{'&': "amp", '<': "lt", '>': "gt", '"': "quot", '\'': "apos"}

// spellingsOf are the patterns of one character; raw is what it is made of.
func spellingsOf(c rune, raw string) []string {
	var percent strings.Builder
	for _, b := range []byte(raw) {
		fmt.Fprintf(&percent, `%%(?:25)*(?i:%02x)`, b)
	}
	ways := []string{percent.String(), `\\+(?i:` + strings.Join(units(c), `)\\+(?i:`) + ")"}
	if c != '\n' { // text is masked line by line
		ways = append(ways, `\\*`+regexp.QuoteMeta(string(c)))
	}
	if len(raw) == 1 {
		ways = append(ways, fmt.Sprintf(`\\+(?i:x%02x)`, raw[0]))
	}
	if c > 0xFFFF {
		ways = append(ways, fmt.Sprintf(`\\+(?i:U%08x)`, c))
	}
	if c == ' ' {
		ways = append(ways, `\+`)
	}
	if letter := letters[c]; letter != "" {
		ways = append(ways, `\\+`+letter)
	}
	entity := fmt.Sprintf(`#0*%d|#(?i:x0*%x)`, c, c)
	if name := names[c]; name != "" {
		entity += "|(?i:" + name + ")"
	}
	return append(ways, "&(?:amp;)*(?:"+entity+");")
}

// units are those of UTF-16, as JSON numbers characters.
func units(c rune) []string {
	var all []string
	for _, u := range utf16.Encode([]rune{c}) {
		all = append(all, fmt.Sprintf("u%04x", u))
	}
	return all
}

// same says that both are of the same value.
func (s spelling) same(other spelling) bool { return s.pattern.String() == other.pattern.String() }

// find adds the places where the value is written.
func (s spelling) find(text string, found []span) []span {
	if !strings.Contains(text, s.anchor) {
		return found
	}
	for _, at := range s.pattern.FindAllStringIndex(text, -1) {
		found = append(found, span{at[0], at[1]})
	}
	return found
}
