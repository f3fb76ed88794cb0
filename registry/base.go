package registry

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/slipway-ci/slipway/deploy"
)

// baseImage is what an image is built on. Its layers stay where they are until
// they are sent. The methods of nil are those of scratch.
type baseImage struct {
	// name is the reference in full, digest what it named when it was looked up.
	name   string
	digest v1.Hash
	repo   name.Repository
	config *v1.ConfigFile
	parts  []baseLayer
}

// pullBase looks up a base for a platform.
func (c *Client) pullBase(ctx context.Context, base string, platform v1.Platform) (*baseImage, error) {
	ref, err := parseBase(base)
	if err != nil {
		return nil, err
	}
	conn, err := c.connect(remote.WithPlatform(platform))
	if err != nil {
		return nil, err
	}
	// The context of a lookup stays with the layers, so that it has no limit of
	// its own: that of the transport and of each attempt hold.
	got, repo, err := conn.find(ctx, ref)
	if statusOf(err) == http.StatusNotFound {
		return nil, deploy.Hinted(fmt.Errorf("base %s: %w", base, &NotFound{Repository: ref.Context().Name(), Reference: ref.Identifier()}),
			"correct build.base, or leave it out to build from scratch")
	}
	if err != nil {
		return nil, explain(ctx, "pull the base "+base, repo, err)
	}
	b, err := newBase(ref, repo, got, platform)
	return b, explain(ctx, "pull the base "+base, repo, err)
}

func parseBase(base string) (name.Reference, error) {
	ref, err := name.ParseReference(base)
	if err == nil && isLoopback(ref.Context().RegistryStr()) {
		ref, err = name.ParseReference(base, name.Insecure)
	}
	if err != nil {
		return nil, deploy.Usage("name an image with a tag or a digest: gcr.io/distroless/static:nonroot",
			"build.base %q: %w", base, err)
	}
	return ref, nil
}

func newBase(ref name.Reference, repo name.Repository, got *remote.Descriptor, platform v1.Platform) (*baseImage, error) {
	if err := offers(got, platform); err != nil {
		return nil, err
	}
	img, err := got.Image()
	if err != nil {
		return nil, err
	}
	if _, err := img.Manifest(); err != nil {
		return nil, fmt.Errorf("its manifest is damaged: %v", err) //nolint:errorlint // an end of JSON is not that of a connection
	}
	b := &baseImage{name: ref.Name(), digest: got.Digest, repo: repo}
	if b.config, err = img.ConfigFile(); err != nil {
		return nil, lost("its configuration", err)
	}
	if err := runsOn(b.config, platform); err != nil {
		return nil, err
	}
	b.parts, err = baseLayers(img)
	if err == nil && len(b.parts) != len(b.config.RootFS.DiffIDs) {
		err = fmt.Errorf("it has %d layers, and its configuration names %d", len(b.parts), len(b.config.RootFS.DiffIDs))
	}
	return b, err
}

// lost tells a base that its registry has parts of only.
func lost(what string, err error) error {
	if statusOf(err) != http.StatusNotFound {
		return err
	}
	return deploy.Hinted(fmt.Errorf("%w: %s is missing", ErrIncomplete, what), "choose another base, or push this one again")
}

// offers refuses an index without an image for the platform.
func offers(got *remote.Descriptor, platform v1.Platform) error {
	if !got.MediaType.IsIndex() {
		return nil
	}
	index, err := got.ImageIndex()
	if err != nil {
		return err
	}
	m, err := index.IndexManifest()
	if err != nil {
		return err
	}
	var have []string
	for _, d := range m.Manifests {
		if d.Platform == nil || d.Platform.OS == "unknown" { // attestations
			continue
		}
		if d.Platform.Satisfies(platform) {
			return nil
		}
		have = append(have, d.Platform.String())
	}
	return otherPlatform(platform, have)
}

// runsOn refuses a single image that is for another platform.
func runsOn(config *v1.ConfigFile, platform v1.Platform) error {
	if config.OS == "" && config.Architecture == "" { // it may run anywhere
		config.OS, config.Architecture, config.Variant = platform.OS, platform.Architecture, platform.Variant
		return nil
	}
	have := v1.Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant}
	if have.OS == platform.OS && have.Architecture == platform.Architecture {
		return nil
	}
	return otherPlatform(platform, []string{have.String()})
}

func otherPlatform(want v1.Platform, have []string) error {
	return deploy.Hinted(fmt.Errorf("it is not there for %s", want.String()),
		"it is there for: %s. Set build.platform to one of them, or choose another base", strings.Join(have, ", "))
}

// baseLayer is a layer of the base with the media type that it has in ours.
type baseLayer struct {
	v1.Layer
	descriptor v1.Descriptor
}

// MediaType is the OCI type of the layer.
func (l baseLayer) MediaType() (types.MediaType, error) { return l.descriptor.MediaType, nil }

func baseLayers(img v1.Image) ([]baseLayer, error) {
	m, err := img.Manifest()
	if err != nil {
		return nil, err
	}
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	parts := make([]baseLayer, len(layers))
	for i, l := range layers {
		parts[i] = baseLayer{Layer: l, descriptor: m.Layers[i]}
		parts[i].descriptor.MediaType = ociType(m.Layers[i].MediaType)
	}
	return parts, nil
}

// ociType is what a layer in Docker's format is called in OCI's: the bytes are
// the same.
func ociType(t types.MediaType) types.MediaType {
	switch t {
	case types.DockerLayer:
		return types.OCILayer
	case types.DockerUncompressedLayer:
		return types.OCIUncompressedLayer
	case types.DockerForeignLayer:
		return types.OCIRestrictedLayer
	}
	return t
}

// layers remember where they come from: a registry that has them already, in
// another repository, mounts them without a transfer.
func (b *baseImage) layers() []v1.Layer {
	if b == nil {
		return nil
	}
	layers := make([]v1.Layer, len(b.parts))
	for i, part := range b.parts {
		layers[i] = part
		if m, ok := part.Layer.(*remote.MountableLayer); ok {
			part.Layer = m.Layer
			layers[i] = &remote.MountableLayer{Layer: part, Reference: m.Reference}
		}
	}
	return layers
}

func (b *baseImage) descriptors() []v1.Descriptor {
	descriptors := []v1.Descriptor{}
	if b == nil {
		return descriptors
	}
	for _, part := range b.parts {
		descriptors = append(descriptors, part.descriptor)
	}
	return descriptors
}

// configuration is a copy that may be changed.
func (b *baseImage) configuration() v1.ConfigFile {
	if b == nil {
		return v1.ConfigFile{RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{}}}
	}
	config := *b.config.DeepCopy()
	config.Container = "" // of the machine that made the base
	return config
}

// room is how many layers an image may have besides those of the base.
func (b *baseImage) room() (int, error) {
	if b == nil {
		return mostLayers, nil
	}
	if room := mostLayers - len(b.parts); room > 0 {
		return room, nil
	}
	return 0, deploy.Hinted(fmt.Errorf("base %s: it has %d layers, and Docker takes %d in all", b.name, len(b.parts), mostLayers),
		"choose a base of fewer layers")
}

// receive fits the folders of an image to those that the base has: they keep
// their mode there (that of /tmp, say), and their owner unless an entry names
// another. A folder cannot take the place of anything else. The layers of the
// base are read for it, so that files right below the root are cheaper.
func (b *baseImage) receive(ctx context.Context, own map[string]placement) error {
	if b == nil {
		return nil
	}
	s := &search{wanted: map[string]bool{}, found: map[string]item{}}
	for _, p := range own {
		if p.kind == folder {
			s.wanted[p.path] = true
		}
	}
	for i := len(b.parts) - 1; i >= 0 && len(s.wanted) > 0; i-- {
		if err := s.layer(b.parts[i]); err != nil {
			return explain(ctx, "read the base "+b.name, b.repo, lost("a layer", err))
		}
	}
	for _, at := range slices.Sorted(maps.Keys(s.found)) {
		p, err := own[at].fit(s.found[at])
		if err != nil {
			return fmt.Errorf("%s: %w", entryName(p.entry), err)
		}
		own[at] = p
	}
	return nil
}

// fit takes over what the base has at the place of a folder.
func (p placement) fit(base item) (placement, error) {
	if base.kind != folder {
		return p, deploy.Usage("write the path without the link, such as /usr/bin for /bin",
			"/%s is a %s in the base image, and would become a folder", p.path, base.kind)
	}
	p.mode = base.mode
	if p.implied || p.uid == 0 && p.gid == 0 {
		p.uid, p.gid = base.uid, base.gid
	}
	return p, nil
}

// search looks for paths from the highest layer down: the first to have one, or
// to delete it, decides.
type search struct {
	wanted map[string]bool
	found  map[string]item
}

func (s *search) layer(l v1.Layer) error {
	content, err := l.Uncompressed()
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	hidden := map[string]bool{}
	t := tar.NewReader(content)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		s.header(h, hidden)
	}
	for path := range hidden {
		s.hide(path)
	}
	return nil
}

// header notes one thing in a layer. What it deletes hides lower layers only.
func (s *search) header(h *tar.Header, hidden map[string]bool) {
	at := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
	dir, base := path.Split(at)
	if deleted, ok := strings.CutPrefix(base, whiteout); ok {
		if deleted == whiteout+".opq" { // the folder itself stays, empty
			deleted = ""
		}
		hidden[dir+deleted] = true
		return
	}
	if !s.wanted[at] {
		return
	}
	delete(s.wanted, at)
	s.found[at] = item{path: at, kind: kindOf(h), mode: h.Mode & 0o7777, uid: h.Uid, gid: h.Gid}
}

// hide gives up on a path and what is below it; with a slash at its end, on
// what is below it alone.
func (s *search) hide(hidden string) {
	below := strings.TrimSuffix(hidden, "/") + "/"
	for wanted := range s.wanted {
		if wanted == hidden || strings.HasPrefix(wanted, below) {
			delete(s.wanted, wanted)
		}
	}
}

func kindOf(h *tar.Header) kind {
	switch h.Typeflag {
	case tar.TypeDir:
		return folder
	case tar.TypeSymlink:
		return link
	default:
		return file
	}
}
