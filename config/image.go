package config

import (
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
)

func (v *repository) read(r *reader, p place) bool {
	s, _ := text(p.value)
	if !r.imageName(p, s) {
		return false
	}
	last := s[strings.LastIndex(s, "/")+1:]
	at, colon := strings.Index(s, "@"), strings.LastIndex(last, ":")
	switch {
	case at > 0:
		return r.add(p.mark(), Error{
			Message: fmt.Sprintf("%s: %s has a digest", p.name, quote(s)),
			Hint:    "write " + short(clean(s[:at])) + ": what is pushed gets a new digest",
		})
	case colon > 0 && strings.Contains(s, "/"):
		return r.add(p.mark(), Error{
			Message: fmt.Sprintf("%s: %s has a tag", p.name, quote(s)),
			Hint:    "write " + short(clean(strings.TrimSuffix(s, last[colon:]))) + ": the tag is the version",
		})
	}
	if !readText(r, p, v, repositoryForm) {
		return false
	}
	if _, err := name.NewRepository(s); err != nil {
		return r.wrong(p, repositoryForm.expected, repositoryForm.hint)
	}
	return true
}

func (v *baseImage) read(r *reader, p place) bool {
	s, _ := text(p.value)
	f := baseForm
	if strings.Contains(s, "@") {
		f.hint = "a digest is sha256: and 64 hexadecimal digits"
	}
	if !r.imageName(p, s) || !readText(r, p, v, f) {
		return false
	}
	if s == "scratch" {
		return r.add(p.mark(), Error{
			Message: p.name + ": scratch is not an image",
			Hint:    "leave base out to build from scratch",
		})
	}
	if _, err := name.ParseReference(s); err != nil {
		return r.wrong(p, f.expected, f.hint)
	}
	return true
}

// imageName refuses what is often written in place of an image's name.
func (r *reader) imageName(p place, s string) bool {
	if scheme, rest, has := strings.Cut(s, "://"); has {
		return r.add(p.mark(), Error{
			Message: fmt.Sprintf("%s: %s begins with %s", p.name, quote(s), short(clean(scheme))+"://"),
			Hint:    "write " + short(clean(rest)),
		})
	}
	lower := strings.ToLower(s)
	_, err := name.ParseReference(s)
	if _, lowerErr := name.ParseReference(lower); err != nil && lowerErr == nil {
		return r.add(p.mark(), Error{
			Message: fmt.Sprintf("%s: %s has capitals, which no registry takes", p.name, quote(s)),
			Hint:    "write " + short(lower),
		})
	}
	return true
}
