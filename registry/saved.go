package registry

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/deploy"
)

// savedList is the file that names the images in an archive of docker save.
const savedList = "manifest.json"

func isSaved(s store) bool {
	f, _, err := s.open(savedList)
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}

// savedEntry is an image in an archive of docker save. Source:
// https://github.com/moby/docker-image-spec, "Combined Image JSON + Filesystem
// Changeset Format".
type savedEntry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

// openSaved opens the one image of an archive of docker save. Its layers are
// compressed when they are first needed; each is compared with its hash in the
// configuration at once.
func openSaved(ctx context.Context, blobs store) (*Stored, error) {
	img, err := readSaved(ctx, blobs)
	if err != nil {
		return nil, err
	}
	stored := &Stored{image: img, blobs: blobs, closer: img.close}
	return stored, img.each(func(i int, l *savedLayer) error { return l.compare(img.diffIDs[i]) })
}

// Restamp opens an archive of docker save with nothing in it newer than a time
// in whole seconds, which becomes the time of the image, so that the same build
// is the same image whenever it is made. Its manifest gets the annotations.
func Restamp(ctx context.Context, at string, newest time.Time, annotations map[string]string) (*Stored, error) {
	blobs, err := openStore(at)
	if err != nil {
		return nil, err
	}
	img, err := readSaved(ctx, blobs)
	if err == nil {
		img.annotations = annotations
		err = errors.Join(img.restamp(newest), ctx.Err())
	}
	if err != nil {
		if img != nil {
			err = errors.Join(err, img.close())
		}
		return nil, errors.Join(err, blobs.close())
	}
	return &Stored{image: img, blobs: blobs, closer: img.close}, nil
}

func readSaved(ctx context.Context, blobs store) (*savedImage, error) {
	content, err := readSmall(blobs, savedList)
	if err != nil {
		return nil, err
	}
	var list []savedEntry
	if err := json.Unmarshal(content, &list); err != nil {
		return nil, fmt.Errorf("%s: %v", savedList, err) //nolint:errorlint // an end of JSON is not one of a connection
	}
	if len(list) != 1 {
		return nil, severalSaved(list)
	}
	img := &savedImage{}
	img.layered = img
	if img.config, err = readSmall(blobs, list[0].Config); err != nil {
		return nil, fmt.Errorf("its configuration: %w", err)
	}
	config, err := v1.ParseConfigFile(bytes.NewReader(img.config))
	if err != nil {
		return nil, fmt.Errorf("its configuration: %v", err) //nolint:errorlint // an end of JSON is not one of a connection
	}
	img.diffIDs = config.RootFS.DiffIDs
	if len(img.diffIDs) != len(list[0].Layers) {
		return nil, fmt.Errorf("it has %d layers, and its configuration names %d", len(list[0].Layers), len(img.diffIDs))
	}
	for i, name := range list[0].Layers {
		img.layers = append(img.layers, &savedLayer{ctx: ctx, blobs: blobs, name: name, diffID: img.diffIDs[i]})
	}
	return img, nil
}

func severalSaved(list []savedEntry) error {
	if len(list) == 0 {
		return errors.New("there is no image in it")
	}
	var names []string
	for _, e := range list {
		names = append(names, e.RepoTags...)
	}
	return deploy.Usage("save the one that is meant alone: docker save --output FILE NAME", "it holds %d images: %s", len(list), strings.Join(names, ", "))
}

// savedImage is an image of docker save in OCI's form. Its configuration stays
// as it is, byte for byte, unless it is restamped.
type savedImage struct {
	assembled

	diffIDs []v1.Hash
	layers  []*savedLayer
}

var _ v1.Image = (*savedImage)(nil)

// Layers are the layers, lowest first.
func (i *savedImage) Layers() ([]v1.Layer, error) {
	layers := make([]v1.Layer, len(i.layers))
	for n, l := range i.layers {
		layers[n] = l
	}
	return layers, nil
}

// stored is what is stored of each layer.
func (i *savedImage) stored() ([]v1.Descriptor, error) {
	err := i.each(func(_ int, l *savedLayer) error {
		_, err := l.Digest()
		return err
	})
	if err != nil {
		return nil, err
	}
	all := []v1.Descriptor{}
	for _, l := range i.layers {
		all = append(all, v1.Descriptor{MediaType: types.OCILayer, Size: l.blob.size, Digest: l.blob.digest})
	}
	return all, nil
}

// each does something with every layer, a few at a time.
func (i *savedImage) each(f func(int, *savedLayer) error) error {
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for n, l := range i.layers {
		g.Go(func() error { return f(n, l) })
	}
	return g.Wait()
}

func (i *savedImage) close() error {
	var errs []error
	for _, l := range i.layers {
		errs = append(errs, l.close())
	}
	return errors.Join(errs...)
}

// restamp compresses all layers with the time, and writes it into the
// configuration.
func (i *savedImage) restamp(newest time.Time) error {
	newest = newest.UTC().Truncate(time.Second)
	err := i.each(func(_ int, l *savedLayer) error {
		l.newest = &newest
		_, err := l.Digest()
		return err
	})
	if err != nil {
		return err
	}
	for n, l := range i.layers {
		i.diffIDs[n] = l.diffID
	}
	i.config, err = restampConfig(i.config, newest, i.diffIDs)
	return err
}

// restampConfig changes times and layers, and leaves all else of a
// configuration as it is: it may have fields that are not known here.
func restampConfig(config []byte, newest time.Time, diffIDs []v1.Hash) ([]byte, error) {
	var all map[string]any
	if err := json.Unmarshal(config, &all); err != nil {
		return nil, err
	}
	all["created"] = newest.Format(time.RFC3339)
	history, _ := all["history"].([]any)
	for _, entry := range history {
		h, ok := entry.(map[string]any)
		if !ok {
			continue
		}
		created, _ := h["created"].(string)
		at, err := time.Parse(time.RFC3339, created)
		if err != nil || at.After(newest) {
			h["created"] = newest.Format(time.RFC3339)
		}
	}
	all["rootfs"] = v1.RootFS{Type: "layers", DiffIDs: diffIDs}
	// The machine that built it has put its own names there.
	for _, key := range []string{"container", "container_config", "docker_version", "id", "parent"} {
		delete(all, key)
	}
	return json.Marshal(all)
}

// savedLayer is a layer of an archive of docker save: a tar archive, or one
// that somebody has compressed already.
type savedLayer struct {
	ctx    context.Context //nolint:containedctx // a v1.Layer cannot be handed one
	blobs  store
	name   string
	diffID v1.Hash
	// newest is the time that nothing in it may exceed; nil leaves all as it is.
	newest *time.Time

	once sync.Once
	blob *blob
	err  error
}

var _ v1.Layer = (*savedLayer)(nil)

// DiffID implements v1.Layer; so do those below.
func (l *savedLayer) DiffID() (v1.Hash, error) { return l.diffID, nil }

// MediaType is that of an OCI layer.
func (l *savedLayer) MediaType() (types.MediaType, error) { return types.OCILayer, nil }

// Digest is the hash of the compressed layer.
func (l *savedLayer) Digest() (v1.Hash, error) {
	b, err := l.compressed()
	if err != nil {
		return v1.Hash{}, err
	}
	return b.digest, nil
}

// Size is that of the compressed layer, in bytes.
func (l *savedLayer) Size() (int64, error) {
	b, err := l.compressed()
	if err != nil {
		return 0, err
	}
	return b.size, nil
}

// Compressed is what is sent.
func (l *savedLayer) Compressed() (io.ReadCloser, error) {
	b, err := l.compressed()
	if err != nil {
		return nil, err
	}
	return io.NopCloser(io.NewSectionReader(b.file, 0, b.size)), nil
}

// Uncompressed is the tar archive.
func (l *savedLayer) Uncompressed() (io.ReadCloser, error) {
	packed, err := l.Compressed()
	if err != nil {
		return nil, err
	}
	return gzip.NewReader(packed)
}

func (l *savedLayer) compressed() (*blob, error) {
	l.once.Do(func() {
		if l.blob, l.err = l.compress(); l.err != nil {
			l.err = fmt.Errorf("layer %s: %w", l.name, l.err)
		}
	})
	return l.blob, l.err
}

func (l *savedLayer) compress() (_ *blob, err error) {
	content, err := l.tar()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	identity := sha256.New()
	b, err := newBlob(func(w io.Writer) error {
		w = io.MultiWriter(w, identity)
		if l.newest != nil {
			return clamp(w, content, *l.newest)
		}
		_, err := io.Copy(w, content)
		return err
	})
	if err != nil {
		return nil, err
	}
	if got := sum(identity); l.newest != nil {
		l.diffID = got
	} else if got != l.diffID {
		return nil, errors.Join(damaged(l.diffID), b.close())
	}
	return b, nil
}

// compare holds the content against the hash in the configuration.
func (l *savedLayer) compare(diffID v1.Hash) (err error) {
	content, err := l.tar()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	got, _, err := v1.SHA256(content)
	if err == nil && got != diffID {
		err = damaged(diffID)
	}
	return err
}

// tar is the uncompressed content.
func (l *savedLayer) tar() (io.ReadCloser, error) {
	f, _, err := l.blobs.open(l.name)
	if err != nil {
		return nil, missing(l.diffID, err)
	}
	r := bufio.NewReaderSize(&stoppable{ctx: l.ctx, r: f}, bufferSize)
	if head, err := r.Peek(2); err == nil && isGzip(head) {
		unpacked, err := gzip.NewReader(r)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		return readCloser{unpacked, f}, nil
	}
	return readCloser{r, f}, nil
}

type readCloser struct {
	io.Reader
	io.Closer
}

func (l *savedLayer) close() error {
	l.once.Do(func() { l.err = errClosed })
	if l.blob == nil {
		return nil
	}
	return l.blob.close()
}

// clamp copies a tar archive with nothing in it newer than a time. What tells
// of reading and of the disk is left out.
func clamp(w io.Writer, content io.Reader, newest time.Time) error {
	in, out := tar.NewReader(content), tar.NewWriter(w)
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return out.Close()
		}
		if err != nil {
			return err
		}
		if h.ModTime.After(newest) {
			h.ModTime = newest
		}
		h.ModTime = h.ModTime.Truncate(time.Second)
		h.AccessTime, h.ChangeTime, h.Format = time.Time{}, time.Time{}, tar.FormatUnknown
		if err := out.WriteHeader(h); err != nil {
			return err
		}
		if _, err := io.Copy(out, in); err != nil { //nolint:gosec // it goes to disk, as long as there is room
			return err
		}
	}
}
