package config

import (
	"fmt"
	"strings"
)

// variables are environment variables in written order.
type variables []entry

type entry struct {
	name, value string
	place       place
}

func (v *variables) read(r *reader, p place) bool {
	pairs, ok := r.pairs(p)
	for _, q := range pairs {
		at := q.place()
		at.name = p.name
		e, good := r.entry(q, at)
		ok = ok && good
		if good {
			*v = append(*v, e)
		}
	}
	return ok
}

func (r *reader) entry(q pair, at place) (entry, bool) {
	if !variableForm.pattern.MatchString(q.name) {
		return entry{}, r.add(markOf(q.key), Error{
			Message: fmt.Sprintf("%s: expected %s, found %s", at.name, variableForm.expected, quote(q.name)),
			Hint:    variableForm.hint,
		})
	}
	if !r.free(at, q.name) {
		return entry{}, false
	}
	at.name += "." + q.name
	n, ok := r.plain(at)
	if !ok {
		return entry{}, false
	}
	at.value = n
	s, scalar := text(n)
	if !scalar {
		return entry{}, r.wrong(at, "a text, a number, true or false", `write one value; "" is the empty text`)
	}
	if strings.ContainsRune(s, 0) {
		return entry{}, r.wrong(at, argumentForm.expected, argumentForm.hint)
	}
	return entry{name: q.name, value: s, place: at}, true
}
