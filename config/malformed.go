package config

import (
	"errors"
	"strings"

	"github.com/goccy/go-yaml"
)

// malformed turns the library's error into one of ours.
func (r *reader) malformed(err error) {
	m, message := mark{line: 1, column: 1}, err.Error()
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) {
		message = syntax.Message
		if syntax.Token != nil {
			m = markAt(syntax.Token)
		}
	}
	if r.tabbed(m.line) {
		r.add(mark{line: m.line, column: 1, width: 1}, Error{
			Message: "a tab indents this line",
			Hint:    "indent with spaces: YAML does not allow tabs there",
		})
		return
	}
	message, hint := explain(clean(message))
	r.add(m, Error{Message: "not well-formed YAML: " + message, Hint: hint})
}

// tabbed reports whether a tab is in the indentation of a line.
func (r *reader) tabbed(line int) bool {
	if line < 1 || line > len(r.src.lines) {
		return false
	}
	text := r.src.lines[line-1]
	indent := text[:len(text)-len(strings.TrimLeft(text, " \t"))]
	return strings.Contains(indent, "\t")
}

// explanations are what the library's messages mean to somebody who writes a
// slipway.yaml. The first whose part is in a message is taken; an empty
// meaning leaves the message as it is.
var explanations = []struct{ part, meaning, hint string }{
	{"mapping value is not allowed", "a key cannot begin inside of a value", "put the value in quotes if a colon is part of it, or indent the next line like this one"},
	{"value is not allowed in this context. map key-value", "the value ended before this", "put the whole value in one pair of quotes"},
	{"value is not allowed in this context", "this does not belong to anything before it", "indent this line like the keys beside it, and check brackets and quotes before it"},
	{"non-map value is specified", "expected a key with a colon here", "write key: value, with a space after the colon"},
	{"unexpected key name", "expected a key with a colon here", "write key: value, with a space after the colon"},
	{"end character of single-quoted text", "the text that begins here has no closing quote", "end it with '"},
	{"end character of double-quoted text", "the text that begins here has no closing quote", `end it with "`},
	{"unknown escape character", "", `write \\ for a backslash, or put the text in single quotes`},
	{"is a reserved character", "", "put the text in quotes"},
	{"unexpected directive value", "a line or value cannot begin with % here", "put the text in quotes"},
	{"sequence end token ']'", "the list that begins here is not closed", "end it with ]"},
	{"flow mapping end token '}'", "the mapping that begins here is not closed", "end it with }"},
	{"',' or ']' must be", "the list before this is not closed", "end it with ], or put a comma between its entries"},
	{"',' or '}' must be", "the mapping before this is not closed", "end it with }, or put a comma between its keys"},
	{"'[' character corresponding", "this closes a list that was not begun", "remove the ], or begin the list with ["},
	{"'{' character corresponding", "this closes a mapping that was not begun", "remove the }, or begin the mapping with {"},
	{"block sequence entries", "a list cannot begin here", "begin it on the next line, or write it as [a, b]"},
	{"expected sequence element", "an entry is missing before the comma", "remove the comma, or write the entry"},
	{"unexpected scalar value type", "a value is missing before this", "write it; one that begins with * or & needs quotes"},
	{"undefined anchor name", "an anchor needs a name", "write &name, or put the text in quotes"},
	{"undefined alias name", "an alias needs a name", "write *name, or put the text in quotes"},
	{"invalid key for this map", "a list or a mapping cannot be a key", "write a word before the colon"},
}

func explain(message string) (meaning, hint string) {
	for _, e := range explanations {
		if !strings.Contains(message, e.part) {
			continue
		}
		if e.meaning != "" {
			message = e.meaning
		}
		return message, e.hint
	}
	return message, "check brackets, quotes and the indentation of this line and the one before"
}
