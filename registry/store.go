package registry

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-ci/slipway/deploy"
)

// store is where the parts of an image lie on disk: a folder, or an archive
// that is read in place.
type store interface {
	// open reads a file of it by its path with slashes; fs.ErrNotExist where
	// there is none. Several may be open at a time.
	open(name string) (io.ReadCloser, int64, error)
	close() error
}

// openStore opens a folder or an archive.
func openStore(at string) (store, error) {
	info, err := os.Stat(at)
	if err != nil {
		return nil, deploy.Usage("name an OCI layout (a folder or a tar archive), or what docker save has written", "read the image: %w", err)
	}
	if info.IsDir() {
		root, err := os.OpenRoot(at)
		if err != nil {
			return nil, err
		}
		return folderStore{root}, nil
	}
	if !info.Mode().IsRegular() {
		return nil, deploy.Usage("write it to a file first", "%s is neither a file nor a folder", at)
	}
	return openArchive(at)
}

// folderStore is a folder that nothing in it leads out of.
type folderStore struct{ root *os.Root }

func (f folderStore) open(name string) (io.ReadCloser, int64, error) {
	info, err := f.root.Stat(name)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() {
		return nil, 0, fmt.Errorf("%s is no file", name)
	}
	opened, err := f.root.Open(name)
	return opened, info.Size(), err
}

func (f folderStore) close() error { return f.root.Close() }

// archiveStore is a tar archive: where each of its files begins.
type archiveStore struct {
	file    *os.File
	entries map[string]archived
}

// archived is a file in an archive, or a link to one.
type archived struct {
	at, size int64
	link     string
}

func openArchive(at string) (_ store, err error) {
	f, err := os.Open(at)
	if err != nil {
		return nil, deploy.Usage("make it readable", "read the image: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	a := &archiveStore{file: f, entries: map[string]archived{}}
	t := tar.NewReader(f)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return a, nil
		}
		if err != nil {
			return nil, noArchive(f, err)
		}
		if err := a.add(h); err != nil {
			return nil, err
		}
	}
}

// add notes where the content of a file begins: the reader has stopped there.
func (a *archiveStore) add(h *tar.Header) error {
	name := path.Clean(h.Name)
	switch h.Typeflag {
	case tar.TypeReg:
		at, err := a.file.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		a.entries[name] = archived{at: at, size: h.Size}
	case tar.TypeSymlink:
		a.entries[name] = archived{link: path.Join(path.Dir(name), h.Linkname)} //nolint:gosec // a key of the map, and no file
	case tar.TypeLink:
		a.entries[name] = archived{link: path.Clean(h.Linkname)}
	}
	return nil
}

// noArchive says what a file is that is no archive.
func noArchive(f *os.File, err error) error {
	head := make([]byte, 4)
	if _, ferr := f.ReadAt(head, 0); ferr == nil && (isGzip(head) || bytes.HasPrefix(head, []byte{0x28, 0xb5, 0x2f, 0xfd})) {
		return deploy.Usage("unpack it first, such as with gunzip", "%s is compressed", f.Name())
	}
	return deploy.Usage("name an OCI layout, or what docker save has written", "%s is no tar archive: %w", f.Name(), err)
}

func isGzip(head []byte) bool { return bytes.HasPrefix(head, []byte{0x1f, 0x8b}) }

// maxLinks bounds how far links are followed.
const maxLinks = 8

func (a *archiveStore) open(name string) (io.ReadCloser, int64, error) {
	for range maxLinks {
		e, ok := a.entries[name]
		if !ok {
			break
		}
		if e.link == "" {
			return io.NopCloser(io.NewSectionReader(a.file, e.at, e.size)), e.size, nil
		}
		name = e.link
	}
	return nil, 0, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
}

func (a *archiveStore) close() error { return a.file.Close() }

// maxManifest bounds what is read as JSON, in bytes, as registries bound
// manifests.
const maxManifest = 4 << 20

// readSmall reads a whole file of a store.
func readSmall(s store, name string) (_ []byte, err error) {
	f, size, err := s.open(name)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if size > maxManifest {
		return nil, fmt.Errorf("%s has %d bytes, and at most %d are read", name, size, maxManifest)
	}
	return io.ReadAll(io.LimitReader(f, maxManifest))
}

// blobName is where an OCI layout keeps a blob.
func blobName(h v1.Hash) string { return "blobs/" + h.Algorithm + "/" + h.Hex }
