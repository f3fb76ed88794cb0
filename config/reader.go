package config

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// reader turns nodes into the types of the document. It goes on after a
// mistake, so that all are found.
type reader struct {
	src     source
	rules   Rules
	aliases map[*ast.AliasNode]ast.Node
	// places are where values came from, by pointer to the value; misread are
	// those that hold a mistake.
	places  map[any]place
	misread map[any]bool
	found   Errors
	// left bounds the work that aliases can multiply.
	left int
	// full says that they did: nothing else is read or told.
	full bool
}

// place is where a value came from and how messages call it.
type place struct {
	key, value ast.Node
	name       string
	// example shows the key with a value that it may have; may be empty.
	example string
	// required forbids to leave it out.
	required bool
}

// mark is the value, or the key where there is nothing to point at.
func (p place) mark() mark {
	if _, null := p.value.(*ast.NullNode); (null || p.value == nil) && p.key != nil {
		return markOf(p.key)
	}
	return markOf(p.value)
}

// keyMark is the key, or the value where there is none as in a list.
func (p place) keyMark() mark {
	if p.key != nil {
		return markOf(p.key)
	}
	return markOf(p.value)
}

// readable is a value that reads itself. It reports its mistakes to the
// reader and returns false after one.
type readable interface {
	read(r *reader, p place) bool
}

func newReader(path string, data []byte, rules Rules) *reader {
	return &reader{
		src:     newSource(path, data),
		rules:   rules,
		aliases: map[*ast.AliasNode]ast.Node{},
		places:  map[any]place{},
		misread: map[any]bool{},
		left:    4 * maxTokens,
	}
}

// add reports a mistake. It always returns false, so that a caller can report
// and return at once.
func (r *reader) add(m mark, e Error) bool {
	if r.full || len(r.found) >= 4*maxMistakes { // aliases repeat mistakes; there is no use in all of them
		return false
	}
	e.File, e.Line, e.Column = r.src.path, m.line, m.column
	e.Snippet = r.src.snippet(m)
	r.found = append(r.found, &e)
	return false
}

// wrong reports that a value is not what is expected there. Without a hint, it
// is the example.
func (r *reader) wrong(p place, expected, hint string) bool {
	if _, null := p.value.(*ast.NullNode); null || hint == "" {
		hint = p.shown()
	}
	return r.add(p.mark(), Error{
		Message: fmt.Sprintf("%s: expected %s, found %s", p.name, expected, found(p.value)),
		Hint:    hint,
	})
}

// shown is a hint that shows how to write a place.
func (p place) shown() string {
	hint := "give it a value"
	if p.example != "" {
		hint = "write it like " + p.example
	}
	if _, null := p.value.(*ast.NullNode); null && !p.required {
		hint += ", or remove it"
	}
	return hint
}

// at is where a value was read from.
func (r *reader) at(pointer any) place { return r.places[pointer] }

// good reports whether a value was read, and without a mistake.
func (r *reader) good(pointer any) bool {
	return r.at(pointer).value != nil && !r.misread[pointer]
}

// into reads a place into what target points at, and remembers the place and
// whether it went well.
func (r *reader) into(target any, p place) bool {
	ok := r.value(target, p)
	if !ok {
		r.misread[target] = true
	}
	return ok
}

func (r *reader) value(target any, p place) bool {
	if !r.spend(p) {
		return false
	}
	value, ok := r.plain(p)
	if !ok {
		return false
	}
	p.value = value
	r.places[target] = p
	if self, ok := target.(readable); ok {
		return self.read(r, p)
	}
	v := reflect.ValueOf(target).Elem()
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return r.into(v.Interface(), p)
	case reflect.Slice:
		return r.list(v, p)
	default:
		return r.fields(v, p)
	}
}

// spend counts the values read. Only aliases of aliases can exceed the limit;
// then that is the one mistake told, since any other is repeated as often.
func (r *reader) spend(p place) bool {
	if r.full {
		return false
	}
	r.left--
	if r.left > 0 {
		return true
	}
	r.found = nil
	r.add(p.mark(), Error{
		Message: "the aliases in this file multiply to too many values",
		Hint:    "write the values out, or use fewer aliases",
	})
	r.full = true
	return false
}

// plain follows anchors and aliases to a value, and refuses tags.
func (r *reader) plain(p place) (ast.Node, bool) {
	n := p.value
	for range maxDepth {
		switch at := n.(type) {
		case *ast.AnchorNode:
			n = at.Value
		case *ast.AliasNode:
			to, known := r.aliases[at]
			if !known || to == nil {
				return nil, r.add(markOf(at), Error{
					Message: fmt.Sprintf("the alias *%s has no anchor before it", clean(nameOf(at.Value))),
					Hint:    fmt.Sprintf("mark the value that it stands for with &%s, above this line", clean(nameOf(at.Value))),
				})
			}
			n = to
		case *ast.TagNode:
			return nil, r.add(markOf(at), Error{
				Message: fmt.Sprintf("%s: YAML tags such as %s have no meaning here", p.name, clean(nameOf(at))),
				Hint:    "remove the tag; quotes make a text of a number",
			})
		default:
			return n, true
		}
	}
	return nil, r.add(markOf(p.value), Error{
		Message: p.name + ": this alias stands for itself",
		Hint:    "write the value out",
	})
}

// list reads each entry of a sequence.
func (r *reader) list(v reflect.Value, p place) bool {
	seq, ok := p.value.(*ast.SequenceNode)
	if !ok {
		return r.wrong(p, "a list", listHint(v.Type().Elem(), p))
	}
	v.Set(reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values)))
	for i, n := range seq.Values {
		ok = r.into(v.Index(i).Addr().Interface(), place{value: n, name: p.name, example: p.example}) && ok
	}
	return ok
}

// listHint shows the list that a single text was probably meant to be.
func listHint(entry reflect.Type, p place) string {
	s, ok := text(p.value)
	if !ok || strings.TrimSpace(s) == "" || entry.Kind() != reflect.String {
		return ""
	}
	words := []string{s}
	if entry == reflect.TypeFor[argument]() {
		words = strings.Fields(s)
		if strings.ContainsAny(s, "\"'|&;<>$*") { // for a shell to understand
			words = []string{"/bin/sh", "-c", fmt.Sprintf("%q", s)}
		}
	}
	return fmt.Sprintf("write it as a list: [%s]", short(clean(strings.Join(words, ", "))))
}
