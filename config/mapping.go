package config

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"

	"github.com/goccy/go-yaml/ast"
)

// fields reads a mapping into a struct, whose yaml tags are the keys.
func (r *reader) fields(v reflect.Value, p place) bool { return r.fieldsBut(v, p, nil) }

// fieldsBut refuses some of the keys that the struct has.
func (r *reader) fieldsBut(v reflect.Value, p place, refused map[string]refusal) bool {
	return r.fieldsLike(v, p, refused, nil)
}

// fieldsLike shows some keys by examples of their own.
func (r *reader) fieldsLike(v reflect.Value, p place, refused map[string]refusal, own map[string]string) bool {
	keys := keysOf(v.Type()).without(refused)
	pairs, ok := r.pairs(p)
	if pairs == nil && !ok {
		return false
	}
	given := map[string]bool{}
	for _, q := range pairs {
		if no, refuses := refused[q.name]; refuses {
			ok = r.refuse(q, no, keys.names)
			continue
		}
		i, known := keys.index[q.name]
		if !known {
			ok = r.unknown(q, p.name, keys.names)
			given[nearest(q.name, keys.names)] = true // misspelt is not missing
			continue
		}
		given[q.name] = true
		at := q.place()
		at.required = slices.Contains(keys.required, q.name)
		if example, has := own[q.name]; has {
			at.example = example
		}
		ok = r.into(v.Field(i).Addr().Interface(), at) && ok
	}
	for _, name := range keys.required {
		if !given[name] {
			ok = r.missing(name, p, cmp.Or(own[name], examples[name]))
		}
	}
	return ok
}

// refusal is why a key has no place where it would be expected, and what to do.
type refusal struct{ why, hint string }

func (r *reader) refuse(q pair, no refusal, valid []string) bool {
	return r.add(markOf(q.key), Error{
		Message: fmt.Sprintf("%s: %s", q.name, no.why),
		Valid:   valid,
		Hint:    no.hint,
	})
}

// unknown refuses a key, and says which one was meant or where it belongs.
func (r *reader) unknown(q pair, in string, valid []string) bool {
	hint := meant(q.name, valid, "remove it")
	if ours, known := elsewhereCalled[q.name]; known && slices.Contains(valid, ours) {
		hint = "did you mean " + ours + "?"
	}
	if homes := homesOf(q.name); homes != "" {
		hint = "move it " + homes + ", or remove it"
	}
	return r.add(markOf(q.key), Error{
		Message: fmt.Sprintf("unknown key %s in %s", quote(q.name), in),
		Valid:   valid,
		Hint:    hint,
	})
}

// elsewhereCalled are names that docker/build-push-action has for keys.
var elsewhereCalled = map[string]string{
	"file": "dockerfile", "build-args": "args", "build-arg": "args", "secret-envs": "secrets", "secret": "secrets",
	"cache": "cache-to", "oci-layout": "archive",
}

func (r *reader) missing(name string, p place, example string) bool {
	return r.add(p.keyMark(), Error{
		Message: fmt.Sprintf("%s: the key %s is missing", p.name, quote(name)),
		Hint:    "add " + example,
	})
}

// pair is one key of a mapping with its value.
type pair struct {
	name       string
	key, value ast.Node
}

// place of the pair, as messages call it.
func (p pair) place() place {
	return place{key: p.key, value: p.value, name: p.name, example: examples[p.name]}
}

// pairs are the keys of a mapping in written order, those that are merged in
// by << last. A key that is there twice is a mistake; a merged one only fills
// in.
func (r *reader) pairs(p place) ([]pair, bool) { return r.merged(p, 0) }

func (r *reader) merged(p place, depth int) ([]pair, bool) {
	own, merges, ok := r.own(p)
	seen := map[string]bool{}
	for _, q := range own {
		seen[q.name] = true
	}
	for _, n := range merges {
		more, good := r.merge(n, depth+1)
		ok = ok && good
		for _, q := range more {
			if !seen[q.name] {
				seen[q.name] = true
				own = append(own, q)
			}
		}
	}
	return own, ok
}

// own are the keys that a mapping has itself, and the values of its <<.
func (r *reader) own(p place) (own []pair, merges []ast.Node, ok bool) {
	m, ok := p.value.(ast.MapNode)
	if !ok {
		return nil, nil, r.wrong(p, "a mapping of keys to values", "")
	}
	seen := map[string]ast.Node{}
	for it := m.MapRange(); it.Next(); {
		if !r.spend(p) {
			return nil, nil, false
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
				Message: fmt.Sprintf("%s: this key is there twice, first in line %d", short(clean(name)), markOf(before).line),
				Hint:    "keep one of them",
			})
			continue
		}
		seen[name] = it.Key()
		own = append(own, pair{name: name, key: it.Key(), value: it.Value()})
	}
	return own, merges, ok
}

// merge reads the value of <<: a mapping, or a list of them of which earlier
// ones win.
func (r *reader) merge(n ast.Node, depth int) ([]pair, bool) {
	p := place{value: n, name: "<<", example: examples["<<"]}
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
