package config

import (
	"fmt"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/slipway-ci/slipway/deploy"
)

// form is what a text has to look like.
type form struct {
	pattern *regexp.Regexp
	// expected completes "expected …"; hint says what to do.
	expected, hint string
}

func newForm(pattern, expected, hint string) form {
	return form{pattern: regexp.MustCompile(pattern), expected: expected, hint: hint}
}

var (
	labelForm = newForm(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`,
		"a name of 1 to 63 characters a-z, 0-9 and -, with no - at either end", "choose a name such as hello or my-app")
	repositoryForm = newForm(`^[A-Za-z0-9][^\s@]*$`,
		"an image repository such as ghcr.io/acme/hello", "write registry and path alone: Slipway adds the tag")
	baseForm = newForm(`^[A-Za-z0-9]\S*$`,
		"an image such as gcr.io/distroless/static", "name an image, or leave base out to build from scratch")
	platformForm = newForm(`^[a-z0-9]+/[a-z0-9]+$`,
		"a platform such as linux/amd64", "write operating system and architecture")
	localForm = newForm(`^[^/\x00][^\x00]*$`,
		"a path relative to the folder of slipway.yaml", "write a path such as bin/hello")
	imagePathForm = newForm(`^/[^\x00]*$`,
		"an absolute path in the image", "write a path such as /hello")
	httpForm = newForm(`^/[^\s#]*$`,
		"a path that begins with /", "write path and query alone, such as /healthz")
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
	percentForm = newForm(`^[0-9]{1,3}(\.[0-9]{1,6})?%?$`,
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

// The texts.
type (
	label      string
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

func (v *label) read(r *reader, p place) bool     { return readText(r, p, v, labelForm) }
func (v *platform) read(r *reader, p place) bool  { return readText(r, p, v, platformForm) }
func (v *localPath) read(r *reader, p place) bool { return readText(r, p, v, localForm) }
func (v *checkName) read(r *reader, p place) bool { return readText(r, p, v, checkNameForm) }
func (v *argument) read(r *reader, p place) bool  { return readText(r, p, v, argumentForm) }

func (v *repository) read(r *reader, p place) bool {
	s, scalar := text(p.value)
	last := s[strings.LastIndex(s, "/")+1:]
	at, colon := strings.Index(s, "@"), strings.LastIndex(last, ":")
	switch {
	case scalar && at > 0:
		return r.add(p.mark(), Error{
			Message: fmt.Sprintf("%s: %s has a digest", p.name, quote(s)),
			Hint:    "write " + short(clean(s[:at])) + ": what is pushed gets a new digest",
		})
	case scalar && colon > 0 && strings.Contains(s, "/"):
		return r.add(p.mark(), Error{
			Message: fmt.Sprintf("%s: %s has a tag", p.name, quote(s)),
			Hint:    "write " + short(clean(strings.TrimSuffix(s, last[colon:]))) + ": the tag is the version",
		})
	}
	if !readText(r, p, v, repositoryForm) {
		return false
	}
	if _, err := name.NewRepository(string(*v)); err != nil {
		return r.wrong(p, repositoryForm.expected, repositoryForm.hint)
	}
	return true
}

func (v *baseImage) read(r *reader, p place) bool {
	if !readText(r, p, v, baseForm) {
		return false
	}
	if *v == "scratch" {
		return r.add(p.mark(), Error{
			Message: p.name + ": scratch is not an image",
			Hint:    "leave base out to build from scratch",
		})
	}
	if _, err := name.ParseReference(string(*v)); err != nil {
		return r.wrong(p, baseForm.expected, baseForm.hint)
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
			Hint:    deploy.HintOf(err),
		})
	}
	return true
}

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

// The numbers.
type (
	port   int
	count  int
	userID int
)

func (*port) bounds() (low, high int)   { return 1, 65535 }
func (*count) bounds() (low, high int)  { return 1, 100 }
func (*userID) bounds() (low, high int) { return 0, 1<<31 - 1 }

func (v *port) read(r *reader, p place) bool   { return readInt(r, p, v) }
func (v *count) read(r *reader, p place) bool  { return readInt(r, p, v) }
func (v *userID) read(r *reader, p place) bool { return readInt(r, p, v) }

type bounded[T any] interface {
	*T
	bounds() (low, high int)
}

func readInt[T ~int, P bounded[T]](r *reader, p place, into P) bool {
	low, high := into.bounds()
	expected := fmt.Sprintf("a whole number from %d to %d", low, high)
	n, ok := whole(p.value)
	switch {
	case ok && n >= low && n <= high:
		*into = T(n)
		return true
	case ok:
		return r.wrong(p, expected, "")
	}
	hint := ""
	if s, isText := text(p.value); isText && isString(p.value) {
		if _, err := strconv.Atoi(s); err == nil {
			hint = "remove the quotes"
		}
	}
	return r.wrong(p, expected, hint)
}

// whole is the value of an integer; what does not fit in an int is as good as
// the largest.
func whole(n ast.Node) (int, bool) {
	node, ok := n.(*ast.IntegerNode)
	if !ok {
		return 0, false
	}
	switch v := node.Value.(type) {
	case int64:
		return int(max(min(v, 1<<31), -1)), true
	case uint64:
		return int(min(v, 1<<31)), true
	}
	return 0, false
}

// fileMode is written in octal, with or without quotes.
type fileMode fs.FileMode

func (v *fileMode) read(r *reader, p place) bool {
	s, ok := text(p.value)
	if !ok || !modeForm.pattern.MatchString(s) {
		return r.wrong(p, modeForm.expected, modeForm.hint)
	}
	bits, err := strconv.ParseUint(s[len(s)-3:], 8, 32)
	if err != nil || bits == 0 {
		return r.wrong(p, modeForm.expected, modeForm.hint)
	}
	*v = fileMode(bits)
	return true
}

type owner struct{ uid, gid int }

func (v *owner) read(r *reader, p place) bool {
	s, ok := r.text(p, ownerForm)
	if !ok {
		return false
	}
	u, g, _ := strings.Cut(s, ":")
	uid, err1 := strconv.ParseInt(u, 10, 32)
	gid, err2 := strconv.ParseInt(g, 10, 32)
	if err1 != nil || err2 != nil {
		return r.wrong(p, ownerForm.expected, ownerForm.hint)
	}
	v.uid, v.gid = int(uid), int(gid)
	return true
}

// The durations: a limit bounds something and cannot be nothing, a pause can.
type (
	limit time.Duration
	pause time.Duration
)

func (v *limit) read(r *reader, p place) bool {
	return readDuration(r, p, v, time.Millisecond, time.Hour, "a duration from 1ms to 1h")
}

func (v *pause) read(r *reader, p place) bool {
	return readDuration(r, p, v, 0, 24*time.Hour, "a duration from 0s to 24h")
}

func readDuration[T ~int64](r *reader, p place, into *T, low, high time.Duration, expected string) bool {
	s, ok := text(p.value)
	if !ok || !isString(p.value) || !durationForm.pattern.MatchString(s) {
		return r.wrong(p, expected, durationForm.hint)
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < low || d > high {
		return r.wrong(p, expected, "")
	}
	*into = T(d)
	return true
}

// The percentages: a share of users is not nothing, a tolerance may be.
type (
	share     deploy.Percent
	tolerance deploy.Percent
)

func (v *share) read(r *reader, p place) bool {
	if !readPercent(r, p, v, "a percentage above 0% and up to 100%") {
		return false
	}
	return *v > 0 || r.wrong(p, "a percentage above 0% and up to 100%", "")
}

func (v *tolerance) read(r *reader, p place) bool {
	return readPercent(r, p, v, "a percentage from 0% to 100%")
}

func readPercent[T ~float64](r *reader, p place, into *T, expected string) bool {
	s, ok := text(p.value)
	if !ok || !percentForm.pattern.MatchString(s) {
		return r.wrong(p, expected, percentForm.hint)
	}
	percent, err := deploy.ParsePercent(s)
	if err != nil {
		return r.wrong(p, expected, "")
	}
	*into = T(percent)
	return true
}

// steps are the shares of a canary.
type steps []share

func (v *steps) read(r *reader, p place) bool {
	list := (*[]share)(v)
	if !r.into(list, p) {
		return false
	}
	if len(*list) == 0 {
		return r.wrong(p, "at least one step", "write steps: [10%, 50%, 100%], or leave steps out")
	}
	ok := true
	for i := 1; i < len(*list); i++ {
		if before, now := (*list)[i-1], (*list)[i]; now <= before {
			ok = r.add(r.at(&(*list)[i]).mark(), Error{
				Message: fmt.Sprintf("%s: %s does not come after %s", p.name, deploy.Percent(now), deploy.Percent(before)),
				Hint:    "write the steps in ascending order, each once",
			})
		}
	}
	last := len(*list) - 1
	if ok && (*list)[last] != 100 {
		ok = r.add(r.at(&(*list)[last]).mark(), Error{
			Message: fmt.Sprintf("%s: the last step is %s, so that the new version would never get all users", p.name, deploy.Percent((*list)[last])),
			Hint:    "end with 100%",
		})
	}
	return ok
}

// target is a kind with its settings.
type target struct {
	kind string
	port port
}

func (v *target) read(r *reader, p place) bool {
	var set targets
	kind, ok := r.choice(p, r.targetNames(), &set)
	v.kind = kind
	if set.Sandbox != nil && set.Sandbox.Port != nil {
		v.port = *set.Sandbox.Port
	}
	return ok
}

// strategy is a kind with its settings.
type strategy struct {
	kind deploy.Kind
	set  strategies
}

func (v *strategy) read(r *reader, p place) bool {
	kind, ok := r.choice(p, kindNames(deploy.Kinds), &v.set)
	v.kind = deploy.Kind(kind)
	return ok
}

func kindNames(kinds []deploy.Kind) []string {
	list := make([]string, len(kinds))
	for i, k := range kinds {
		list[i] = string(k)
	}
	return list
}

// maxEnvironments is more than anybody walks one after the other.
const maxEnvironments = 100

// environments are in written order.
type environments []named

type named struct {
	name string
	key  place
	environment
}

func (v *environments) read(r *reader, p place) bool {
	pairs, ok := r.pairs(p)
	if ok && len(pairs) == 0 {
		return r.wrong(p, "at least one environment", "add one such as staging: {target: sandbox}")
	}
	if len(pairs) > maxEnvironments {
		return r.wrong(p, fmt.Sprintf("at most %d environments", maxEnvironments), "describe other apps in files of their own")
	}
	*v = make(environments, len(pairs))
	for i, q := range pairs {
		e := &(*v)[i]
		e.name, e.key = q.name, q.place()
		if !labelForm.pattern.MatchString(q.name) {
			ok = r.add(markOf(q.key), Error{
				Message: fmt.Sprintf("%s: expected %s, found %s", p.name, labelForm.expected, quote(q.name)),
				Hint:    "choose a name such as staging or production",
			})
		}
		ok = r.into(&e.environment, q.place()) && ok
	}
	return ok
}
