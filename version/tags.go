package version

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// tag is a version tag and the commit that it names.
type tag struct {
	name    string
	version *semver.Version
	commit  plumbing.Hash
}

// versionTags are the tags that name a version, highest first. Others (moving
// ones such as v1, those of another part of a monorepo such as other/v1.0.0)
// and those whose commit is not in this clone are left out. What is known to be
// released is among them.
func (r *repository) versionTags(released []Release) ([]tag, error) {
	refs, err := r.store.IterReferences()
	if err != nil {
		return nil, fmt.Errorf("list tags: %w", err)
	}
	var tags []tag
	err = refs.ForEach(func(ref *plumbing.Reference) error {
		if !ref.Name().IsTag() || ref.Type() != plumbing.HashReference {
			return nil
		}
		name := strings.TrimPrefix(ref.Name().String(), "refs/tags/")
		v, ok := fromTag(name)
		if !ok {
			return nil
		}
		commit, ok, err := r.peel(ref.Hash())
		if err != nil {
			return fmt.Errorf("tag %s: %w", name, err)
		}
		if ok {
			tags = append(tags, tag{name: name, version: v, commit: commit})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for _, known := range released {
		v, ok := fromTag(known.Version)
		if !ok || !plumbing.IsHash(known.Commit) {
			continue
		}
		commit, ok, err := r.peel(plumbing.NewHash(known.Commit))
		if err != nil {
			return nil, fmt.Errorf("the commit %s of version %s: %w", known.Commit, known.Version, err)
		}
		if ok {
			tags = append(tags, tag{name: known.Version, version: v, commit: commit})
		}
	}
	slices.SortFunc(tags, func(a, b tag) int {
		if c := compare(b.version, a.version); c != 0 {
			return c
		}
		return strings.Compare(b.name, a.name) // v1.4.2 before 1.4.2
	})
	return tags, nil
}

// peel follows annotated tags to their commit. It is false where the object is
// not here, or is not a commit.
func (r *repository) peel(hash plumbing.Hash) (plumbing.Hash, bool, error) {
	for range 10 { // a tag of a tag of a tag is legal
		o, err := r.store.EncodedObject(plumbing.AnyObject, hash)
		if errors.Is(err, plumbing.ErrObjectNotFound) {
			return hash, false, nil
		}
		if err != nil {
			return hash, false, err
		}
		if o.Type() != plumbing.TagObject {
			return hash, o.Type() == plumbing.CommitObject, nil
		}
		t, err := object.DecodeTag(r.store, o)
		if err != nil {
			return hash, false, err
		}
		hash = t.Target
	}
	return hash, false, nil
}

// nameAt is the highest tag at a commit; empty if there is none.
func nameAt(tags []tag, commit plumbing.Hash) string {
	for _, t := range tags {
		if t.commit == commit {
			return t.name
		}
	}
	return ""
}
