package config

import (
	"fmt"
	"reflect"
	"slices"

	"github.com/goccy/go-yaml/ast"
)

// choice reads what is either a name alone or a mapping with that name as its
// only key and settings below: canary, or {canary: {hold: 5s}}. settings points
// at a struct of pointers with a field for each name that has settings. The
// name is empty where it is not one of names; the mark is where it is written.
func (r *reader) choice(p place, names []string, settings any) (name string, at mark, ok bool) {
	if name, scalar := text(p.value); scalar {
		if !r.oneOf(p.mark(), p.name, name, names) {
			return "", p.mark(), false
		}
		return name, p.mark(), true
	}
	if _, isMap := p.value.(ast.MapNode); !isMap {
		return "", p.mark(), r.unchosen(p, "a name, or a name with settings, found "+found(p.value), names)
	}
	pairs, ok := r.pairs(p)
	if !ok {
		return "", p.mark(), false
	}
	if len(pairs) != 1 {
		return "", p.mark(), r.unchosen(p, fmt.Sprintf("one name with its settings, found %d keys", len(pairs)), names)
	}
	q := pairs[0]
	at = markOf(q.key)
	if !r.oneOf(at, p.name, q.name, names) {
		return "", at, false
	}
	return q.name, at, r.settings(p, q, settings)
}

// settings reads those of the chosen name.
func (r *reader) settings(p place, q pair, into any) bool {
	v := reflect.ValueOf(into).Elem()
	i, has := keysOf(v.Type()).index[q.name]
	if !has {
		return r.add(markOf(q.key), Error{
			Message: fmt.Sprintf("%s: %s has no settings", p.name, q.name),
			Hint:    fmt.Sprintf("write %s: %s", p.name, q.name),
		})
	}
	return r.into(v.Field(i).Addr().Interface(), q.place())
}

// unchosen reports that no name can be made out.
func (r *reader) unchosen(p place, expected string, names []string) bool {
	return r.add(p.mark(), Error{
		Message: fmt.Sprintf("%s: expected %s", p.name, expected),
		Valid:   names,
		Hint:    "write one such as " + p.example,
	})
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
