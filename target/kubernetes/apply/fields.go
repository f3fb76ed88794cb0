package apply

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// found is what a path leads to in one object.
type found struct {
	value any
	// tokens are those of a JSON pointer to it.
	tokens []string
}

// pointer is the JSON pointer (RFC 6901).
func (f found) pointer() string {
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	var s strings.Builder
	for _, t := range f.tokens {
		s.WriteString("/" + escape.Replace(t))
	}
	return s.String()
}

// lookup follows a path of managed fields.
func lookup(o *unstructured.Unstructured, path fieldpath.Path) (found, bool) {
	at := found{value: o.Object}
	for _, element := range path {
		token, value, ok := step(at.value, element)
		if !ok {
			return found{}, false
		}
		at = found{value: value, tokens: append(slices.Clone(at.tokens), token)}
	}
	return at, true
}

func step(in any, element fieldpath.PathElement) (token string, value any, ok bool) {
	if element.FieldName != nil {
		fields, _ := in.(map[string]any)
		value, ok = fields[*element.FieldName]
		return *element.FieldName, value, ok
	}
	items, _ := in.([]any)
	i := -1
	switch {
	case element.Index != nil && *element.Index < len(items):
		i = *element.Index
	case element.Value != nil:
		i = slices.IndexFunc(items, func(item any) bool { return same(item, (*element.Value).Unstructured()) })
	case element.Key != nil:
		i = slices.IndexFunc(items, func(item any) bool { return hasKey(item, element) })
	}
	if i < 0 {
		return "", nil, false
	}
	return strconv.Itoa(i), items[i], true
}

func hasKey(item any, element fieldpath.PathElement) bool {
	fields, ok := item.(map[string]any)
	if !ok {
		return false
	}
	for _, key := range *element.Key {
		if !same(keyField(fields, key.Name), key.Value.Unstructured()) {
			return false
		}
	}
	return true
}

// keyField is a field by which an item of a list is known. Of all of these in Kubernetes'
// own kinds one alone has a default, and need not be written: the protocol of a port.
func keyField(fields map[string]any, name string) any {
	if v, has := fields[name]; has || name != "protocol" {
		return v
	}
	return "TCP"
}

// same compares two values as JSON, which does not tell 1 from 1.0 apart.
func same(a, b any) bool { return text(a) == text(b) }

func text(v any) string {
	s, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(s)
}

// covers reports whether a set has a path, or something below it.
func covers(set *fieldpath.Set, path fieldpath.Path) bool {
	for i, element := range path {
		below, ok := set.Children.Get(element)
		if i == len(path)-1 {
			return ok || set.Members.Has(element)
		}
		if !ok {
			return false
		}
		set = below
	}
	return true
}
