package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"

	"github.com/slipway-ci/slipway/deploy"
)

// layer is some files of a Build. Its content is read from disk each time it is
// needed: once to know its identity, and a second time only if it has to be
// sent. Memory stays flat.
type layer struct {
	archive
	// origin names where it comes from for people: build.files[0].
	origin string
	// to is where that goes in the image.
	to string
	// ctx is the image's, and ends with it. A v1.Layer cannot be handed one.
	ctx    context.Context //nolint:containedctx // see above
	diffID v1.Hash
	// size is that of the archive, in bytes.
	size int64

	// mu is held while the layer is made to bytes.
	mu sync.Mutex
	// known is how it is stored; nil until somebody asks.
	known *v1.Descriptor
	// reused: known was taken over from an image in a registry.
	reused bool
	// blob is its compressed content, nil where nobody needs it.
	blob *blob
	err  error
}

var _ v1.Layer = (*layer)(nil)

// identify computes the hash of the uncompressed content.
func (l *layer) identify() error {
	h := sha256.New()
	counted := &counter{w: h}
	if err := l.write(l.ctx, counted); err != nil {
		return l.failed(err)
	}
	l.diffID, l.size = sum(h), counted.n
	return nil
}

// DiffID is the hash of the uncompressed layer.
func (l *layer) DiffID() (v1.Hash, error) { return l.diffID, nil }

// MediaType is that of an OCI layer: compressed, or not where that saves
// nothing.
func (l *layer) MediaType() (types.MediaType, error) {
	d, err := l.descriptor()
	return d.MediaType, err
}

// Digest is the hash of the layer as it is sent.
func (l *layer) Digest() (v1.Hash, error) {
	d, err := l.descriptor()
	return d.Digest, err
}

// Size is that of the layer as it is sent, in bytes.
func (l *layer) Size() (int64, error) {
	d, err := l.descriptor()
	return d.Size, err
}

// Compressed is what is sent.
func (l *layer) Compressed() (io.ReadCloser, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.store(); err != nil {
		return nil, err
	}
	if l.known.MediaType == types.OCIUncompressedLayer {
		return l.stream(), nil
	}
	if l.blob == nil { // it was taken over
		if err := l.compress(); err != nil {
			return nil, l.failed(err)
		}
	}
	return io.NopCloser(io.NewSectionReader(l.blob.file, 0, l.blob.size)), nil
}

// Uncompressed is the tar archive.
func (l *layer) Uncompressed() (io.ReadCloser, error) {
	sent, err := l.Compressed()
	if err != nil || l.known.MediaType == types.OCIUncompressedLayer {
		return sent, err
	}
	return gzip.NewReader(sent)
}

// descriptor is how the layer is stored.
func (l *layer) descriptor() (v1.Descriptor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.store(); err != nil {
		return v1.Descriptor{}, err
	}
	return *l.known, nil
}

// reuse takes over how the same content is stored already, so that nothing has
// to be compressed to know it.
func (l *layer) reuse(stored v1.Descriptor) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.known == nil && l.err == nil {
		l.known = &v1.Descriptor{MediaType: stored.MediaType, Digest: stored.Digest, Size: stored.Size}
		l.reused = true
	}
}

// takenOver is the digest that was taken over, if it was.
func (l *layer) takenOver() (v1.Hash, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.reused {
		return v1.Hash{}, false
	}
	return l.known.Digest, true
}

// forget gives up what was taken over.
func (l *layer) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.reused {
		l.known, l.reused = nil, false
	}
}

// store makes the layer to what is sent, once. What does not become smaller
// stays what it is: it has one hash then, and is sent from where it lies.
func (l *layer) store() error {
	if l.known != nil || l.err != nil {
		return l.err
	}
	shrinks, err := l.shrinks(l.ctx)
	switch {
	case err != nil:
	case shrinks:
		err = l.compress()
	default:
		l.known = &v1.Descriptor{MediaType: types.OCIUncompressedLayer, Digest: l.diffID, Size: l.size}
	}
	if err != nil {
		l.err = l.failed(err)
	}
	return l.err
}

// compress reads the files again, and refuses those that have changed since
// they were identified.
func (l *layer) compress() error {
	again := sha256.New()
	b, err := newBlob(func(w io.Writer) error { return l.write(l.ctx, io.MultiWriter(w, again)) })
	if err != nil {
		return err
	}
	if sum(again) != l.diffID {
		_ = b.close()
		return changed("a file")
	}
	l.blob = b
	l.known = &v1.Descriptor{MediaType: types.OCILayer, Digest: b.digest, Size: b.size}
	return nil
}

// stream is the archive as it is written. It has to be read to its end or
// closed, which ends the writing of it.
func (l *layer) stream() io.ReadCloser {
	r, w := io.Pipe()
	go func() {
		err := l.write(l.ctx, w)
		if err != nil {
			err = l.failed(err)
		}
		_ = w.CloseWithError(err)
	}()
	return r
}

// same is an error unless the files are still what they were: whoever gets them
// by a stream finds another digest, and this says why.
func (l *layer) same() error {
	again := sha256.New()
	err := l.write(l.ctx, again)
	if err == nil && sum(again) != l.diffID {
		err = changed("a file")
	}
	if err != nil {
		return l.failed(err)
	}
	return nil
}

// close gives the temporary file back. The layer must not be in use.
func (l *layer) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil {
		l.err = errClosed
	}
	l.known, l.reused = nil, false
	if l.blob == nil {
		return nil
	}
	return l.blob.close()
}

var errClosed = errors.New("the image has been closed")

// unpackable is what is wrong with the files of a layer, and not with where
// they are sent.
type unpackable struct {
	origin string
	err    error
}

// Error names the entry and the reason.
func (u *unpackable) Error() string { return u.origin + ": " + u.err.Error() }

// Unwrap gives the reason.
func (u *unpackable) Unwrap() error { return u.err }

func (l *layer) failed(err error) error { return &unpackable{l.origin, err} }

func changed(what string) error {
	return deploy.Hinted(fmt.Errorf("%s changed while it was being packed", what),
		"run it again once nothing writes to the files any more")
}

func explainDisk(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return deploy.Hinted(err, "make room in %s, or name another folder in TMPDIR", os.TempDir())
	}
	return err
}

// counter counts what passes.
type counter struct {
	w io.Writer
	n int64
}

// Write implements io.Writer.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

func sum(h hash.Hash) v1.Hash {
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}
