package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// reader turns nodes into the types of the document. It goes on after a
// mistake, so that all are found.
type reader struct {
	src     source
	rules   Rules
	aliases map[*ast.AliasNode]ast.Node
	// places are where values came from, by pointer to the value.
	places map[any]place
	found  Errors
	// left bounds the work that aliases can multiply.
	left int
	full bool
}

// place is where a value came from and how messages call it.
type place struct {
	key, value ast.Node
	name       string
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
		left:    4 * maxTokens,
	}
}

// add reports a mistake. It always returns false, so that a caller can report
// and return at once.
func (r *reader) add(m mark, e Error) bool {
	if len(r.found) >= 4*maxMistakes { // aliases repeat mistakes; there is no use in all of them
		return false
	}
	e.File, e.Line, e.Column = r.src.path, m.line, m.column
	e.Snippet = r.src.snippet(m)
	r.found = append(r.found, &e)
	return false
}

// wrong reports that a value is not what is expected there.
func (r *reader) wrong(p place, expected, hint string) bool {
	return r.add(p.mark(), Error{
		Message: fmt.Sprintf("%s: expected %s, found %s", p.name, expected, found(p.value)),
		Hint:    hint,
	})
}

// at is where a value was read from.
func (r *reader) at(pointer any) place { return r.places[pointer] }

// into reads a place into what target points at, and remembers the place.
func (r *reader) into(target any, p place) bool {
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

// spend counts the values read. Only aliases of aliases can exceed the limit.
func (r *reader) spend(p place) bool {
	r.left--
	if r.left > 0 {
		return true
	}
	if !r.full {
		r.full = true
		r.add(p.mark(), Error{
			Message: "the aliases in this file multiply to too many values",
			Hint:    "write the values out, or use fewer aliases",
		})
	}
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
		return r.wrong(p, "a list", listHint(p))
	}
	v.Set(reflect.MakeSlice(v.Type(), len(seq.Values), len(seq.Values)))
	for i, n := range seq.Values {
		ok = r.into(v.Index(i).Addr().Interface(), place{value: n, name: p.name}) && ok
	}
	return ok
}

// listHint shows the list that a single text was probably meant to be.
func listHint(p place) string {
	if s, ok := text(p.value); ok {
		return fmt.Sprintf("write it as a list: [%s]", short(clean(s)))
	}
	return "write one entry on each line, after a dash, or all in brackets: [a, b]"
}

// pair is one key of a mapping with its value.
type pair struct {
	name       string
	key, value ast.Node
}

// place of the pair, as messages call it.
func (p pair) place() place { return place{key: p.key, value: p.value, name: p.name} }

// pairs are the keys of a mapping in written order, those that are merged in
// by << last. A key that is there twice is a mistake; a merged one only fills
// in.
func (r *reader) pairs(p place) ([]pair, bool) {
	return r.merged(p, 0)
}

func (r *reader) merged(p place, depth int) ([]pair, bool) {
	m, ok := p.value.(ast.MapNode)
	if !ok {
		return nil, r.wrong(p, "a mapping of keys to values", "")
	}
	var own []pair
	var merges []ast.Node
	seen := map[string]ast.Node{}
	for it := m.MapRange(); it.Next(); {
		if !r.spend(p) {
			return nil, false
		}
		if it.Key().IsMergeKey() {
			merges = append(merges, it.Value())
			continue
		}
		name, good := r.keyName(it.Key())
		if !good {
			ok = false
			continue
		}
		if before, twice := seen[name]; twice {
			ok = r.add(markOf(it.Key()), Error{
				Message: fmt.Sprintf("%s: this key is there twice, first in line %d", clean(name), markOf(before).line),
				Hint:    "keep one of them",
			})
			continue
		}
		seen[name] = it.Key()
		own = append(own, pair{name: name, key: it.Key(), value: it.Value()})
	}
	for _, n := range merges {
		more, good := r.merge(n, depth+1)
		ok = ok && good
		for _, q := range more {
			if _, there := seen[q.name]; !there {
				seen[q.name] = q.key
				own = append(own, q)
			}
		}
	}
	return own, ok
}

// merge reads the value of <<: a mapping, or a list of them of which earlier
// ones win.
func (r *reader) merge(n ast.Node, depth int) ([]pair, bool) {
	p := place{value: n, name: "<<"}
	if !r.spend(p) {
		return nil, false
	}
	if depth > maxDepth {
		return nil, r.add(p.mark(), Error{
			Message: "<<: merged mappings are nested too deep, or merge themselves",
			Hint:    "write the keys out",
		})
	}
	value, ok := r.plain(p)
	if !ok {
		return nil, false
	}
	p.value = value
	seq, isList := value.(*ast.SequenceNode)
	if !isList {
		return r.merged(p, depth)
	}
	var all []pair
	for _, entry := range seq.Values {
		more, good := r.merge(entry, depth+1)
		ok = ok && good
		all = append(all, more...)
	}
	return all, ok
}

// keyName is the text of a key.
func (r *reader) keyName(key ast.MapKeyNode) (string, bool) {
	n := ast.Node(key)
	if k, explicit := n.(*ast.MappingKeyNode); explicit {
		n = k.Value
	}
	n, ok := r.plain(place{value: n, name: "key"})
	if !ok {
		return "", false
	}
	name, ok := text(n)
	if !ok {
		return "", r.add(markOf(key), Error{
			Message: fmt.Sprintf("expected a key, found %s", found(n)),
			Hint:    "write a word before the colon",
		})
	}
	return name, true
}

// fields reads a mapping into a struct, whose yaml tags are the keys.
func (r *reader) fields(v reflect.Value, p place) bool {
	keys := keysOf(v.Type())
	pairs, ok := r.pairs(p)
	if pairs == nil && !ok {
		return false
	}
	given := map[string]bool{}
	for _, q := range pairs {
		given[q.name] = true
		i, known := keys.index[q.name]
		if !known {
			ok = r.unknown(q, p.name, keys.names)
			continue
		}
		ok = r.into(v.Field(i).Addr().Interface(), q.place()) && ok
	}
	for _, name := range keys.required {
		if !given[name] {
			ok = r.missing(name, p)
		}
	}
	return ok
}

func (r *reader) unknown(q pair, in string, valid []string) bool {
	return r.add(markOf(q.key), Error{
		Message: fmt.Sprintf("unknown key %s in %s", quote(q.name), in),
		Valid:   valid,
		Hint:    meant(q.name, valid, "remove it"),
	})
}

func (r *reader) missing(name string, p place) bool {
	return r.add(p.keyMark(), Error{
		Message: fmt.Sprintf("%s: the key %s is missing", p.name, name),
		Hint:    "add " + missingHints[name],
	})
}

// missingHints show what a required key looks like.
var missingHints = map[string]string{
	"app":          "the app's name, such as app: hello",
	"build":        "what the image is made of, such as build: {files: [{from: bin/hello, to: /hello}], entrypoint: [/hello]}",
	"environments": "at least one, such as environments: {staging: {target: sandbox}}",
	"from":         "the file or folder to copy, such as from: bin/hello",
	"to":           "where it goes in the image, such as to: /hello",
	"name":         "a name by which reports call it, such as name: home",
	"target":       "where it runs, such as target: sandbox",
}

// choice reads what is either a name alone or a mapping with that name as its
// only key and settings below: canary, or {canary: {hold: 5s}}. settings points
// at a struct of pointers with a field for each name that has settings.
func (r *reader) choice(p place, names []string, settings any) (string, bool) {
	if name, ok := text(p.value); ok {
		return name, r.oneOf(p.mark(), p.name, name, names)
	}
	if _, ok := p.value.(ast.MapNode); !ok {
		return "", r.add(p.mark(), Error{
			Message: fmt.Sprintf("%s: expected a name, or a name with settings, found %s", p.name, found(p.value)),
			Valid:   names,
			Hint:    fmt.Sprintf("write %s: %s", p.name, example(names)),
		})
	}
	pairs, ok := r.pairs(p)
	if !ok {
		return "", false
	}
	if len(pairs) != 1 {
		return "", r.add(p.mark(), Error{
			Message: fmt.Sprintf("%s: expected one name with its settings, found %d", p.name, len(pairs)),
			Valid:   names,
			Hint:    fmt.Sprintf("write %s: {%s: {…}}", p.name, example(names)),
		})
	}
	q := pairs[0]
	if !r.oneOf(markOf(q.key), p.name, q.name, names) {
		return "", false
	}
	v := reflect.ValueOf(settings).Elem()
	i, has := keysOf(v.Type()).index[q.name]
	if !has {
		return "", r.add(markOf(q.key), Error{
			Message: fmt.Sprintf("%s: %s has no settings", p.name, q.name),
			Hint:    fmt.Sprintf("write %s: %s", p.name, q.name),
		})
	}
	return q.name, r.into(v.Field(i).Addr().Interface(), q.place())
}

func (r *reader) oneOf(m mark, of, name string, names []string) bool {
	if slices.Contains(names, name) {
		return true
	}
	return r.add(m, Error{
		Message: fmt.Sprintf("%s: %s is not known", of, quote(name)),
		Valid:   names,
		Hint:    meant(name, names, "use one of these"),
	})
}

// example is a name to show in a hint.
func example(names []string) string {
	if len(names) == 0 {
		return "…"
	}
	return names[0]
}

// keys are what a struct of the document calls its fields.
type keys struct {
	names    []string
	required []string
	index    map[string]int
}

func keysOf(t reflect.Type) keys {
	k := keys{index: map[string]int{}}
	for i := range t.NumField() {
		name := t.Field(i).Tag.Get("yaml")
		if name == "" {
			continue
		}
		k.names = append(k.names, name)
		k.index[name] = i
		if slices.Contains(strings.Split(t.Field(i).Tag.Get("jsonschema"), ","), "required") {
			k.required = append(k.required, name)
		}
	}
	return k
}

// targetNames are the kinds of target that may be named.
func (r *reader) targetNames() []string {
	if r.rules.Targets == nil {
		return keysOf(reflect.TypeFor[targets]()).names
	}
	return slices.Sorted(maps.Keys(r.rules.Targets))
}
