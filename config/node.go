package config

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// first is the token at which a node begins in the text. A block mapping's own
// token is the colon of its first key.
func first(n ast.Node) *token.Token {
	switch n := n.(type) {
	case nil:
		return nil
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 {
			return first(n.Values[0])
		}
	case *ast.MappingValueNode:
		return first(n.Key)
	}
	return n.GetToken()
}

func markOf(n ast.Node) mark {
	t := first(n)
	if t == nil {
		return mark{line: 1, column: 1}
	}
	return markAt(t)
}

// markAt is the place of a token, as wide as its text on its first line.
func markAt(t *token.Token) mark {
	if t.Position == nil {
		return mark{line: 1, column: 1}
	}
	text, _, _ := strings.Cut(t.Value, "\n")
	width := utf8.RuneCountInString(text)
	switch t.Type {
	case token.SingleQuoteType, token.DoubleQuoteType:
		width += 2
	case token.AnchorType, token.AliasType, token.ImplicitNullType:
		width = 1
	}
	return mark{line: max(1, t.Position.Line), column: max(1, t.Position.Column), width: width}
}

// text is what a scalar says, as it is written: 1.10 stays 1.10. False for
// null and for what is not a scalar.
func text(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode, *ast.FloatNode, *ast.BoolNode, *ast.InfinityNode, *ast.NanNode:
		return n.GetToken().Value, true
	}
	return "", false
}

// isString reports whether a scalar is text to YAML, too.
func isString(n ast.Node) bool {
	switch n.(type) {
	case *ast.StringNode, *ast.LiteralNode:
		return true
	}
	return false
}

// found says what a node is, for "expected …, found …".
func found(n ast.Node) string {
	switch n := n.(type) {
	case nil, *ast.NullNode:
		return "nothing"
	case *ast.StringNode, *ast.LiteralNode:
		s, _ := text(n)
		return quote(s)
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode, *ast.BoolNode:
		s, _ := text(n)
		return short(clean(s))
	case *ast.MappingNode:
		if len(n.Values) == 0 {
			return "an empty mapping"
		}
		return "a mapping"
	case *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		if len(n.Values) == 0 {
			return "an empty list"
		}
		return "a list"
	case *ast.TagNode:
		return "the tag " + short(clean(n.GetToken().Value))
	}
	return "something else"
}

func quote(s string) string { return fmt.Sprintf("%q", short(s)) }

// short keeps messages to one line on most terminals.
func short(s string) string {
	r := []rune(s)
	if len(r) <= 60 {
		return s
	}
	return string(r[:60]) + "…"
}
