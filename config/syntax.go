package config

import (
	"errors"
	"fmt"
	"strings"
	"unicode"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// The YAML library takes time and stack that grow with the square of these, so
// they bound both to well under a second.
const (
	maxTokens = 30_000
	maxDepth  = 32
)

// syntax is the one document in the file as a tree; false after a mistake.
func (r *reader) syntax() (ast.Node, bool) {
	if !r.readable() {
		return nil, false
	}
	file, ok := r.tree()
	if !ok {
		return nil, false
	}
	var bodies []ast.Node
	for _, doc := range file.Docs {
		if _, directive := doc.Body.(*ast.DirectiveNode); doc.Body != nil && !directive {
			bodies = append(bodies, doc.Body)
		}
	}
	switch {
	case len(bodies) == 0:
		r.add(mark{line: 1, column: 1}, Error{
			Message: "the file is empty",
			Hint:    "`slipway init` writes a first slipway.yaml",
		})
		return nil, false
	case len(bodies) > 1:
		r.add(markOf(bodies[1]), Error{
			Message: "a second YAML document begins here",
			Hint:    "one file describes one app: remove what follows the line with ---",
		})
		return nil, false
	}
	r.resolve(bodies[0])
	return bodies[0], true
}

// readable refuses what is not text.
func (r *reader) readable() bool {
	if m, bad := r.src.invalid(); bad {
		r.add(m, Error{Message: "the file is not UTF-8 text", Hint: "save it as UTF-8"})
		return false
	}
	for i, line := range r.src.lines {
		column := 1
		for _, c := range strings.TrimSuffix(line, "\r") {
			if unicode.IsControl(c) && c != '\t' && c != '\u0085' {
				r.add(mark{line: i + 1, column: column, width: 1}, Error{
					Message: fmt.Sprintf("the control character %U is not allowed in YAML", c),
					Hint:    `remove it, or write it as an escape in double quotes, such as "\e"`,
				})
				return false
			}
			column++
		}
	}
	return true
}

// tree parses. The library is known to panic on some malformed input; that is
// a mistake in the file like any other.
func (r *reader) tree() (file *ast.File, ok bool) {
	defer func() {
		if recover() != nil {
			r.add(mark{line: 1, column: 1}, Error{
				Message: "this is not well-formed YAML",
				Hint:    "check brackets, quotes and indentation",
			})
			file, ok = nil, false
		}
	}()
	tokens := lexer.Tokenize(r.src.text)
	if !r.bounded(tokens) {
		return nil, false
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.malformed(err)
		return nil, false
	}
	return file, true
}

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
	e := Error{
		Message: "not well-formed YAML: " + clean(message),
		Hint:    "check brackets, quotes and the indentation of this line and the one before",
	}
	if r.tabbed(m.line) {
		m.column, m.width = 1, 1
		e.Message = "a tab indents this line"
		e.Hint = "indent with spaces: YAML does not allow tabs there"
	}
	r.add(m, e)
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

// bounded refuses what is too large or too deep to be a configuration before
// it is parsed.
func (r *reader) bounded(tokens token.Tokens) bool {
	if len(tokens) > maxTokens {
		r.add(markAt(tokens[maxTokens]), Error{
			Message: fmt.Sprintf("the file has more than %d keys, values and marks", maxTokens),
			Hint:    "slipway.yaml describes one app; keep anything else elsewhere",
		})
		return false
	}
	flow, line, inline := 0, 0, 0
	for _, t := range tokens {
		if t.Position != nil && t.Position.Line != line {
			line, inline = t.Position.Line, 0
		}
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType, token.AnchorType, token.TagType:
			inline++
		case token.MappingValueType:
			if flow <= 0 {
				inline++
			}
		}
		if flow > maxDepth || inline > maxDepth {
			r.add(markAt(t), Error{
				Message: fmt.Sprintf("lists and mappings are nested more than %d deep here", maxDepth),
				Hint:    "nothing in slipway.yaml is nested that deep",
			})
			return false
		}
	}
	return true
}

// resolve notes what each alias stands for: the anchor of that name that was
// written last before it.
func (r *reader) resolve(top ast.Node) {
	ast.Walk(&resolver{reader: r, anchors: map[string]ast.Node{}}, top)
}

type resolver struct {
	reader  *reader
	anchors map[string]ast.Node
}

// Visit implements ast.Visitor.
func (v *resolver) Visit(n ast.Node) ast.Visitor {
	switch n := n.(type) {
	case *ast.AnchorNode:
		v.anchors[nameOf(n.Name)] = n.Value
	case *ast.AliasNode:
		v.reader.aliases[n] = v.anchors[nameOf(n.Value)]
	}
	return v
}

func nameOf(n ast.Node) string {
	if n == nil || n.GetToken() == nil {
		return ""
	}
	return n.GetToken().Value
}
