package config

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/slipway-ci/slipway/deploy"
)

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

// The durations: a limit bounds something and cannot be nothing, a pause can. A
// lifetime outlasts the run that began it, patience a pause.
type (
	limit    time.Duration
	pause    time.Duration
	lifetime time.Duration
	patience time.Duration
)

func (v *limit) read(r *reader, p place) bool {
	return readDuration(r, p, v, time.Millisecond, time.Hour, "a duration from 1ms to 1h")
}

func (v *pause) read(r *reader, p place) bool {
	return readDuration(r, p, v, 0, 24*time.Hour, "a duration from 0s to 24h")
}

func (v *lifetime) read(r *reader, p place) bool {
	return readDuration(r, p, v, time.Minute, 365*24*time.Hour, "a duration from 1m to 8760h")
}

func (v *patience) read(r *reader, p place) bool {
	return readDuration(r, p, v, time.Second, 24*time.Hour, "a duration from 1s to 24h")
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

// The percentages: a share of users is not nothing, a tolerance may be, and an
// approval is before the first user or at a share.
type (
	share     deploy.Percent
	tolerance deploy.Percent
	approval  deploy.Percent
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

func (v *approval) read(r *reader, p place) bool {
	return readPercent(r, p, v, "a percentage from 0% to below 100%")
}

func readPercent[T ~float64](r *reader, p place, into *T, expected string) bool {
	s, ok := text(p.value)
	if !ok || !percentForm.pattern.MatchString(s) {
		return r.wrong(p, expected, "")
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
	ok := ascending(r, p, *list, "step")
	last := len(*list) - 1
	if ok && (*list)[last] != 100 {
		ok = r.add(r.at(&(*list)[last]).mark(), Error{
			Message: fmt.Sprintf("%s: the last step is %s, so that the new version would never get all users", p.name, deploy.Percent((*list)[last])),
			Hint:    "end with 100%",
		})
	}
	return ok
}

// approvals are the shares at which a rollout waits for a person.
type approvals []approval

func (v *approvals) read(r *reader, p place) bool {
	list := (*[]approval)(v)
	return r.into(list, p) && ascending(r, p, *list, "share")
}

// ascending holds percentages that were read to their order; each is called a
// what.
func ascending[T ~float64](r *reader, p place, list []T, what string) bool {
	ok := true
	for i := 1; i < len(list); i++ {
		if before, now := list[i-1], list[i]; now <= before {
			ok = r.add(r.at(&list[i]).mark(), Error{
				Message: fmt.Sprintf("%s: %s is not above %s, the %s before", p.name, deploy.Percent(now), deploy.Percent(before), what),
				Hint:    fmt.Sprintf("write the %ss in ascending order, each once", what),
			})
		}
	}
	return ok
}
