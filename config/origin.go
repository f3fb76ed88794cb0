package config

import "github.com/invopop/jsonschema"

// origin is a repository on GitHub.
type origin string

var originForm = newForm(`^[A-Za-z0-9][A-Za-z0-9_-]{0,99}/[A-Za-z0-9._-]{1,100}$`,
	"a repository on GitHub such as acme/hello", "write owner and name, as in its address")

func (v *origin) read(r *reader, p place) bool { return readText(r, p, v, originForm) }

// JSONSchema implements the hook of the schema library.
func (origin) JSONSchema() *jsonschema.Schema { return originForm.schema() }
