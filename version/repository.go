package version

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-billy/v5/osfs"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/cache"
	"github.com/go-git/go-git/v5/plumbing/storer"
	"github.com/go-git/go-git/v5/storage/filesystem"
	"github.com/go-git/go-git/v5/storage/filesystem/dotgit"

	"github.com/slipway-ci/slipway/deploy"
)

// repository is a git repository that is read. It works on go-git's storage
// and not on its Repository, which refuses what runners do every day: sparse
// checkouts (extensions.worktreeConfig) and partial clones.
type repository struct {
	// work is the root of the working tree.
	work   string
	store  *filesystem.Storage
	config *config.Config
}

// open finds the repository that dir lies in.
func open(dir string) (*repository, error) {
	work, gitDir, err := find(dir)
	if err != nil {
		return nil, err
	}
	common, err := commonDir(gitDir)
	if err != nil {
		return nil, err
	}
	files := dotgit.NewRepositoryFilesystem(osfs.New(gitDir), osfs.New(common))
	store := filesystem.NewStorageWithOptions(files, cache.NewObjectLRUDefault(), filesystem.Options{
		KeepDescriptors: true, // opening a pack for each object takes most of a long walk's time
		AlternatesFS:    osfs.New(string(filepath.Separator)),
	})
	r := &repository{work: work, store: store}
	if err := r.configure(); err != nil {
		r.close()
		return nil, fmt.Errorf("open the git repository %s: %w", gitDir, err)
	}
	return r, nil
}

func (r *repository) close() { _ = r.store.Close() }

// find climbs from dir to the first folder with a .git: the root of the
// working tree, and the folder in which git keeps its own files. It climbs from
// where dir is, not from a link to it.
func find(dir string) (work, gitDir string, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return "", "", err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return "", "", err
	}
	for at := dir; ; at = filepath.Dir(at) {
		gitDir, err := gitDirOf(at)
		if err == nil {
			return at, gitDir, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", "", fmt.Errorf("open the git repository %s: %w", at, err)
		}
		if at == filepath.Dir(at) {
			return "", "", deploy.Hinted(fmt.Errorf("%s: %w", dir, ErrNoRepository),
				"run it inside a checkout, or give the version: --version 1.4.2")
		}
	}
}

// gitDirOf reads what .git in a working tree is: the folder itself, or a file
// that names it (worktrees, submodules).
func gitDirOf(work string) (string, error) {
	path := filepath.Join(work, ".git")
	info, err := os.Stat(path)
	if err != nil {
		return "", err
	}
	if !info.IsDir() {
		return pointed(path)
	}
	if _, err := os.Stat(filepath.Join(path, "HEAD")); err != nil {
		return "", err // an empty folder named .git is no repository
	}
	return path, nil
}

// pointed is the folder that a .git file names. A missing one is an error of its
// own: the folder is a working tree, though an incomplete one.
func pointed(file string) (string, error) {
	path, err := pointer(file)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(filepath.Join(path, "HEAD")); err != nil {
		return "", deploy.Hinted(fmt.Errorf("%s names %s, where no repository is", file, path),
			"check out the whole repository, with submodules and linked worktrees where they belong, or give the version: --version 1.4.2")
	}
	return path, nil
}

func pointer(file string) (string, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	target, found := strings.CutPrefix(strings.TrimSpace(string(content)), "gitdir:")
	if !found {
		return "", fmt.Errorf("%s does not say where the repository is (gitdir: …)", file)
	}
	return relativeTo(filepath.Dir(file), strings.TrimSpace(target)), nil
}

// commonDir is where objects, refs and configuration are: the repository that
// a linked worktree belongs to, or gitDir itself.
func commonDir(gitDir string) (string, error) {
	content, err := os.ReadFile(filepath.Join(gitDir, "commondir"))
	if errors.Is(err, fs.ErrNotExist) {
		return gitDir, nil
	}
	if err != nil {
		return "", err
	}
	return relativeTo(gitDir, strings.TrimSpace(string(content))), nil
}

func relativeTo(dir, path string) string {
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	return filepath.Join(dir, path)
}

// configure reads the configuration and refuses the storage formats that would
// be misread.
func (r *repository) configure() error {
	c, err := r.store.Config()
	if err != nil {
		return fmt.Errorf("read its configuration: %w", err)
	}
	r.config = c
	extensions := c.Raw.Section("extensions")
	if format := extensions.Option("objectformat"); format != "" && !strings.EqualFold(format, "sha1") {
		return unreadable("objects", format)
	}
	if storage := extensions.Option("refstorage"); storage != "" && !strings.EqualFold(storage, "files") {
		return unreadable("refs", storage)
	}
	return nil
}

func unreadable(what, format string) error {
	return deploy.Hinted(fmt.Errorf("its %s are stored as %s, which Slipway cannot read", what, format),
		"give the version: --version 1.4.2")
}

// head is the commit that is checked out, and the branch it is on.
func (r *repository) head() (plumbing.Hash, string, error) {
	ref, err := r.store.Reference(plumbing.HEAD)
	if err != nil {
		return plumbing.ZeroHash, "", fmt.Errorf("HEAD: %w", err)
	}
	branch := ""
	if ref.Type() == plumbing.SymbolicReference && ref.Target().IsBranch() {
		branch = ref.Target().Short()
	}
	ref, err = storer.ResolveReference(r.store, plumbing.HEAD)
	if errors.Is(err, plumbing.ErrReferenceNotFound) {
		return plumbing.ZeroHash, "", deploy.Hinted(ErrNoCommit, "commit first, or give the version: --version 0.1.0")
	}
	if err != nil {
		return plumbing.ZeroHash, "", fmt.Errorf("HEAD: %w", err)
	}
	return ref.Hash(), branch, nil
}
