package config

import (
	"reflect"

	"github.com/invopop/jsonschema"

	"github.com/slipway-ci/slipway/deploy"
)

// The texts of who is known at a gateway.
type (
	headerName  string
	headerValue string
	cookieName  string
	ending      string
)

var (
	headerNameForm = newForm(`^[A-Za-z0-9]([A-Za-z0-9_.-]{0,98}[A-Za-z0-9])?$`,
		"the name of a header, of A-Z, a-z, 0-9, - and _", "write one such as X-Canary")
	headerValueForm = newForm("^[!#-&(-_a-~]([ !#-&(-_a-~]{0,98}[!#-&(-_a-~])?$",
		"the value of a header, without quotes", "write one such as always")
	cookieNameForm = newForm(`^[A-Za-z0-9_.-]{1,100}$`,
		"the name of a cookie, of A-Z, a-z, 0-9, -, _ and .", "write one such as session")
)

func (v *headerName) read(r *reader, p place) bool  { return readText(r, p, v, headerNameForm) }
func (v *headerValue) read(r *reader, p place) bool { return readText(r, p, v, headerValueForm) }
func (v *cookieName) read(r *reader, p place) bool  { return readText(r, p, v, cookieNameForm) }
func (v *ending) read(r *reader, p place) bool      { return readWord(r, p, v, wordsOf(deploy.Endings)) }

func (headerName) JSONSchema() *jsonschema.Schema  { return headerNameForm.schema() }
func (headerValue) JSONSchema() *jsonschema.Schema { return headerValueForm.schema() }
func (cookieName) JSONSchema() *jsonschema.Schema  { return cookieNameForm.schema() }
func (ending) JSONSchema() *jsonschema.Schema      { return wordSchema(wordsOf(deploy.Endings)) }

// gatewayExamples show keys that are called alike elsewhere.
var gatewayExamples = map[string]string{"value": "value: always"}

func (v *testers) read(r *reader, p place) bool {
	return r.fieldsLike(reflect.ValueOf(v).Elem(), p, nil, gatewayExamples)
}

func (v *sticky) read(r *reader, p place) bool {
	if !r.fields(reflect.ValueOf(v).Elem(), p) {
		return false
	}
	switch {
	case v.Cookie == nil && v.Header == nil:
		return r.add(p.keyMark(), Error{Message: "sticky: nothing says by what users are known", Hint: "add cookie: session, or header: X-User-Id"})
	case v.Cookie != nil && v.Header != nil:
		return r.add(r.at(v.Header).keyMark(), Error{Message: "header: cookie says by what users are known, too", Hint: "keep one of them"})
	}
	return true
}

// compile is a gateway; nil where none was named.
func (g *gateway) compile() *deploy.Gateway {
	if g == nil {
		return nil
	}
	out := &deploy.Gateway{Name: string(g.Name), Namespace: string(or(g.Namespace, "")), Host: string(g.Host)}
	if g.Testers != nil {
		out.Testers = &deploy.Testers{Header: string(g.Testers.Header), Value: string(g.Testers.Value)}
	}
	if s := g.Sticky; s != nil {
		out.Sticky = &deploy.Sticky{Cookie: string(or(s.Cookie, "")), Header: string(or(s.Header, "")), EndsIn: deploy.Ending(or(s.EndsIn, ""))}
	}
	return out
}
