package config

import (
	"path"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/invopop/jsonschema"

	"github.com/slipway-ci/slipway/deploy"
)

// prune is the rule for old images; nil where the file has none.
func (r *reader) prune(d *document) *deploy.Prune {
	p := d.Prune
	if p == nil {
		return nil
	}
	rule := deploy.DefaultPrune()
	rule.Keep = int(or(p.Keep, kept(rule.Keep)))
	rule.OlderThan = time.Duration(or(p.OlderThan, lifetime(rule.OlderThan)))
	rule.Pattern = string(or(p.Pattern, ""))
	rule.Stable = bool(or(p.Stable, false))
	return &rule
}

// The values of the rule. kept is how many stay.
type (
	kept    int
	pattern string
	truth   bool
)

func (*kept) bounds() (low, high int) { return 0, 1000 }

func (v *kept) read(r *reader, p place) bool { return readInt(r, p, v) }

var patternForm = newForm(`^[0-9A-Za-z.+*?\[\]^\\-]{1,128}$`,
	"a pattern for versions, with * for any characters and ? for one", "write one such as '0.0.0-pr.*' or '*-beta.*'")

func (v *pattern) read(r *reader, p place) bool {
	if !readText(r, p, v, patternForm) {
		return false
	}
	if _, err := path.Match(string(*v), ""); err != nil {
		return r.add(p.mark(), Error{
			Message: p.name + ": " + quote(string(*v)) + " has a [ that is not closed, or a \\ at its end",
			Hint:    patternForm.hint,
		})
	}
	return true
}

func (v *truth) read(r *reader, p place) bool {
	b, ok := p.value.(*ast.BoolNode)
	if !ok {
		return r.wrong(p, "true or false", "write it without quotes: "+p.name+": true")
	}
	*v = truth(b.Value)
	return true
}

// JSONSchema implements the hook of the schema library; so do those below.
func (kept) JSONSchema() *jsonschema.Schema    { return integers((*kept)(nil)) }
func (pattern) JSONSchema() *jsonschema.Schema { return patternForm.schema() }
func (truth) JSONSchema() *jsonschema.Schema   { return &jsonschema.Schema{Type: "boolean"} }
