package daemon

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// exchange makes two files trade their names at once. Where the file system
// cannot, the second is replaced by the first.
func exchange(a, b string) error {
	err := unix.Renameat2(unix.AT_FDCWD, a, unix.AT_FDCWD, b, unix.RENAME_EXCHANGE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) {
		return os.Rename(a, b)
	}
	return err
}
