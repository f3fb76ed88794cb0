package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"runtime"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/deploy"
)

// Stored is an image that lies on this machine's disk. It has to be closed;
// what is on disk has to stay until then.
type Stored struct {
	image  Artifact
	blobs  store
	closer func() error
}

// Artifact is what can be pushed.
func (s *Stored) Artifact() Artifact { return s.image }

// Digest is that of the image.
func (s *Stored) Digest() (v1.Hash, error) { return s.image.Digest() }

// Close gives back what is held open. The image must not be used afterwards.
func (s *Stored) Close() error {
	errs := []error{s.blobs.close()}
	if s.closer != nil {
		errs = append(errs, s.closer())
	}
	return errors.Join(errs...)
}

// Open opens an image on disk: an OCI layout, as a folder or as a tar archive,
// or an archive of docker save. It has to hold one image, or one index, alone.
// Every part of it is read and compared with its digest, and it has to have an
// image for each of the platforms; none is any.
func Open(ctx context.Context, at string, platforms []string) (*Stored, error) {
	s, err := openStored(ctx, at)
	if err == nil {
		err = offersAll(s.image, platforms)
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}
	if err != nil {
		return nil, fmt.Errorf("image %s: %w", at, err)
	}
	return s, nil
}

func openStored(ctx context.Context, at string) (_ *Stored, err error) {
	blobs, err := openStore(at)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, blobs.close())
		}
	}()
	l := &ociLayout{blobs}
	image, err := l.only()
	saved := isSaved(blobs)
	switch {
	case err == nil && saved && uncompressed(image), errors.Is(err, fs.ErrNotExist) && saved:
		return openSaved(ctx, blobs)
	case errors.Is(err, fs.ErrNotExist):
		return nil, deploy.Usage("name an OCI layout, or what docker save has written", "it has no index.json of an OCI layout, and no manifest.json of docker save")
	case err != nil:
		return nil, err
	}
	return &Stored{image: image, blobs: blobs}, l.check(ctx)
}

// ociLayout is a layout, as the image specification has it.
type ociLayout struct{ blobs store }

// only is the one image, or the one index, that the layout holds.
func (l *ociLayout) only() (Artifact, error) {
	top, err := l.top()
	if err != nil {
		return nil, err
	}
	if len(top.Manifests) != 1 {
		return nil, severalImages(top.Manifests)
	}
	return l.artifact(top.Manifests[0])
}

func (l *ociLayout) top() (*v1.IndexManifest, error) {
	content, err := readSmall(l.blobs, "index.json")
	if err != nil {
		return nil, err
	}
	top, err := v1.ParseIndexManifest(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("index.json: %v", err) //nolint:errorlint // an end of JSON is not one of a connection
	}
	return top, nil
}

func severalImages(all []v1.Descriptor) error {
	if len(all) == 0 {
		return errors.New("there is no image in it")
	}
	var names []string
	for _, d := range all {
		name := d.Digest.String()
		if ref := d.Annotations["org.opencontainers.image.ref.name"]; ref != "" {
			name = ref
		}
		names = append(names, name)
	}
	return deploy.Usage("write the one that is meant to a layout of its own", "it holds %d images: %s", len(all), strings.Join(names, ", "))
}

// artifact is what a descriptor names.
func (l *ociLayout) artifact(d v1.Descriptor) (Artifact, error) {
	content, err := l.manifest(d)
	if err != nil {
		return nil, err
	}
	switch {
	case d.MediaType.IsIndex():
		return &layoutIndex{ociLayout: l, content: content, mediaType: d.MediaType}, nil
	case d.MediaType.IsImage():
		return partial.CompressedToImage(&layoutImage{ociLayout: l, content: content, mediaType: d.MediaType})
	}
	return nil, fmt.Errorf("%s has the type %q, and is no image", d.Digest, d.MediaType)
}

// manifest reads a blob of JSON and holds it against its digest.
func (l *ociLayout) manifest(d v1.Descriptor) ([]byte, error) {
	content, err := readSmall(l.blobs, blobName(d.Digest))
	if err != nil {
		return nil, missing(d.Digest, err)
	}
	have, _, err := v1.SHA256(bytes.NewReader(content))
	if err == nil && have != d.Digest {
		err = damaged(d.Digest)
	}
	return content, err
}

func missing(h v1.Hash, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return deploy.Hinted(fmt.Errorf("%w: %s is missing", ErrIncomplete, h), "write it again; docker save --platform writes one platform alone")
	}
	return err
}

func damaged(h v1.Hash) error {
	return deploy.Hinted(fmt.Errorf("%w: the content of %s is not what its digest says", ErrIncomplete, h), "write the image again")
}

// check reads every blob of the layout that its image refers to, a few at a
// time, and compares it with its digest.
func (l *ociLayout) check(ctx context.Context) error {
	image, err := l.only()
	if err != nil {
		return err
	}
	wanted := map[v1.Hash]int64{}
	if err := l.collect(image, wanted); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for h, size := range wanted {
		g.Go(func() error { return l.checkBlob(ctx, h, size) })
	}
	return g.Wait()
}

// collect notes the blobs of an image, or of all that an index holds.
func (l *ociLayout) collect(a Artifact, wanted map[v1.Hash]int64) error {
	if index, ok := a.(v1.ImageIndex); ok {
		m, err := index.IndexManifest()
		if err != nil {
			return err
		}
		for _, d := range m.Manifests {
			below, err := l.artifact(d)
			if err == nil {
				err = l.collect(below, wanted)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
	content, err := a.RawManifest()
	if err != nil {
		return err
	}
	m, err := v1.ParseManifest(bytes.NewReader(content))
	if err != nil {
		return err
	}
	for _, d := range append([]v1.Descriptor{m.Config}, m.Layers...) {
		if d.MediaType.IsDistributable() {
			wanted[d.Digest] = d.Size
		}
	}
	return nil
}

func (l *ociLayout) checkBlob(ctx context.Context, h v1.Hash, size int64) (err error) {
	f, have, err := l.blobs.open(blobName(h))
	if err != nil {
		return missing(h, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if have != size {
		return damaged(h)
	}
	got, _, err := v1.SHA256(&stoppable{ctx: ctx, r: f})
	if err == nil && got != h {
		err = damaged(h)
	}
	return err
}

// layoutImage is an image of a layout.
type layoutImage struct {
	*ociLayout
	content   []byte
	mediaType types.MediaType
}

var _ partial.CompressedImageCore = (*layoutImage)(nil)

// MediaType implements partial.CompressedImageCore; so do those below.
func (i *layoutImage) MediaType() (types.MediaType, error) { return i.mediaType, nil }

// RawManifest is the manifest as it is stored.
func (i *layoutImage) RawManifest() ([]byte, error) { return i.content, nil }

// RawConfigFile is the configuration as it is stored.
func (i *layoutImage) RawConfigFile() ([]byte, error) {
	m, err := partial.Manifest(i)
	if err != nil {
		return nil, err
	}
	return i.manifest(m.Config)
}

// LayerByDigest finds a layer, or the configuration.
func (i *layoutImage) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	m, err := partial.Manifest(i)
	if err != nil {
		return nil, err
	}
	for _, d := range append([]v1.Descriptor{m.Config}, m.Layers...) {
		if d.Digest == h {
			return &layoutBlob{ociLayout: i.ociLayout, descriptor: d}, nil
		}
	}
	return nil, fmt.Errorf("the image has no layer %s", h)
}

// layoutBlob is a layer, or a configuration, of a layout.
type layoutBlob struct {
	*ociLayout
	descriptor v1.Descriptor
}

// Digest implements partial.CompressedLayer; so do those below.
func (b *layoutBlob) Digest() (v1.Hash, error) { return b.descriptor.Digest, nil }

// Size is in bytes.
func (b *layoutBlob) Size() (int64, error) { return b.descriptor.Size, nil }

// MediaType is what the manifest calls it.
func (b *layoutBlob) MediaType() (types.MediaType, error) { return b.descriptor.MediaType, nil }

// Compressed is the content as it is stored.
func (b *layoutBlob) Compressed() (io.ReadCloser, error) {
	f, _, err := b.blobs.open(blobName(b.descriptor.Digest))
	return f, err
}

// Descriptor keeps what the manifest says of a layer, such as where a foreign
// one is.
func (b *layoutBlob) Descriptor() (*v1.Descriptor, error) { return &b.descriptor, nil }

// layoutIndex is an index of a layout.
type layoutIndex struct {
	*ociLayout
	content   []byte
	mediaType types.MediaType
}

var _ v1.ImageIndex = (*layoutIndex)(nil)

// MediaType implements v1.ImageIndex; so do those below.
func (i *layoutIndex) MediaType() (types.MediaType, error) { return i.mediaType, nil }

// RawManifest is the index as it is stored.
func (i *layoutIndex) RawManifest() ([]byte, error) { return i.content, nil }

// Digest is that of the index.
func (i *layoutIndex) Digest() (v1.Hash, error) { return partial.Digest(i) }

// Size is that of the index, in bytes.
func (i *layoutIndex) Size() (int64, error) { return partial.Size(i) }

// IndexManifest is the index.
func (i *layoutIndex) IndexManifest() (*v1.IndexManifest, error) {
	m := &v1.IndexManifest{}
	if err := json.Unmarshal(i.content, m); err != nil {
		return nil, fmt.Errorf("the index: %v", err) //nolint:errorlint // an end of JSON is not one of a connection
	}
	return m, nil
}

// Image is one of the index.
func (i *layoutIndex) Image(h v1.Hash) (v1.Image, error) {
	a, err := i.child(h)
	if err != nil {
		return nil, err
	}
	if img, ok := a.(v1.Image); ok {
		return img, nil
	}
	return nil, fmt.Errorf("%s is no image", h)
}

// ImageIndex is an index in the index.
func (i *layoutIndex) ImageIndex(h v1.Hash) (v1.ImageIndex, error) {
	a, err := i.child(h)
	if err != nil {
		return nil, err
	}
	if index, ok := a.(v1.ImageIndex); ok {
		return index, nil
	}
	return nil, fmt.Errorf("%s is no index", h)
}

func (i *layoutIndex) child(h v1.Hash) (Artifact, error) {
	m, err := i.IndexManifest()
	if err != nil {
		return nil, err
	}
	for _, d := range m.Manifests {
		if d.Digest == h {
			return i.artifact(d)
		}
	}
	return nil, fmt.Errorf("the index has no %s", h)
}

// uncompressed reports whether an image has a layer that nobody has compressed,
// as newer releases of docker save write them.
func uncompressed(a Artifact) bool {
	img, ok := a.(v1.Image)
	if !ok {
		return false
	}
	m, err := img.Manifest()
	if err != nil {
		return false
	}
	for _, d := range m.Layers {
		if d.MediaType == types.OCIUncompressedLayer || d.MediaType == types.DockerUncompressedLayer {
			return true
		}
	}
	return false
}
