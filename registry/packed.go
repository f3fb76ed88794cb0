package registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"
)

// Packed is an image made by Pack. It knows its configuration, and with it what
// its content is, from the beginning; its layers are compressed when its
// digest, its manifest or a compressed layer is first asked for. Its files must
// not change until then, and are found out if they do.
type Packed struct {
	// base is what the image is built on, nil for scratch.
	base *baseImage
	own  []*layer
	// config is the configuration as it is stored.
	config      []byte
	annotations map[string]string
	root        *os.Root
	abort       context.CancelFunc

	once     sync.Once
	manifest []byte
	err      error

	closing sync.Once
	closed  error
}

var _ v1.Image = (*Packed)(nil)

// Close removes temporary files and ends what is still being read. The image
// must not be used afterwards. Closing it again is fine.
func (p *Packed) Close() error {
	p.closing.Do(func() {
		p.abort()
		errs := []error{p.root.Close()}
		for _, l := range p.own {
			errs = append(errs, l.close())
		}
		p.closed = errors.Join(errs...)
	})
	return p.closed
}

// MediaType is that of an OCI image.
func (p *Packed) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// RawConfigFile is the configuration as it is stored.
func (p *Packed) RawConfigFile() ([]byte, error) { return p.config, nil }

// ConfigFile is the configuration.
func (p *Packed) ConfigFile() (*v1.ConfigFile, error) { return partial.ConfigFile(p) }

// ConfigName is the digest of the configuration, which covers the content of
// every layer. Nothing is compressed to know it.
func (p *Packed) ConfigName() (v1.Hash, error) { return partial.ConfigName(p) }

// Layers are those of the base, and then those of the build, at least one for
// each of its entries; lowest first.
func (p *Packed) Layers() ([]v1.Layer, error) {
	layers := p.base.layers()
	for _, l := range p.own {
		layers = append(layers, l)
	}
	return layers, nil
}

// RawManifest is the manifest as it is stored.
func (p *Packed) RawManifest() ([]byte, error) {
	p.once.Do(func() { p.manifest, p.err = p.makeManifest() })
	return p.manifest, p.err
}

// Manifest is the manifest.
func (p *Packed) Manifest() (*v1.Manifest, error) { return partial.Manifest(p) }

// Digest is that of the manifest.
func (p *Packed) Digest() (v1.Hash, error) { return partial.Digest(p) }

// Size is that of the manifest, in bytes.
func (p *Packed) Size() (int64, error) { return partial.Size(p) }

// LayerByDigest finds a layer, or the configuration, by its compressed hash.
func (p *Packed) LayerByDigest(h v1.Hash) (v1.Layer, error) {
	if name, err := p.ConfigName(); err == nil && name == h {
		return partial.ConfigLayer(p)
	}
	return p.find(h, v1.Layer.Digest)
}

// LayerByDiffID finds a layer by its uncompressed hash.
func (p *Packed) LayerByDiffID(h v1.Hash) (v1.Layer, error) { return p.find(h, v1.Layer.DiffID) }

func (p *Packed) find(h v1.Hash, hash func(v1.Layer) (v1.Hash, error)) (v1.Layer, error) {
	layers, err := p.Layers()
	if err != nil {
		return nil, err
	}
	for _, l := range layers {
		have, err := hash(l)
		if err != nil {
			return nil, err
		}
		if have == h {
			return l, nil
		}
	}
	return nil, fmt.Errorf("the image has no layer %s", h)
}

// largestFirst are the own layers in the order in which they are sent: what
// takes longest does not come last.
func (p *Packed) largestFirst() []*layer {
	return slices.SortedStableFunc(slices.Values(p.own), func(a, b *layer) int { return cmp.Compare(b.size, a.size) })
}

// identify computes what the own layers are, a few at a time.
func (p *Packed) identify() error {
	return p.each(runtime.GOMAXPROCS(0), func(l *layer) error { return l.identify() })
}

// each does something with all own layers, some at a time.
func (p *Packed) each(some int, f func(*layer) error) error {
	var g errgroup.Group
	g.SetLimit(some)
	for _, l := range p.own {
		g.Go(func() error { return f(l) })
	}
	return g.Wait()
}

func (p *Packed) makeManifest() ([]byte, error) {
	err := p.each(compressing, func(l *layer) error {
		_, err := l.descriptor()
		return err
	})
	if err != nil {
		return nil, err
	}
	config, err := p.ConfigName()
	if err != nil {
		return nil, err
	}
	m := v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		Config:        v1.Descriptor{MediaType: types.OCIConfigJSON, Size: int64(len(p.config)), Digest: config},
		Layers:        p.base.descriptors(),
		Annotations:   p.annotations,
	}
	for _, l := range p.own {
		stored, err := l.descriptor()
		if err != nil {
			return nil, err
		}
		m.Layers = append(m.Layers, stored)
	}
	return json.Marshal(m)
}

// Artifact is the image itself.
func (p *Packed) Artifact() Artifact { return p }
