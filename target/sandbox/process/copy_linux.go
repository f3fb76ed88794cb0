package process

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/slipway-ci/slipway/deploy"
)

// copyPrefix begins the names of copies, which lie beside their image.
const copyPrefix = ".replica-"

// fresh are the folders of an image that a replica finds empty, as if something
// were mounted upon them, with their modes.
var fresh = map[string]fs.FileMode{
	"/dev": 0o755, "/proc": 0o555, "/tmp": 0o755, "/run": 0o755, "/var/tmp": 0o755,
}

// writable are the permissions that let others than root write.
const writable = 0o022

// rootCopy is the root of one replica: its own folders with hard links to the
// files of the image, beside which it lies. Whoever holds its lock uses it.
type rootCopy struct {
	beside *os.Root
	path   string
	lock   *os.File
}

// claim makes an empty copy, after it has removed those that killed replicas
// have left. That nobody takes a new one for such a one is what the lock on
// the image is for.
func claim(image string) (*rootCopy, error) {
	turn, err := lock(image, 0)
	if err != nil {
		return nil, err
	}
	defer func() { _ = turn.Close() }()
	beside, err := os.OpenRoot(filepath.Dir(image))
	if err != nil {
		return nil, err
	}
	removeLeft(beside)
	path, err := os.MkdirTemp(beside.Name(), copyPrefix+"*")
	if err != nil {
		return nil, errors.Join(err, beside.Close())
	}
	c := &rootCopy{beside: beside, path: path}
	if c.lock, err = lock(path, unix.LOCK_NB); err == nil {
		err = os.Chmod(path, 0o755)
	}
	if err != nil {
		return nil, errors.Join(err, c.remove())
	}
	return c, nil
}

// lock takes a folder for as long as the file that it returns is open.
func lock(folder string, flags int) (*os.File, error) {
	f, err := os.Open(folder)
	if err != nil {
		return nil, err
	}
	for {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|flags)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, unix.EINTR) {
			return nil, errors.Join(fmt.Errorf("lock %s: %w", folder, err), f.Close())
		}
	}
}

// removeLeft removes copies that nobody uses. What cannot be removed now is
// tried again by the next replica.
func removeLeft(beside *os.Root) {
	entries, err := os.ReadDir(beside.Name())
	if err != nil {
		return
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), copyPrefix) {
			continue
		}
		if unused, err := lock(filepath.Join(beside.Name(), e.Name()), unix.LOCK_NB); err == nil {
			_ = beside.RemoveAll(e.Name())
			_ = unused.Close()
		}
	}
}

// remove removes the copy, also when its path leads nowhere any more because
// the root of this process has changed.
func (c *rootCopy) remove() error {
	err := c.beside.RemoveAll(filepath.Base(c.path))
	if c.lock != nil {
		err = errors.Join(err, c.lock.Close())
	}
	return errors.Join(err, c.beside.Close())
}

// fill links the image into the copy, until it is told to stop.
func (c *rootCopy) fill(image string, stop func() error) error {
	image = filepath.Clean(image)
	return filepath.WalkDir(image, func(path string, e fs.DirEntry, err error) error {
		if err := errors.Join(err, stop()); err != nil {
			return err
		}
		name := strings.TrimPrefix(path, image)
		info, err := e.Info()
		if err != nil || name == "" {
			return err
		}
		if !e.IsDir() {
			return give(path, c.path+name, info)
		}
		mode, empty := fresh[name]
		if !empty {
			mode = info.Mode().Perm() &^ writable
		}
		if err := os.Mkdir(c.path+name, mode); err != nil { //nolint:gosec // G122: nobody else changes the image or the copy
			return err
		}
		if empty {
			return fs.SkipDir
		}
		return nil
	})
}

// give links a file. One that anybody may write is copied: the image is shared.
func give(from, to string, info fs.FileInfo) error {
	if info.Mode().IsRegular() && info.Mode().Perm()&writable != 0 {
		return duplicate(from, to, info.Mode().Perm()&^writable)
	}
	err := os.Link(from, to)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOTSUP) || errors.Is(err, unix.EMLINK) {
		return deploy.Hinted(err, "keep the sandbox's state on a file system with hard links (SLIPWAY_HOME)")
	}
	return err
}

// duplicate copies a file.
func duplicate(from, to string, mode fs.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
