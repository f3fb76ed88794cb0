package metrics

import (
	"fmt"
	"regexp"
	"strings"
	"text/template"

	"github.com/slipway-ci/slipway/deploy"
)

// Subject is what is measured.
type Subject struct {
	App, Environment string
	// Namespace is where the app runs, as a cluster calls it; may be empty.
	Namespace string
	// Backend is what the service and the workload of a version are called there,
	// where a query says nothing else; empty means {{.App}}-{{.Revision}}.
	Backend string
	// Live and Candidate are the versions. A baseline takes the place of Live
	// where there is one. Without a Live one nothing can be compared: only gauges
	// of the candidate are measured.
	Live, Candidate deploy.Revision
}

// side is one of both versions.
type side int

const (
	live side = iota
	candidate
)

var sides = [...]side{live, candidate}

func (s side) String() string {
	if s == live {
		return "live"
	}
	return "candidate"
}

// sideOf is what queries call a side.
func (s Subject) sideOf(which side) string {
	if which == live && s.Live.IsBaseline() {
		return "baseline"
	}
	return which.String()
}

// told is what people call a side.
func (s Subject) told(which side) string {
	switch {
	case which == candidate:
		return "the new version"
	case s.Live.IsBaseline():
		return "the baseline"
	}
	return "the live version"
}

// value is text that comes from outside of a query. It prints as it has to be
// written between quotes in PromQL, and cannot end them; plain values print as
// they are.
type value struct {
	text  string
	plain bool
}

// String escapes what means something between double or single quotes.
func (v value) String() string {
	if v.plain {
		return v.text
	}
	var b strings.Builder
	for _, r := range v.text {
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case r == '"' || r == '\'' || r == '`' || r < ' ' || r == 0x7f:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// fields are what a query can speak of.
type fields struct {
	App, Environment, Namespace value
	// Side is "live", "baseline" or "candidate".
	Side string
	// Version is the image's version, Revision the revision's name, Digest the
	// image's digest.
	Version, Revision, Digest value
	// Backend is what the version's service or workload is called; see
	// Query.Backend.
	Backend value
	// Select are the matchers of Query.Select. They are part of the query, and
	// hence not escaped.
	Select string
}

// Fields tell a person what a query can speak of.
const Fields = "{{.App}}, {{.Environment}}, {{.Namespace}}, {{.Side}} (live, baseline or candidate), {{.Version}}, {{.Revision}}, {{.Digest}}, {{.Backend}}; {{.App | regex}} for a regular expression"

// fieldsOf one version.
func (s Subject) fieldsOf(which side, plain bool) fields {
	of := func(text string) value { return value{text, plain} }
	r := s.Live
	if which == candidate {
		r = s.Candidate
	}
	return fields{
		App: of(s.App), Environment: of(s.Environment), Namespace: of(s.Namespace),
		Side: s.sideOf(which), Version: of(r.Image.Version), Revision: of(r.ID), Digest: of(r.Image.Digest),
	}
}

// fill puts the fields into the text of a query.
func fill(what, text string, f fields) (string, error) {
	t, err := template.New(what).Option("missingkey=error").Funcs(template.FuncMap{
		"regex": func(v value) value { return value{regexp.QuoteMeta(v.text), v.plain} },
	}).Parse(text)
	if err != nil {
		return "", wrongTemplate(what, text, err)
	}
	var b strings.Builder
	if err := t.Execute(&b, f); err != nil {
		return "", wrongTemplate(what, text, err)
	}
	return strings.TrimSpace(b.String()), nil
}

func wrongTemplate(what, text string, err error) error {
	why := strings.TrimPrefix(err.Error(), "template: ")
	why = strings.ReplaceAll(why, " in type metrics.fields", "")
	return deploy.Usage("it can speak of "+Fields, "%s: %s, in %s", what, strings.TrimPrefix(why, what+":"), shortened(text))
}

// longestShown is how much of a query or an answer is told, in bytes.
const longestShown = 300

// shortened is a text in one line that is not too long.
func shortened(s string) string {
	s = strings.ToValidUTF8(strings.Join(strings.Fields(s), " "), "\ufffd")
	if len(s) <= longestShown {
		return s
	}
	cut := longestShown
	for s[cut]&0xc0 == 0x80 {
		cut--
	}
	return s[:cut] + "…"
}
