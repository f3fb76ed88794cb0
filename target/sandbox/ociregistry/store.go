package ociregistry

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// errAbsent means that there is no such thing, or that it is damaged.
var errAbsent = errors.New("not in the registry")

// store is the registry's folder. Names, tags and digests that it is handed
// have been validated.
type store struct {
	dir string
	log *slog.Logger
	// sound holds the stamp of every blob whose content is known to match.
	sound sync.Map // v1.Hash -> stamp
}

// stamp tells one state of a file from the next.
type stamp struct {
	size     int64
	modified time.Time
}

// openStore makes the folders, and removes what a killed process left half
// written.
func openStore(dir string, log *slog.Logger) (*store, error) {
	s := &store{dir: dir, log: log}
	if err := clearDir(s.tmp()); err != nil {
		return nil, fmt.Errorf("remove what is left of uploads: %w", err)
	}
	for _, d := range []string{s.tmp(), s.blobs(), s.repositories()} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, fmt.Errorf("make folder: %w", err)
		}
	}
	return s, nil
}

// clearDir removes all that is in a folder. The folder itself stays, because on a
// full disk it could not be made again.
func clearDir(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
	return err
}

func (s *store) tmp() string          { return filepath.Join(s.dir, "tmp") }
func (s *store) blobs() string        { return filepath.Join(s.dir, "blobs", "sha256") }
func (s *store) repositories() string { return filepath.Join(s.dir, "repositories") }

func (s *store) blobPath(h v1.Hash) string { return filepath.Join(s.blobs(), h.Hex) }

func (s *store) repoPath(name string) string {
	return filepath.Join(s.repositories(), filepath.FromSlash(name))
}

func (s *store) manifestPath(name string, h v1.Hash) string {
	return filepath.Join(s.repoPath(name), manifestsDir, h.Hex)
}

func (s *store) tagPath(name, tag string) string {
	return filepath.Join(s.repoPath(name), tagsDir, tag)
}

// Folders in a repository's folder.
const (
	manifestsDir = "_manifests"
	tagsDir      = "_tags"
)

// newTemp makes a file that nobody else has, to be renamed when it is whole.
func (s *store) newTemp() (*os.File, error) {
	return os.OpenFile(filepath.Join(s.tmp(), rand.Text()), os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
}

// publish makes a temporary file durable and gives it its name; when that
// fails, the file is gone.
func (s *store) publish(f *os.File, path string) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, ignoreAbsent(os.Remove(f.Name())))
		}
	}()
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := s.makeFolder(filepath.Dir(path)); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// makeFolder makes a folder and those above it durable.
func (s *store) makeFolder(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return err
	}
	for p := filepath.Dir(path); strings.HasPrefix(p, s.dir); p = filepath.Dir(p) {
		if err := syncFolder(p); err != nil {
			return err
		}
		if p == s.dir {
			break
		}
	}
	return nil
}

// syncFolder makes the names in a folder durable.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// writeFile stores a small file, whole or not at all.
func (s *store) writeFile(path string, content []byte) error {
	f, err := s.newTemp()
	if err != nil {
		return err
	}
	if _, err := f.Write(content); err != nil {
		return errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	return s.publish(f, path)
}

// remove takes a file away for good; errAbsent when there is none.
func (s *store) remove(path string) error {
	if err := os.Remove(path); err != nil {
		return absent(err)
	}
	return syncFolder(filepath.Dir(path))
}

// putBlob gives a whole temporary file, whose content has been hashed, its
// place.
func (s *store) putBlob(f *os.File, h v1.Hash) error {
	info, err := f.Stat()
	if err != nil {
		return errors.Join(err, f.Close(), os.Remove(f.Name()))
	}
	if err := s.publish(f, s.blobPath(h)); err != nil {
		return err
	}
	s.sound.Store(h, stamp{info.Size(), info.ModTime()})
	return nil
}

// openBlob opens a blob whose content matches its digest.
func (s *store) openBlob(h v1.Hash) (*os.File, error) {
	f, err := os.Open(s.blobPath(h))
	if err != nil {
		return nil, absent(err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if err := s.check(f, info, h); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// check hashes a blob the first time that it is read.
func (s *store) check(f *os.File, info fs.FileInfo, h v1.Hash) error {
	now := stamp{info.Size(), info.ModTime()}
	if known, ok := s.sound.Load(h); ok && known == now {
		return nil
	}
	sum := sha256.New()
	if _, err := io.Copy(sum, f); err != nil {
		s.log.Warn("blob cannot be read, it counts as absent", "digest", h.String(), "error", err)
		return errAbsent
	}
	if hex.EncodeToString(sum.Sum(nil)) != h.Hex {
		s.log.Warn("blob is damaged, it counts as absent", "digest", h.String())
		return errAbsent
	}
	s.sound.Store(h, now)
	_, err := f.Seek(0, io.SeekStart)
	return err
}

// hasBlob reports whether a blob is there and sound.
func (s *store) hasBlob(h v1.Hash) (bool, error) {
	f, err := s.openBlob(h)
	if errors.Is(err, errAbsent) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, f.Close()
}

// manifest is a manifest as it was pushed.
type manifest struct {
	digest    v1.Hash
	mediaType string
	content   []byte
}

// putManifest stores a manifest.
func (s *store) putManifest(name string, m manifest) error {
	return s.writeFile(s.manifestPath(name, m.digest), append([]byte(m.mediaType+"\n"), m.content...))
}

// getManifest reads a manifest back; errAbsent when there is none that matches
// its digest.
func (s *store) getManifest(name string, h v1.Hash) (manifest, error) {
	file, err := os.ReadFile(s.manifestPath(name, h))
	if err != nil {
		return manifest{}, absent(err)
	}
	mediaType, content, _ := bytes.Cut(file, []byte("\n"))
	if sum := sha256.Sum256(content); hex.EncodeToString(sum[:]) != h.Hex {
		s.log.Warn("manifest is damaged, it counts as absent", "repository", name, "digest", h.String())
		return manifest{}, errAbsent
	}
	return manifest{h, string(mediaType), content}, nil
}

// putTag makes a tag name a digest.
func (s *store) putTag(name, tag string, h v1.Hash) error {
	return s.writeFile(s.tagPath(name, tag), []byte(h.String()+"\n"))
}

// getTag is the digest that a tag names.
func (s *store) getTag(name, tag string) (v1.Hash, error) {
	file, err := os.ReadFile(s.tagPath(name, tag))
	if err != nil {
		return v1.Hash{}, absent(err)
	}
	h, err := parseDigest(strings.TrimSuffix(string(file), "\n"))
	if err != nil {
		s.log.Warn("tag is damaged, it counts as absent", "repository", name, "tag", tag)
		return v1.Hash{}, errAbsent
	}
	return h, nil
}

// manifests are the digests in a repository, sorted.
func (s *store) manifests(name string) ([]v1.Hash, error) {
	files, err := names(filepath.Join(s.repoPath(name), manifestsDir))
	if err != nil {
		return nil, err
	}
	var hs []v1.Hash
	for _, f := range files {
		if h, err := parseDigest("sha256:" + f); err == nil {
			hs = append(hs, h)
		}
	}
	return hs, nil
}

// tags are the tags in a repository, sorted.
func (s *store) tags(name string) ([]string, error) {
	files, err := names(filepath.Join(s.repoPath(name), tagsDir))
	if errors.Is(err, errAbsent) {
		return nil, nil
	}
	return slices.DeleteFunc(files, func(f string) bool { return !validTag(f) }), err
}

// names are the files in a folder, sorted; errAbsent when there is no folder.
func names(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, absent(err)
	}
	var files []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			files = append(files, e.Name())
		}
	}
	return files, nil
}

// list are the repositories that hold manifests, sorted.
func (s *store) list() ([]string, error) {
	var repos []string
	err := filepath.WalkDir(s.repositories(), func(path string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed meanwhile
			return nil
		case err != nil:
			return err
		case !d.IsDir() || d.Name() == tagsDir:
			return skip(d)
		case d.Name() != manifestsDir:
			return nil
		}
		if files, err := names(path); err == nil && len(files) > 0 {
			rel, _ := filepath.Rel(s.repositories(), filepath.Dir(path)) // both are absolute or both are not
			repos = append(repos, filepath.ToSlash(rel))
		}
		return fs.SkipDir
	})
	slices.Sort(repos)
	return repos, err
}

// skip goes past a file, or a folder with all that is in it.
func skip(d fs.DirEntry) error {
	if d.IsDir() {
		return fs.SkipDir
	}
	return nil
}

// absent turns "no such file" into errAbsent.
func absent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return errAbsent
	}
	return err
}

// ignoreAbsent turns "no such file" into nil.
func ignoreAbsent(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
