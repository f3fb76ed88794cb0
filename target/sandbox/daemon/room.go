package daemon

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// spareSuffix ends the name of the file that lies beside a document. A full
// disk must not keep an environment from taking its users back, so room for
// the next document is always there: it is written over the spare, in blocks
// that are the spare's already, and the two then trade their names. What was
// the document is the next spare. (File systems that never write in place, as
// btrfs and zfs, may still find no room for it.)
const spareSuffix = ".spare"

// roomUnit is what the length of documents is rounded up to, in bytes.
const roomUnit = 16 << 10

// room is the length of the file of a document of n bytes: the document may
// grow by a unit at least before it needs more of the disk.
func room(n int) int64 { return int64(n/roomUnit+2) * roomUnit }

// replaceInRoom replaces a file as replace does, on a full disk, too. Only the
// first document, and one that outgrows its room, need space.
func replaceInRoom(path string, data []byte) error {
	spare := path + spareSuffix
	if err := overwrite(spare, data); err != nil {
		return err
	}
	err := lengthenFile(path, len(data))
	if errors.Is(err, fs.ErrNotExist) {
		return replace(path, padded(data, room(len(data))))
	}
	if err == nil {
		err = exchange(spare, path)
	}
	if err != nil {
		return err
	}
	syncDir(filepath.Dir(path))
	return nil
}

// overwrite writes data over a file, and spaces up to the file's end.
func overwrite(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	size, err := lengthen(f, len(data))
	if err == nil {
		_, err = f.WriteAt(padded(data, size), 0)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// lengthenFile makes room in a document for the one that will follow it. The
// spaces that it appends change nothing of what the document says.
func lengthenFile(path string, n int) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	_, err = lengthen(f, n)
	return errors.Join(err, f.Close())
}

// lengthen makes room for n bytes and for more to come. On a full disk it does
// without the latter. It tells the length of the file.
func lengthen(f *os.File, n int) (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	size, want := info.Size(), room(n)
	if size >= want {
		return size, nil
	}
	_, err = f.WriteAt(bytes.Repeat([]byte{' '}, int(want-size)), size)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		return want, nil
	}
	if errCut := f.Truncate(size); errCut != nil || size < int64(n) {
		return size, errors.Join(err, errCut)
	}
	return size, nil
}

// padded is data with spaces up to a size.
func padded(data []byte, size int64) []byte {
	return append(data[:len(data):len(data)], bytes.Repeat([]byte{' '}, max(0, int(size)-len(data)))...)
}
