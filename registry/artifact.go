package registry

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/slipway-ci/slipway/deploy"
)

// Artifact is an image as registries keep it: a v1.Image for one platform, or a
// v1.ImageIndex of images for several.
type Artifact interface {
	MediaType() (types.MediaType, error)
	// RawManifest is the manifest, or the index, as it is stored.
	RawManifest() ([]byte, error)
	// Digest is that of RawManifest, Size its bytes.
	Digest() (v1.Hash, error)
	Size() (int64, error)
}

// part is one image of an artifact.
type part struct {
	// declared is the platform that the index names it by; nil in an image that
	// stands alone.
	declared *v1.Platform
	img      v1.Image
}

// parts are the images of an artifact: itself, or those of the index. What an
// index holds besides, such as attestations, is left out.
func parts(a Artifact) ([]part, error) {
	switch a := a.(type) {
	case v1.Image:
		return []part{{img: a}}, nil
	case v1.ImageIndex:
		m, err := a.IndexManifest()
		if err != nil {
			return nil, err
		}
		var all []part
		for _, d := range m.Manifests {
			if !d.MediaType.IsImage() || isAttestation(d) {
				continue
			}
			img, err := a.Image(d.Digest)
			if err != nil {
				return nil, fmt.Errorf("image %s of the index: %w", d.Digest, err)
			}
			all = append(all, part{declared: d.Platform, img: img})
		}
		return all, nil
	}
	return nil, errors.New("it is neither an image nor an index of images")
}

// isAttestation tells what BuildKit says about an image from the image.
func isAttestation(d v1.Descriptor) bool {
	return d.Platform != nil && d.Platform.OS == "unknown"
}

// contents are the configurations of the images, which cover the files of all
// their layers, with their platforms, in one order. Two artifacts with the same
// contents are the same to whoever runs them.
func contents(a Artifact) ([]string, error) {
	all, err := parts(a)
	if err != nil {
		return nil, err
	}
	var lines []string
	for _, p := range all {
		config, err := p.img.ConfigName()
		if err != nil {
			return nil, err
		}
		platform := ""
		if p.declared != nil {
			platform = p.declared.String()
		}
		lines = append(lines, platform+" "+config.String())
	}
	slices.Sort(lines)
	return lines, nil
}

// Platforms are those that an artifact has images for, in its order. An index
// whose entry names another platform than the image does is an error.
func Platforms(a Artifact) ([]v1.Platform, error) {
	all, err := parts(a)
	if err != nil {
		return nil, err
	}
	var platforms []v1.Platform
	for _, p := range all {
		config, err := p.img.ConfigFile()
		if err != nil {
			return nil, err
		}
		own := v1.Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant, OSVersion: config.OSVersion}
		if d := p.declared; d != nil && d.OS != "" {
			if own.OS != "" && (d.OS != own.OS || d.Architecture != own.Architecture) {
				return nil, fmt.Errorf("its index calls an image %s that is made for %s", d, own)
			}
			own = *d
		}
		platforms = append(platforms, own)
	}
	return platforms, nil
}

// offersAll refuses an artifact that lacks one of the platforms.
func offersAll(a Artifact, wanted []string) error {
	have, err := Platforms(a)
	if err != nil {
		return err
	}
	if len(have) == 0 {
		return errors.New("there is no image in it")
	}
	for _, platform := range wanted {
		want, err := parsePlatform(platform)
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(have, func(p v1.Platform) bool { return p.Satisfies(want) }) {
			return deploy.Hinted(fmt.Errorf("it is not there for %s", platform),
				"it is there for: %s. Correct build.platforms, or build it for that platform, too", platformNames(have))
		}
	}
	return nil
}

func platformNames(all []v1.Platform) string {
	var names []string
	for _, p := range all {
		names = append(names, p.String())
	}
	return strings.Join(names, ", ")
}
