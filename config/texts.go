package config

import (
	"cmp"
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/slipway-ci/slipway/deploy"
)

// form is what a text has to look like.
type form struct {
	pattern *expr
	// expected completes "expected …"; hint says what to do.
	expected, hint string
}

func newForm(text, expected, hint string) form {
	p := &expr{text: text, compiled: sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })}
	return form{pattern: p, expected: expected, hint: hint}
}

// expr is a regular expression that is compiled when it is first needed:
// most commands need few, and all of them would cost each start 3 ms.
type expr struct {
	text     string
	compiled func() *regexp.Regexp
}

// MatchString reports whether a text has the form.
func (p *expr) MatchString(s string) bool { return p.compiled().MatchString(s) }

// String is the expression.
func (p *expr) String() string { return p.text }

// repositoryPattern is a registry with its port, if any, and a path as in the
// OCI distribution specification 1.1, "Pulling manifests".
const repositoryPattern = `([A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?/)?` + pathPattern + `(/` + pathPattern + `)*`

const pathPattern = `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`

var (
	labelForm = newForm(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`,
		"a name of 1 to 63 characters a-z, 0-9 and -, with no - at either end", "choose a name such as hello or my-app")
	referenceForm = newForm(labelForm.pattern.String(),
		"the name of an environment", "name one environment, such as after: staging")
	repositoryForm = newForm(`^`+repositoryPattern+`$`,
		"an image repository such as ghcr.io/acme/hello", "write registry and path alone: Slipway adds the tag")
	baseForm = newForm(`^`+repositoryPattern+`(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(@sha256:[0-9a-f]{64})?$`,
		"an image such as gcr.io/distroless/static", "name an image, or leave base out to build from scratch")
	platformForm = newForm(`^[a-z0-9]+/[a-z0-9]+(/[a-z0-9.]+)?$`,
		"a platform such as linux/amd64", "write operating system and architecture")
	localForm = newForm(`^[^/\x00][^\x00]*$`,
		"a path relative to the folder of slipway.yaml", "write a path such as bin/hello")
	imagePathForm = newForm(`^/[^\x00]*$`,
		"an absolute path in the image", "write a path such as /hello")
	httpForm = newForm(`^/[^\s#]*$`,
		"a path that begins with / and has no spaces or #", "write path and query alone, such as /healthz")
	variableForm = newForm(`^[A-Za-z_][A-Za-z0-9_]*$`,
		"the name of an environment variable", "use letters, digits and _, such as LOG_LEVEL")
	checkNameForm = newForm(`^\S([^\n\r]{0,98}\S)?$`,
		"a name of 1 to 100 characters in one line", "write a short name such as home")
	expressionForm = newForm(`\S`,
		"a CEL expression", "write one such as 'status == 200'")
	argumentForm = newForm(`^[^\x00]*$`,
		"a text without NUL characters", "remove the NUL character")
	modeForm = newForm(`^(0o?)?[0-7]{3}$`,
		"permission bits in octal from 0001 to 0777", "write them such as 0755")
	ownerForm = newForm(`^[0-9]{1,10}:[0-9]{1,10}$`,
		"user and group as numbers from 0 to 2147483647, such as 1000:1000", "names cannot be looked up in an image; write numbers")
	durationForm = newForm(`^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`,
		"a duration", "write a number with its unit (ms, s, m, h), such as 30s or 1m30s")
	percentForm = newForm(`^(100(\.0{1,6})?|[0-9]{1,2}(\.[0-9]{1,6})?)%?$`,
		"a percentage", "write one such as 10%")
)

// text reads a text that has the form.
func (r *reader) text(p place, f form) (string, bool) {
	s, scalar := text(p.value)
	switch {
	case !scalar:
		return "", r.wrong(p, f.expected, f.hint)
	case !isString(p.value) && f.pattern.MatchString(s):
		return "", r.wrong(p, "a text", fmt.Sprintf("write it in quotes: %q", s))
	case !isString(p.value) || !f.pattern.MatchString(s):
		return "", r.wrong(p, f.expected, f.hint)
	}
	return s, true
}

// into a string type by its form.
func readText[T ~string](r *reader, p place, into *T, f form) bool {
	s, ok := r.text(p, f)
	*into = T(s)
	return ok
}

// The texts. A reference names an environment.
type (
	label      string
	reference  string
	repository string
	baseImage  string
	platform   string
	localPath  string
	imagePath  string
	httpPath   string
	variable   string
	checkName  string
	expression string
	argument   string
)

func (v *reference) read(r *reader, p place) bool { return readText(r, p, v, referenceForm) }
func (v *platform) read(r *reader, p place) bool  { return readText(r, p, v, platformForm) }
func (v *checkName) read(r *reader, p place) bool { return readText(r, p, v, checkNameForm) }
func (v *argument) read(r *reader, p place) bool  { return readText(r, p, v, argumentForm) }

func (v *label) read(r *reader, p place) bool {
	f := labelForm
	s, _ := text(p.value)
	f.hint = labelHint(s, f.hint)
	return readText(r, p, v, f)
}

// labelHint shows the nearest name that is valid.
func labelHint(s, otherwise string) string {
	if near := toLabel(s); near != "" && near != s {
		return "choose a name such as " + near
	}
	return otherwise
}

// maxLabel is the longest name that labelForm lets pass.
const maxLabel = 63

// toLabel makes a name that labelForm lets pass, as like s as may be; empty
// where s has nothing of which to make it.
func toLabel(s string) string {
	dashed := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToLower(s))
	words := strings.FieldsFunc(dashed, func(c rune) bool { return c == '-' })
	name := strings.Join(words, "-")
	return strings.TrimRight(name[:min(len(name), maxLabel)], "-")
}

func (v *localPath) read(r *reader, p place) bool {
	if !readText(r, p, v, localForm) {
		return false
	}
	if !filepath.IsLocal(string(*v)) {
		return r.add(p.mark(), Error{
			Message: fmt.Sprintf("%s: %s leaves the folder of slipway.yaml", p.name, quote(string(*v))),
			Hint:    "copy it below that folder before the release, or put slipway.yaml above both",
		})
	}
	return true
}

func (v *imagePath) read(r *reader, p place) bool {
	if !readText(r, p, v, imagePathForm) {
		return false
	}
	if slices.Contains(strings.Split(string(*v), "/"), "..") {
		return r.wrong(p, "an absolute path without ..", imagePathForm.hint)
	}
	*v = imagePath(path.Clean(string(*v)))
	return true
}

func (v *httpPath) read(r *reader, p place) bool {
	if !readText(r, p, v, httpForm) {
		return false
	}
	if _, err := url.ParseRequestURI(string(*v)); err != nil {
		return r.wrong(p, "a path that can be requested", "check the % escapes")
	}
	return true
}

func (v *variable) read(r *reader, p place) bool {
	s, _ := text(p.value)
	if name, _, isPair := strings.Cut(s, "="); isPair {
		return r.add(p.mark(), Error{
			Message: p.name + ": expected the name alone, found a name with a value",
			Hint:    "write " + short(clean(name)) + ": the value comes from the environment that slipway runs in",
		})
	}
	return readText(r, p, v, variableForm) && r.free(p, string(*v))
}

// free refuses the variable that Slipway gives to the app itself.
func (r *reader) free(p place, variable string) bool {
	if variable != "PORT" {
		return true
	}
	return r.add(p.keyMark(), Error{
		Message: p.name + ": PORT is set by Slipway, for each replica",
		Hint:    "set service.port where the app needs a fixed one",
	})
}

func (v *expression) read(r *reader, p place) bool {
	if !readText(r, p, v, expressionForm) {
		return false
	}
	*v = expression(strings.TrimSpace(string(*v)))
	if r.rules.Expression == nil {
		return true
	}
	if err := r.rules.Expression(string(*v)); err != nil {
		return r.add(p.mark(), Error{
			Message: fmt.Sprintf("%s: %s", p.name, clean(err.Error())),
			Hint:    cmp.Or(deploy.HintOf(err), p.shown()),
		})
	}
	return true
}
