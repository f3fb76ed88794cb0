package config

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/google/go-containerregistry/pkg/name"

	"github.com/slipway-ci/slipway/deploy"
)

// The ways to an image besides packing, and the keys that belong to packing and
// to a Dockerfile alone.
var (
	ways         = []string{"dockerfile", "image", "archive"}
	packing      = []string{"base", "files", "entrypoint", "platform"}
	ofDockerfile = []string{"context", "target", "args", "secrets", "secret-files", "cache-from", "cache-to", "builder"}
)

// oneWay holds a build to one way to its image, and its keys to that way. It
// reports whether the image is not packed.
func (r *reader) oneWay(b *build) bool {
	if _, isMap := r.at(b).value.(ast.MapNode); !isMap {
		return false
	}
	keys := map[string]any{
		"base": &b.Base, "files": &b.Files, "entrypoint": &b.Entrypoint, "platform": &b.Platform,
		"dockerfile": &b.Dockerfile, "image": &b.Image, "archive": &b.Archive, "platforms": &b.Platforms,
		"context": &b.Context, "target": &b.Target, "args": &b.Args, "secrets": &b.Secrets, "secret-files": &b.SecretFiles,
		"cache-from": &b.CacheFrom, "cache-to": &b.CacheTo, "builder": &b.Builder,
	}
	given := func(key string) bool { return r.at(keys[key]).value != nil }
	var way string
	for _, key := range ways {
		switch {
		case !given(key):
		case way == "":
			way = key
		default:
			r.add(r.at(keys[key]).keyMark(), Error{
				Message: fmt.Sprintf("%s: %s says already where the image comes from", key, way),
				Hint:    "keep one of " + strings.Join(ways, ", ") + ", or base and files",
			})
		}
	}
	for _, key := range slices.Concat(packing, ofDockerfile, []string{"platforms"}) {
		if why := misplaced(key, way); given(key) && why != nil {
			r.add(r.at(keys[key]).keyMark(), Error{Message: key + ": " + why.why, Hint: why.hint})
		}
	}
	return way != ""
}

// misplaced is why a key of build does not go with the way to the image, which
// is empty where it is packed; nil where it does.
func misplaced(key, way string) *refusal {
	switch {
	case slices.Contains(packing, key) && way != "":
		return &refusal{why: way + " says already where the image comes from", hint: instead(key, way)}
	case slices.Contains(ofDockerfile, key) && way != "dockerfile":
		return &refusal{why: "there is no dockerfile that it could be about", hint: "add " + examples["dockerfile"] + ", or remove " + key}
	case key == "platforms" && way == "":
		return &refusal{why: "what is packed of files is for one platform", hint: "write " + examples["platform"]}
	}
	return nil
}

// instead is what to write in place of a key of packing.
func instead(key, way string) string {
	switch {
	case key == "platform":
		return "write platforms: [linux/amd64]"
	case way == "dockerfile":
		instruction := map[string]string{"base": "FROM", "files": "COPY", "entrypoint": "ENTRYPOINT"}[key]
		return fmt.Sprintf("remove it, and say it in the Dockerfile with %s; or remove dockerfile", instruction)
	}
	return "remove it, or remove " + way
}

// elsewhere compiles a build that packs nothing.
func (r *reader) elsewhere(b *build, out *deploy.Build) {
	for _, p := range b.Platforms {
		out.Platforms = append(out.Platforms, string(p))
	}
	twice(r, "platforms", b.Platforms)
	out.Image, out.Archive = string(or(b.Image, "")), string(or(b.Archive, ""))
	if b.Dockerfile == nil {
		return
	}
	d := &deploy.Dockerfile{
		Path:    string(*b.Dockerfile),
		Context: string(or(b.Context, ".")),
		Target:  string(or(b.Target, "")),
		Args:    b.Args,
		CacheTo: string(or(b.CacheTo, "")),
		Builder: string(or(b.Builder, "")),

		SecretFiles: b.SecretFiles,
	}
	for _, c := range b.CacheFrom {
		d.CacheFrom = append(d.CacheFrom, string(c))
	}
	for i := range b.Secrets {
		name := string(b.Secrets[i])
		d.Secrets = append(d.Secrets, name)
		if _, file := b.SecretFiles[name]; file {
			r.add(r.at(&b.Secrets[i]).mark(), Error{
				Message: fmt.Sprintf("secrets: %s is in secret-files, too", quote(name)),
				Hint:    "keep one of them",
			})
		}
	}
	twice(r, "secrets", b.Secrets)
	out.Dockerfile = d
}

// twice refuses what a list has more than once.
func twice[T ~string](r *reader, in string, list []T) {
	seen := map[T]bool{}
	for i := range list {
		if seen[list[i]] && list[i] != "" {
			r.add(r.at(&list[i]).mark(), Error{Message: fmt.Sprintf("%s: %s is there twice", in, quote(string(list[i]))), Hint: "keep one of them"})
		}
		seen[list[i]] = true
	}
}

var (
	stageForm = newForm(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$`,
		"the name of a stage of the Dockerfile", "write the name after AS, such as target: runtime")
	cacheForm = newForm(`^`+repositoryPattern+`(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?$`,
		"a reference in a registry such as ghcr.io/acme/hello:cache", "write registry, repository and tag alone")
	builderForm = newForm(`^(tcp://[^\s/?#]+:[0-9]{1,5}|unix:///\S+|docker-container://[A-Za-z0-9][A-Za-z0-9_.-]*)$`,
		"an address of a BuildKit", "write tcp://HOST:PORT, unix:///PATH or docker-container://NAME")
	givenForm = newForm(`^`+repositoryPattern+`(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}|(:[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?@sha256:[0-9a-f]{64})$`,
		"an image with a tag or a digest, such as ghcr.io/acme/hello:main", "write registry, repository, and a tag or a digest; an image on disk belongs to archive")
	secretIDForm = newForm(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`,
		"the id of a secret, of letters, digits and _ . -", "write the id that the Dockerfile asks for in RUN --mount=type=secret,id=…")
)

// The texts of a build that packs nothing.
type (
	stageName    string
	cacheImage   string
	builderPlace string
	givenImage   string
)

func (v *stageName) read(r *reader, p place) bool { return readText(r, p, v, stageForm) }

func (v *cacheImage) read(r *reader, p place) bool {
	s, _ := text(p.value)
	return r.imageName(p, s) && readText(r, p, v, cacheForm)
}

func (v *builderPlace) read(r *reader, p place) bool {
	if !readText(r, p, v, builderForm) {
		return false
	}
	if _, err := url.Parse(string(*v)); err != nil {
		return r.wrong(p, builderForm.expected, builderForm.hint)
	}
	return true
}

func (v *givenImage) read(r *reader, p place) bool {
	p.example = "image: ghcr.io/acme/hello:main"
	s, _ := text(p.value)
	if !r.imageName(p, s) || !readText(r, p, v, givenForm) {
		return false
	}
	if _, err := name.ParseReference(s); err != nil {
		return r.wrong(p, givenForm.expected, givenForm.hint)
	}
	return true
}

// buildArgs are build arguments by name.
type buildArgs map[string]string

func (v *buildArgs) read(r *reader, p place) bool {
	*v = buildArgs{}
	return r.named(p, variableForm, func(name string, at place) bool {
		s, scalar := text(at.value)
		if !scalar {
			return r.wrong(at, "a text, a number, true or false", `write one value; "" is the empty text`)
		}
		if strings.ContainsRune(s, 0) {
			return r.wrong(at, argumentForm.expected, argumentForm.hint)
		}
		(*v)[name] = s
		return true
	})
}

// secretFiles are paths by id.
type secretFiles map[string]string

func (v *secretFiles) read(r *reader, p place) bool {
	*v = secretFiles{}
	return r.named(p, secretIDForm, func(name string, at place) bool {
		var path localPath
		ok := path.read(r, at)
		(*v)[name] = string(path)
		return ok
	})
}

// named reads a mapping whose keys are names that the user chooses.
func (r *reader) named(p place, key form, each func(name string, at place) bool) bool {
	pairs, ok := r.pairs(p)
	for _, q := range pairs {
		if !key.pattern.MatchString(q.name) {
			ok = r.add(markOf(q.key), Error{
				Message: fmt.Sprintf("%s: expected %s, found %s", p.name, key.expected, quote(q.name)),
				Hint:    key.hint,
			})
			continue
		}
		at := q.place()
		at.name = p.name + "." + q.name
		n, good := r.plain(at)
		if good {
			at.value = n
			good = each(q.name, at)
		}
		ok = ok && good
	}
	return ok
}
