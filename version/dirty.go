package version

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/format/index"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// dirty reports whether files under version control differ from the commit:
// in the index, or in the working tree. It reads a file only where its size and
// times do not already prove that it is the one in the index.
func (r *repository) dirty(ctx context.Context, commit *object.Commit) (bool, error) {
	idx, err := r.store.Index()
	if err != nil {
		return false, fmt.Errorf("read the index: %w", err)
	}
	staged, err := r.staged(idx, commit)
	if err != nil || staged {
		return staged, err
	}
	tree := &workTree{repository: r, indexed: idx.ModTime}
	for i, e := range idx.Entries {
		if i%256 == 0 && ctx.Err() != nil {
			return false, fmt.Errorf("interrupted while comparing files: %w", ctx.Err())
		}
		changed, err := tree.changed(e)
		if err != nil {
			return false, fmt.Errorf("compare %s: %w", e.Name, err)
		}
		if changed {
			return true, nil
		}
	}
	return false, nil
}

// staged reports whether the index differs from the commit.
func (r *repository) staged(idx *index.Index, commit *object.Commit) (bool, error) {
	if idx.Cache != nil && len(idx.Cache.Entries) > 0 {
		root := idx.Cache.Entries[0]
		if root.Path == "" && root.Entries == len(idx.Entries) && root.Hash == commit.TreeHash {
			return false, nil // git has noted of which tree the index is
		}
	}
	entries := make(map[string]*index.Entry, len(idx.Entries))
	for _, e := range idx.Entries { // stages above 0 are an unfinished merge
		if e.Stage != 0 || e.IntentToAdd {
			return true, nil
		}
		entries[e.Name] = e
	}
	return r.differs(entries, commit.TreeHash)
}

// differs compares the entries of the index with a tree.
func (r *repository) differs(entries map[string]*index.Entry, tree plumbing.Hash) (bool, error) {
	root, err := object.GetTree(r.store, tree)
	if err != nil {
		return false, fmt.Errorf("tree %s: %w", tree, err)
	}
	walker := object.NewTreeWalker(root, true, nil)
	defer walker.Close()
	files := 0
	for {
		path, entry, err := walker.Next()
		if errors.Is(err, io.EOF) {
			return files != len(entries), nil
		}
		if err != nil {
			return false, fmt.Errorf("tree %s: %w", tree, err)
		}
		if entry.Mode == filemode.Dir {
			continue
		}
		files++
		e, ok := entries[path]
		if !ok || e.Hash != entry.Hash || e.Mode != plain(entry.Mode) {
			return true, nil
		}
	}
}

// plain is the mode that the index has for files of old repositories.
func plain(m filemode.FileMode) filemode.FileMode {
	if m == filemode.Deprecated {
		return filemode.Regular
	}
	return m
}

// workTree compares files with their entries in the index.
type workTree struct {
	*repository
	// indexed is when the index was written. A file changed at that moment or
	// later may have the same size and time as its entry and be another.
	indexed time.Time
}

func (t *workTree) changed(e *index.Entry) (bool, error) {
	if e.SkipWorktree {
		return false, nil // a sparse checkout leaves it out
	}
	path := filepath.Join(t.work, filepath.FromSlash(e.Name))
	info, err := os.Lstat(path)
	if gone(err) {
		return e.Mode != filemode.Submodule, nil
	}
	if err != nil {
		return false, err
	}
	switch e.Mode {
	case filemode.Submodule:
		return t.submoduleMoved(path, e)
	case filemode.Symlink:
		return t.linkChanged(path, info, e)
	default:
		return t.fileChanged(path, info, e)
	}
}

// gone also covers a file in place of a folder on the way.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, errNotDir)
}

func (t *workTree) submoduleMoved(path string, e *index.Entry) (bool, error) {
	if _, err := gitDirOf(path); err != nil {
		return false, nil //nolint:nilerr // not checked out, which is no change
	}
	sub, err := open(path)
	if err != nil {
		return false, err
	}
	defer sub.close()
	head, _, err := sub.head()
	if errors.Is(err, ErrNoCommit) {
		return false, nil
	}
	return head != e.Hash, err
}

func (t *workTree) linkChanged(path string, info fs.FileInfo, e *index.Entry) (bool, error) {
	if info.Mode().IsRegular() { // where the system has no links, git writes the target into a file
		return t.contentChanged(path, info, e)
	}
	if info.Mode().Type() != fs.ModeSymlink {
		return true, nil
	}
	target, err := os.Readlink(path)
	if err != nil {
		return false, err
	}
	return plumbing.ComputeHash(plumbing.BlobObject, []byte(filepath.ToSlash(target))) != e.Hash, nil
}

func (t *workTree) fileChanged(path string, info fs.FileInfo, e *index.Entry) (bool, error) {
	if !info.Mode().IsRegular() {
		return true, nil
	}
	executable := info.Mode()&0o100 != 0
	if t.keepsModes() && executable != (e.Mode == filemode.Executable) {
		return true, nil
	}
	return t.contentChanged(path, info, e)
}

func (t *workTree) keepsModes() bool {
	return t.config.Raw.Section("core").Option("filemode") != "false"
}

func (t *workTree) contentChanged(path string, info fs.FileInfo, e *index.Entry) (bool, error) {
	sameSize := uint32(info.Size()) == e.Size // git keeps the low 32 bits
	if sameSize && info.ModTime().Equal(e.ModifiedAt) && e.ModifiedAt.Before(t.indexed) {
		return false, nil
	}
	if !sameSize && e.Size != 0 { // zero marks an entry that git itself does not trust
		return true, nil
	}
	hash, err := blobHash(path, info.Size())
	if err != nil || hash == e.Hash {
		return false, err
	}
	return t.differsBeyondConversion(path, info, e)
}

func blobHash(path string, size int64) (plumbing.Hash, error) {
	f, err := os.Open(path)
	if err != nil {
		return plumbing.ZeroHash, err
	}
	defer func() { _ = f.Close() }()
	hasher := plumbing.NewHasher(plumbing.BlobObject, size)
	if _, err := io.Copy(hasher, f); err != nil {
		return plumbing.ZeroHash, err
	}
	return hasher.Sum(), nil
}
