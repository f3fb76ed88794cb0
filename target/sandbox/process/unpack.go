package process

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/slipway-ci/slipway/deploy"
)

// Partial begins the name of the folder, beside the one that is asked for, in
// which Unpack works. One that is left behind by a killed process may be
// removed when nobody unpacks.
const Partial = ".unpacking-"

// Unpack writes the file system of an image into the folder dir, whose parent
// must exist. It appears there whole, with the mount points that Start needs,
// or not at all; a folder that is there already is an error of fs.ErrExist
// (and as it is whole, one that two callers unpack at once is fine).
//
// Layers are applied in order, with their whiteouts. Everything belongs to the
// caller, who can read it all and remove it; setuid and setgid bits are
// dropped, devices and pipes are left out. No name and no link leads outside:
// ".." and links are resolved as if dir were the root.
func Unpack(ctx context.Context, img v1.Image, dir string) error {
	if _, err := os.Lstat(dir); err == nil {
		return fmt.Errorf("unpack %s: %w", dir, fs.ErrExist)
	}
	partial, err := os.MkdirTemp(filepath.Dir(dir), Partial+"*")
	if err != nil {
		return spaceHint(fmt.Errorf("unpack: %w", err))
	}
	if err := fill(ctx, img, partial); err != nil {
		return spaceHint(fmt.Errorf("unpack into %s: %w", dir, errors.Join(err, os.RemoveAll(partial))))
	}
	if err := publish(partial, dir); err != nil {
		return fmt.Errorf("unpack into %s: %w", dir, errors.Join(err, os.RemoveAll(partial)))
	}
	return nil
}

// publish gives a finished folder its name, unless that is taken.
func publish(partial, dir string) error {
	err := os.Rename(partial, dir)
	if errors.Is(err, syscall.ENOTEMPTY) {
		return fs.ErrExist
	}
	return err
}

// spaceHint says what to do about a full disk.
func spaceHint(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return deploy.Hinted(err, "make room on the disk that holds the sandbox's state, or let it lie on another one by SLIPWAY_HOME; nothing was left behind")
	}
	return err
}

// fill unpacks into a folder that exists.
func fill(ctx context.Context, img v1.Image, dir string) error {
	layers, err := img.Layers()
	if err != nil {
		return fmt.Errorf("read the image: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	u := &unpacker{root: root, known: map[string]bool{}}
	for i, layer := range layers {
		if err := u.layer(ctx, layer); err != nil {
			return fmt.Errorf("layer %d of %d: %w", i+1, len(layers), err)
		}
	}
	if err := u.mountPoints(); err != nil {
		return err
	}
	return os.Chmod(dir, 0o755)
}

// unpacker applies layers to a root. All paths that it works with are relative
// to that and physical: none goes through a link.
type unpacker struct {
	root *os.Root
	// touched are the paths that the layer at hand has written, or written
	// into: its whiteouts are about layers below, and spare them.
	touched map[string]bool
	// known are folders that are there for certain: most entries lie beside
	// the one before.
	known map[string]bool
}

// longest is the longest name that an entry may have, as a path in the kernel.
const longest = 4096

// layer applies one layer. It is read to its end, past that of the archive,
// because that is when its digest is verified.
func (u *unpacker) layer(ctx context.Context, layer v1.Layer) (err error) {
	content, err := layer.Uncompressed()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	u.touched = map[string]bool{}
	stream := &stoppable{ctx: ctx, r: content}
	archive := tar.NewReader(stream)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, stream)
			return err
		}
		if err != nil {
			return err
		}
		if err := u.entry(header, archive); err != nil {
			return fmt.Errorf("%s: %w", shorten(header.Name), err)
		}
	}
}

// entry applies one entry of a layer.
func (u *unpacker) entry(h *tar.Header, content io.Reader) error {
	folder, name := path.Split(inside(h.Name))
	if len(h.Name) > longest {
		return syscall.ENAMETOOLONG
	}
	if name == "" { // the root itself
		return nil
	}
	if rest, found := strings.CutPrefix(name, ".wh."); found {
		return u.whiteout(folder, rest)
	}
	switch h.Typeflag {
	case tar.TypeDir, tar.TypeReg, tar.TypeSymlink, tar.TypeLink:
	default:
		return nil // devices, pipes, and notes of archivers
	}
	parent, err := u.folder(folder)
	if err != nil {
		return err
	}
	target := path.Join(parent, name)
	if err := u.makeWay(target, h.Typeflag == tar.TypeDir); err != nil {
		return err
	}
	u.touch(target)
	return u.write(h, target, content)
}

// write makes what an entry says at a place that is free.
func (u *unpacker) write(h *tar.Header, target string, content io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return u.dir(target, h.FileInfo().Mode())
	case tar.TypeSymlink:
		return u.root.Symlink(h.Linkname, target)
	case tar.TypeLink:
		return u.link(h.Linkname, target)
	default:
		return u.file(target, h, content)
	}
}

// dir makes a folder that its owner can use, or gives one that is there its
// mode.
func (u *unpacker) dir(target string, mode fs.FileMode) error {
	if err := u.root.Mkdir(target, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return u.root.Chmod(target, mode&(fs.ModePerm|fs.ModeSticky)|0o700)
}

func (u *unpacker) file(target string, h *tar.Header, content io.Reader) error {
	file, err := u.root.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, content)
	err = errors.Join(err, file.Chmod(h.FileInfo().Mode()&fs.ModePerm|0o400), file.Close())
	if err != nil {
		return err
	}
	// Web servers tell a file's time; one that the system cannot express is
	// no reason to fail.
	_ = u.root.Chtimes(target, h.ModTime, h.ModTime)
	return nil
}

// link gives a file another name. Like the kernel it does not follow a link at
// the end of the old one.
func (u *unpacker) link(old, target string) error {
	folder, name := path.Split(inside(old))
	if name == "" {
		return errors.New("hard link to the root")
	}
	parent, err := u.folder(folder)
	if err != nil {
		return err
	}
	err = u.root.Link(path.Join(parent, name), target)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("hard link to %s, which is not in the image", shorten(old))
	}
	return err
}

// makeWay removes what an entry replaces. A folder stays for a folder.
func (u *unpacker) makeWay(target string, folder bool) error {
	info, err := u.root.Lstat(target)
	if errors.Is(err, fs.ErrNotExist) || err == nil && folder && info.IsDir() {
		return nil
	}
	if err != nil {
		return err
	}
	return u.removeAll(target)
}

func (u *unpacker) removeAll(target string) error {
	clear(u.known)
	return u.root.RemoveAll(target)
}

// touch notes that the layer at hand has written a path.
func (u *unpacker) touch(target string) {
	for target != "." && !u.touched[target] {
		u.touched[target] = true
		target = path.Dir(target)
	}
}

// whiteout removes what layers below put at a name, or into a whole folder.
func (u *unpacker) whiteout(folder, name string) error {
	parent, err := u.existing(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case name == ".wh..opq":
		return u.purge(parent)
	case strings.HasPrefix(name, ".wh."): // notes of a file system of old
		return nil
	case name == "" || name == "." || name == "..":
		return errors.New("whiteout of no name")
	}
	return u.remove(path.Join(parent, name))
}

// remove removes a path, but for what the layer at hand wrote at or below it.
func (u *unpacker) remove(target string) error {
	if u.touched[target] {
		return u.purge(target)
	}
	return u.removeAll(target)
}

// purge removes what is in a folder, but for what the layer at hand wrote.
func (u *unpacker) purge(folder string) error {
	info, err := u.root.Lstat(folder)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !info.IsDir() {
		return nil
	}
	if err != nil {
		return err
	}
	entries, err := fs.ReadDir(u.root.FS(), folder)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if err := u.remove(path.Join(folder, e.Name())); err != nil {
			return err
		}
	}
	return nil
}

// mountPoints makes what Start mounts upon, where the image has nothing of the
// kind. What an image has in /dev and /proc would not be seen.
func (u *unpacker) mountPoints() error {
	u.touched = map[string]bool{}
	for _, name := range []string{"dev", "proc"} {
		if err := u.makeWay(name, true); err != nil {
			return err
		}
		if err := u.dir(name, 0o755); err != nil {
			return err
		}
	}
	for _, name := range []string{"tmp", "run", "var/tmp", "etc"} {
		if _, err := u.folder(name); err != nil {
			return err
		}
	}
	for _, name := range []string{"resolv.conf", "hosts"} {
		if err := u.empty("etc", name); err != nil {
			return err
		}
	}
	return nil
}

// empty makes an empty file where there is nothing.
func (u *unpacker) empty(folder, name string) error {
	parent, err := u.folder(folder)
	if err != nil {
		return err
	}
	file, err := u.root.OpenFile(path.Join(parent, name), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return file.Close()
}

// inside cleans a name of an archive into a path relative to the root; ".."
// ends there, as it does at "/".
func inside(name string) string {
	return strings.TrimPrefix(path.Clean("/"+name), "/")
}

// shorten keeps a hostile name from filling the screen.
func shorten(name string) string {
	if len(name) > 200 {
		return fmt.Sprintf("%.200q…", name)
	}
	return fmt.Sprintf("%q", name)
}

// stoppable ends a stream when its context ends.
type stoppable struct {
	ctx context.Context
	r   io.Reader
}

// Read reads unless the context has ended.
func (s *stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, fmt.Errorf("interrupted: %w", err)
	}
	return s.r.Read(p)
}
