package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/slipway-ci/slipway/deploy"
)

// temporary begins the names of files and folders that a killed process may
// leave behind; they are removed at the next start.
const temporary = ".tmp-"

// writeJSON replaces a file at once and for good, by replace or
// replaceInRoom: after a crash at any moment it holds either all of the old
// content or all of the new.
func writeJSON(path string, value any, by func(path string, data []byte) error) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := by(path, data); err != nil {
		return diskError(path, err)
	}
	return nil
}

// diskError says what to do about a full disk.
func diskError(path string, err error) error {
	err = fmt.Errorf("write %s: %w", path, err)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return deploy.Hinted(err, "free space on the disk of %s, and try again", filepath.Dir(path))
	}
	return err
}

// replace writes a temporary file, makes it durable and renames it.
func replace(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), temporary+"*") // 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	syncDir(filepath.Dir(path))
	return nil
}

// syncDir makes a rename durable. Where the file system cannot, the rename
// holds all the same unless the machine itself dies.
func syncDir(dir string) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	_ = d.Sync()
	_ = d.Close()
}

// readJSON reads a file; absent reports that there is none.
func readJSON(path string, value any) (absent bool, err error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	// A document that was being lengthened when the machine died may end in
	// zeros.
	if err := json.Unmarshal(bytes.TrimRight(data, " \x00"), value); err != nil {
		return false, fmt.Errorf("read %s: %w", path, err)
	}
	return false, nil
}

// printLimit is the size at which what this process prints is put aside, in
// bytes.
const printLimit = 4 << 20

// turnOver empties a file that others append to, once it is long, and keeps
// what it held in a second one, as far as the disk lets it.
func turnOver(path string, limit int64) {
	info, err := os.Stat(path)
	if err != nil || info.Size() <= limit {
		return
	}
	content, err := os.ReadFile(path)
	if err == nil {
		_ = replace(path+".1", content) // or the disk would fill up further
	}
	_ = os.Truncate(path, 0)
}

// removeLeftovers removes what a killed process left behind in a folder.
func removeLeftovers(dir string) error {
	entries, err := filepath.Glob(filepath.Join(dir, temporary+"*"))
	for _, e := range entries {
		err = errors.Join(err, removeTree(e))
	}
	return err
}

// removeTree removes a tree that may hold folders without write permission,
// as an image's root file system does.
func removeTree(path string) error {
	if os.RemoveAll(path) == nil {
		return nil
	}
	err := filepath.WalkDir(path, func(p string, d os.DirEntry, _ error) error {
		if d != nil && d.IsDir() {
			_ = os.Chmod(p, 0o700) //nolint:gosec // G122: nobody else writes below the state folder. The walk reads the folder after this
		}
		return nil
	})
	return errors.Join(err, os.RemoveAll(path))
}
