package registry

import (
	"encoding/json"
	"fmt"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// assembled is what v1.Image asks of an image that is put together here. Its
// configuration is known from the beginning, and with it what its content is; its
// manifest is made when it, or the digest, is first asked for.
type assembled struct {
	layered layered
	// config is the configuration as it is stored.
	config      []byte
	annotations map[string]string

	once     sync.Once
	manifest []byte
	err      error
}

// layered is where the layers of such an image come from.
type layered interface {
	// Layers are all layers, lowest first.
	Layers() ([]v1.Layer, error)
	// stored is what is stored of each layer, which compresses those that are not yet.
	stored() ([]v1.Descriptor, error)
}

// MediaType is that of an OCI image.
func (a *assembled) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

// RawConfigFile is the configuration as it is stored.
func (a *assembled) RawConfigFile() ([]byte, error) { return a.config, nil }

// ConfigFile is the configuration.
func (a *assembled) ConfigFile() (*v1.ConfigFile, error) { return partial.ConfigFile(a) }

// ConfigName is the digest of the configuration, which covers the content of
// every layer. Nothing is compressed to know it.
func (a *assembled) ConfigName() (v1.Hash, error) { return partial.ConfigName(a) }

// RawManifest is the manifest as it is stored.
func (a *assembled) RawManifest() ([]byte, error) {
	a.once.Do(func() { a.manifest, a.err = a.makeManifest() })
	return a.manifest, a.err
}

// Manifest is the manifest.
func (a *assembled) Manifest() (*v1.Manifest, error) { return partial.Manifest(a) }

// Digest is that of the manifest.
func (a *assembled) Digest() (v1.Hash, error) { return partial.Digest(a) }

// Size is that of the manifest, in bytes.
func (a *assembled) Size() (int64, error) { return partial.Size(a) }

// LayerByDigest finds a layer, or the configuration, by its compressed hash.
func (a *assembled) LayerByDigest(h v1.Hash) (v1.Layer, error) {
	if name, err := a.ConfigName(); err == nil && name == h {
		return partial.ConfigLayer(a)
	}
	return a.find(h, v1.Layer.Digest)
}

// LayerByDiffID finds a layer by its uncompressed hash.
func (a *assembled) LayerByDiffID(h v1.Hash) (v1.Layer, error) { return a.find(h, v1.Layer.DiffID) }

func (a *assembled) find(h v1.Hash, hash func(v1.Layer) (v1.Hash, error)) (v1.Layer, error) {
	layers, err := a.layered.Layers()
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

func (a *assembled) makeManifest() ([]byte, error) {
	layers, err := a.layered.stored()
	if err != nil {
		return nil, err
	}
	config, err := a.ConfigName()
	if err != nil {
		return nil, err
	}
	return json.Marshal(v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		Config:        v1.Descriptor{MediaType: types.OCIConfigJSON, Size: int64(len(a.config)), Digest: config},
		Layers:        layers,
		Annotations:   a.annotations,
	})
}
