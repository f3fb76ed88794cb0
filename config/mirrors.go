package config

import (
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/invopop/jsonschema"
)

// mirrors are registries, and where their images are read instead.
type mirrors map[string]string

var (
	registryForm = newForm(`^[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?$`,
		"the name of a registry", "write one such as docker.io or registry.example.com:5000")
	mirrorForm = newForm(`^[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?(/`+pathPattern+`)*$`,
		"a registry, with or without a path", "write one such as mirror.gcr.io or europe-docker.pkg.dev/acme/docker-hub")
)

func (v *mirrors) read(r *reader, p place) bool {
	pairs, ok := r.pairs(p)
	*v = mirrors{}
	for _, q := range pairs {
		if !registryForm.pattern.MatchString(q.name) {
			ok = r.add(markOf(q.key), Error{
				Message: fmt.Sprintf("%s: expected %s, found %s", p.name, registryForm.expected, quote(q.name)),
				Hint:    registryForm.hint,
			})
			continue
		}
		mirror, good := r.text(q.place(), mirrorForm)
		if !good {
			ok = false
			continue
		}
		if _, err := name.NewRepository(mirror + "/x"); err != nil {
			ok = r.wrong(q.place(), mirrorForm.expected, mirrorForm.hint)
			continue
		}
		(*v)[q.name] = mirror
	}
	return ok
}

// JSONSchema implements the hook of the schema library.
func (mirrors) JSONSchema() *jsonschema.Schema {
	return &jsonschema.Schema{Type: "object", PropertyNames: registryForm.schema(), AdditionalProperties: mirrorForm.schema()}
}
