package config

import (
	"fmt"
	"unicode"
	"unicode/utf8"

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
	if len(bodies) == 0 {
		r.add(mark{line: 1, column: 1}, Error{
			Message: "the file is empty",
			Hint:    "`slipway init` writes a first slipway.yaml",
		})
		return nil, false
	}
	r.resolve(bodies[0])
	return bodies[0], true
}

// readable refuses what is not text.
func (r *reader) readable() bool {
	if m, _, bad := r.src.find(func(c rune, size int) bool { return c == utf8.RuneError && size == 1 }); bad {
		return r.add(m, Error{Message: "the file is not UTF-8 text", Hint: "save it as UTF-8"})
	}
	if m, _, bad := r.src.find(func(c rune, _ int) bool { return c == 0 }); bad {
		return r.add(m, Error{
			Message: "the file is not UTF-8 text: it has NUL characters",
			Hint:    "save it as UTF-8, or name another file with --config if this is a program or an archive",
		})
	}
	if m, c, bad := r.src.find(isForbidden); bad {
		return r.add(m, Error{
			Message: fmt.Sprintf("the control character %U is not allowed in YAML", c),
			Hint:    `remove it, or write it as an escape in double quotes, such as "\e"`,
		})
	}
	return true
}

// isForbidden reports what YAML 1.2 (5.1, c-printable) does not let stand in a
// file.
func isForbidden(c rune, _ int) bool { return unicode.IsControl(c) && c != '\t' && c != '\u0085' }

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
	if !r.bounded(tokens) || !r.single(tokens) {
		return nil, false
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.malformed(err)
		return nil, false
	}
	return file, true
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

// single refuses a second document. It looks at the tokens because the library
// drops what follows two lines of --- in a row.
func (r *reader) single(tokens token.Tokens) bool {
	begun, ended, directive := false, false, 0
	for _, t := range tokens {
		switch t.Type {
		case token.CommentType:
		case token.DirectiveType:
			directive = t.Position.Line
		case token.DocumentHeaderType, token.DocumentEndType:
			ended, begun = begun, true
		default:
			if ended {
				r.add(markAt(t), Error{
					Message: "a second YAML document begins here",
					Hint:    "one file describes one app: remove what follows the line with --- or ...",
				})
				return false
			}
			begun = begun || t.Position.Line != directive
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
