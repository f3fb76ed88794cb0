package registry

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/klauspost/pgzip"
)

// packing names how layers are made to bytes: which are compressed, by what and
// how. Whatever changes the bytes changes it, so that a layer is taken over only
// from an image whose bytes would have become the same here: whether there was
// something to take over does not show in a digest.
const packing = "2"

// blob is a compressed layer in a temporary file.
type blob struct {
	file   *os.File
	digest v1.Hash
	size   int64
}

const (
	// compression is fast, because a release waits for it. Of a Go program this
	// level makes 51 %, at 240 MB/s on one core of a server; the next one makes
	// 50 %, at 200, and the default level 48 %, at 120.
	compression = 2
	// stripe is how much is compressed at a time, in bytes. It is in the result,
	// how many CPUs there are is not.
	stripe = 1 << 20
	// stripes is how many of a layer are compressed at a time at most, compressing
	// how many layers: each stripe holds some memory.
	stripes, compressing = 4, 2
)

// compressors are kept, since each one holds some memory.
var compressors = sync.Pool{New: func() any {
	w, err := pgzip.NewWriterLevel(io.Discard, compression)
	if err != nil {
		panic(err) //nolint:forbidigo // the level is a constant that it knows
	}
	return w
}}

// newBlob compresses what content writes.
func newBlob(content func(io.Writer) error) (b *blob, err error) {
	f, err := os.CreateTemp("", "slipway-layer-")
	if err != nil {
		return nil, fmt.Errorf("make a temporary file: %w", err)
	}
	_ = os.Remove(f.Name()) // where the system allows it, so that nothing is left even after a kill
	defer func() {
		if err != nil {
			err = errors.Join(explainDisk(err), discard(f))
		}
	}()
	digest := sha256.New()
	counted := &counter{w: io.MultiWriter(f, digest)}
	if err := compress(counted, content); err != nil {
		return nil, err
	}
	return &blob{file: f, digest: sum(digest), size: counted.n}, nil
}

// compress writes what content writes, compressed. The header holds neither name
// nor time.
func compress(to io.Writer, content func(io.Writer) error) error {
	out := &steadfast{w: to}
	packed := compressors.Get().(*pgzip.Writer) //nolint:forcetypeassert // there is nothing else in it
	packed.Reset(out)
	if err := packed.SetConcurrency(stripe, min(stripes, runtime.GOMAXPROCS(0))); err != nil {
		return err
	}
	err := content(&interruptible{w: packed, failed: out})
	// Closed in any case: it ends what runs in it.
	if closed := packed.Close(); err == nil {
		err = closed
	}
	compressors.Put(packed)
	if out.err() != nil {
		return out.err()
	}
	return err
}

// steadfast keeps the first error of a writer to itself, and goes on as if
// nothing had happened: a compressor that got it would never end.
type steadfast struct {
	w     io.Writer
	mu    sync.Mutex
	first error
}

// Write implements io.Writer.
func (s *steadfast) Write(p []byte) (int, error) {
	if s.err() == nil {
		if _, err := s.w.Write(p); err != nil {
			s.mu.Lock()
			s.first = err
			s.mu.Unlock()
		}
	}
	return len(p), nil
}

func (s *steadfast) err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first
}

// interruptible writes until what comes out at the other end is lost anyhow.
type interruptible struct {
	w      io.Writer
	failed *steadfast
}

// Write implements io.Writer.
func (i *interruptible) Write(p []byte) (int, error) {
	if err := i.failed.err(); err != nil {
		return 0, err
	}
	return i.w.Write(p)
}

func (b *blob) close() error { return discard(b.file) }

// discard closes a temporary file and removes it if it is still there.
func discard(f *os.File) error {
	err := f.Close()
	_ = os.Remove(f.Name())
	return err
}
