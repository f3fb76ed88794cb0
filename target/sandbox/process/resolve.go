package process

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// maxLinks is how many links one path may lead through, as in the kernel.
const maxLinks = 40

// folder is the physical path of a folder, which it makes where it is missing.
// Links are followed as if the root were "/", as a layer that writes to /lib
// means /usr/lib where a layer below has made that a link. A file that is in
// the way is replaced.
func (u *unpacker) folder(name string) (string, error) { return u.walk(name, true) }

// existing is the physical path of a folder, or an error of fs.ErrNotExist.
func (u *unpacker) existing(name string) (string, error) { return u.walk(name, false) }

func (u *unpacker) walk(name string, create bool) (string, error) {
	rest := strings.Split(name, "/")
	at, links := ".", 0
	for len(rest) > 0 {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = path.Dir(at)
			continue
		}
		next := path.Join(at, part)
		if u.known[next] {
			at = next
			continue
		}
		info, err := u.root.Lstat(next)
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			if links++; links > maxLinks {
				return "", fmt.Errorf("%s leads through more than %d links", shorten(name), maxLinks)
			}
			link, err := u.root.Readlink(next)
			if err != nil {
				return "", err
			}
			if path.IsAbs(link) {
				at = "."
			}
			rest = append(strings.Split(link, "/"), rest...)
			continue
		}
		if err := u.step(next, info, err, create); err != nil {
			return "", err
		}
		at = next
		u.known[at] = true
	}
	return at, nil
}

// step makes sure that a part of a path is a folder.
func (u *unpacker) step(at string, info fs.FileInfo, err error, create bool) error {
	switch {
	case err == nil && info.IsDir():
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	case !create:
		return fs.ErrNotExist
	case err == nil:
		if err := u.root.Remove(at); err != nil {
			return err
		}
	}
	u.touch(at)
	return u.dir(at, 0o755)
}
