package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/Masterminds/semver/v3"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
)

const (
	// predecessors is how many images are looked at for layers that are there
	// already, tagPages how many answers with the names of tags.
	predecessors, tagPages = 2, 20
	// maxConfig is more than any configuration has, in bytes.
	maxConfig = 8 << 20
)

// reuse lets layers be what they are in an image that was pushed before. They
// are recognised by their uncompressed content, which that image's configuration
// tells, so that a machine which has never seen it does not compress them; and
// what the registry still has is not sent.
//
// It is for speed alone: what cannot be had is done without.
func (p push) reuse(ctx context.Context, img *Packed) {
	known, err := p.knownLayers(ctx, img)
	if err != nil {
		p.log().Debug("not all images could be read to take layers over from", "repository", p.repository, "error", err)
	}
	n := 0
	for _, l := range img.own {
		if stored, ok := known[l.diffID]; ok {
			l.reuse(stored)
			n++
		}
	}
	p.log().Info("looked for unchanged layers", "repository", p.repository, "unchanged", n, "of", len(img.own))
}

// knownLayers is how layers of the image are stored in its predecessors, by
// their uncompressed hash.
func (p push) knownLayers(ctx context.Context, img *Packed) (map[v1.Hash]v1.Descriptor, error) {
	if len(img.own) == 0 {
		return nil, nil
	}
	tags, err := p.predecessors(ctx)
	if err != nil {
		return nil, err
	}
	wanted, found := map[v1.Hash]bool{}, map[v1.Hash]v1.Descriptor{}
	for _, l := range img.own {
		wanted[l.diffID] = true
	}
	var errs []error
	for _, tag := range tags {
		if len(found) == len(wanted) {
			break
		}
		errs = append(errs, p.learn(ctx, tag, wanted, found))
	}
	return found, errors.Join(errs...)
}

// predecessors are the tags of the versions that come right before the one
// being pushed, the nearest first; or, where there are none, right after it.
func (p push) predecessors(ctx context.Context) ([]name.Tag, error) {
	lister, err := p.puller.Lister(ctx, p.tag.Repository)
	if err != nil {
		return nil, err
	}
	var all []string
	for page := 0; page < tagPages && lister.HasNext(); page++ {
		next, err := lister.Next(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, next.Tags...)
	}
	nearest := nearestVersions(p.tag.TagStr(), all)
	tags := make([]name.Tag, min(len(nearest), predecessors))
	for i := range tags {
		tags[i] = p.tag.Tag(nearest[i])
	}
	return tags, nil
}

// nearestVersions sorts the tags that are versions: those below another,
// downwards, and then those above it, upwards. Beside what is no version they
// are sorted downwards.
func nearestVersions(tag string, tags []string) []string {
	own, err := semver.StrictNewVersion(versionOf(tag))
	var below, above []neighbour
	for _, other := range tags {
		v, invalid := semver.StrictNewVersion(versionOf(other))
		switch {
		case invalid != nil || other == tag:
		case err == nil && v.GreaterThan(own):
			above = append(above, neighbour{v, other})
		default:
			below = append(below, neighbour{v, other})
		}
	}
	slices.SortFunc(above, neighbour.compare)
	slices.SortFunc(below, func(a, b neighbour) int { return b.compare(a) })
	var sorted []string
	for _, t := range append(below, above...) {
		sorted = append(sorted, t.tag)
	}
	return sorted
}

// neighbour is a version and the tag that it has.
type neighbour struct {
	version *semver.Version
	tag     string
}

func (t neighbour) compare(other neighbour) int {
	return cmp.Or(t.version.Compare(other.version), cmp.Compare(t.tag, other.tag))
}

// learn adds the layers of an image that are wanted to those that were found.
func (p push) learn(ctx context.Context, tag name.Tag, wanted map[v1.Hash]bool, found map[v1.Hash]v1.Descriptor) error {
	got, err := p.get(ctx, tag)
	if err != nil {
		return err
	}
	m, err := partial.Manifest(got)
	if err != nil || !got.MediaType.IsImage() || m.Annotations[keyPacking] != packing {
		return err // it was made by others, or in another way
	}
	config, err := p.configOf(ctx, tag, m)
	if err != nil {
		return err
	}
	if len(config.RootFS.DiffIDs) != len(m.Layers) {
		return fmt.Errorf("%s has %d layers, and its configuration names %d", tag, len(m.Layers), len(config.RootFS.DiffIDs))
	}
	for i, diffID := range config.RootFS.DiffIDs {
		if wanted[diffID] && m.Layers[i].MediaType.IsDistributable() {
			found[diffID] = m.Layers[i]
		}
	}
	return nil
}

func (p push) configOf(ctx context.Context, tag name.Tag, m *v1.Manifest) (*v1.ConfigFile, error) {
	blob, err := p.puller.Layer(ctx, tag.Digest(m.Config.Digest.String()))
	if err != nil {
		return nil, err
	}
	r, err := blob.Compressed()
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	config := &v1.ConfigFile{}
	return config, json.NewDecoder(io.LimitReader(r, maxConfig)).Decode(config)
}
