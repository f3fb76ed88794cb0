package config

import (
	"fmt"
	"slices"

	"github.com/slipway-ci/slipway/deploy"
)

// versioning is how the version of a commit without a tag is worked out.
type versioning struct {
	Next     *next    `yaml:"next" jsonschema_description:"What comes after the last version: patch, or what the Conventional Commits since then say (commits). Left out: patch."`
	Channels channels `yaml:"channels" jsonschema_description:"By branch: stable for exact versions such as 1.5.0, or the name of its pre-releases. Left out: no branch has one."`
}

// The values of next.
const (
	nextPatch   = "patch"
	nextCommits = "commits"
)

type (
	// next is one of the above.
	next string
	// channels are what the versions of branches are called, in written order.
	channels []entry
	// floating is one of deploy.FloatingTags.
	floating string
	// floatings are tags, each named once.
	floatings []floating
)

// channelForm is an identifier of a pre-release that is no number. A computed
// version has room for this much.
var channelForm = newForm(`^[0-9-]*[A-Za-z][0-9A-Za-z-]*$`,
	"stable, or the name of pre-releases", "write one such as stable, beta or rc")

const (
	maxChannel = 40
	maxBranch  = 255
)

func (v *next) read(r *reader, p place) bool {
	name, scalar := text(p.value)
	if !scalar {
		return r.wrong(p, nextPatch+" or "+nextCommits, "")
	}
	*v = next(name)
	return r.oneOf(p.mark(), p.name, name, []string{nextPatch, nextCommits})
}

func (v *floating) read(r *reader, p place) bool {
	name, scalar := text(p.value)
	if !scalar {
		return r.wrong(p, "the name of a tag that moves", "")
	}
	*v = floating(name)
	return r.oneOf(p.mark(), p.name, name, floatingNames())
}

func floatingNames() []string {
	names := make([]string, len(deploy.FloatingTags))
	for i, t := range deploy.FloatingTags {
		names[i] = string(t)
	}
	return names
}

func (v *floatings) read(r *reader, p place) bool {
	var list []floating
	if !r.into(&list, p) {
		return false
	}
	*v = list
	for i := range list {
		if slices.Contains(list[:i], list[i]) {
			return r.add(r.at(&list[i]).mark(), Error{
				Message: fmt.Sprintf("tags: %s is there twice", list[i]),
				Hint:    "name each once",
			})
		}
	}
	return true
}

func (v *channels) read(r *reader, p place) bool {
	pairs, ok := r.pairs(p)
	for _, q := range pairs {
		at := q.place()
		at.name, at.example = p.name+"."+q.name, p.example
		name, good := r.channel(q, at)
		ok = ok && good
		if good {
			*v = append(*v, entry{name: q.name, value: name, place: at})
		}
	}
	return ok
}

// channel reads that of one branch.
func (r *reader) channel(q pair, at place) (string, bool) {
	if q.name == "" || len(q.name) > maxBranch {
		return "", r.add(markOf(q.key), Error{
			Message: fmt.Sprintf("channels: expected the name of a branch, found %s", quote(short(q.name))),
			Hint:    "name a branch, such as main",
		})
	}
	n, ok := r.plain(at)
	if !ok {
		return "", false
	}
	at.value = n
	name, ok := r.text(at, channelForm)
	if ok && len(name) > maxChannel {
		return "", r.wrong(at, fmt.Sprintf("a name of up to %d characters", maxChannel), channelForm.hint)
	}
	return name, ok
}

// versioning is what the file says, with channels only where commits count. Two
// branches with the same pre-releases would give one version to two commits.
func (r *reader) versioning(d *document) deploy.Versioning {
	if d.Version == nil {
		return deploy.Versioning{}
	}
	v := deploy.Versioning{Commits: or(d.Version.Next, nextPatch) == nextCommits}
	at := r.at(&d.Version.Channels)
	if at.value != nil && !v.Commits && !r.misread[d.Version.Next] {
		r.add(at.keyMark(), Error{
			Message: "channels: they go with next: commits alone",
			Hint:    "add next: commits beside it, or remove channels",
		})
	}
	branches := map[string]string{}
	for _, c := range d.Version.Channels {
		if v.Channels == nil {
			v.Channels = map[string]string{}
		}
		v.Channels[c.name] = c.value
		if other, twice := branches[c.value]; twice && c.value != deploy.Stable {
			r.add(c.place.mark(), Error{
				Message: fmt.Sprintf("channels: %s and %s would both make pre-releases called %s, the same for two commits", quote(other), quote(c.name), c.value),
				Hint:    "give each branch a name of its own",
			})
		}
		branches[c.value] = c.name
	}
	return v
}

func (r *reader) floating(d *document) []deploy.FloatingTag {
	var tags []deploy.FloatingTag
	for _, t := range deploy.FloatingTags { // the narrowest first, however they are written
		if slices.Contains(d.Tags, floating(t)) {
			tags = append(tags, t)
		}
	}
	return tags
}
