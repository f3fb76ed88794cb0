//go:build !unix

package wire

import (
	"errors"
	"os"
)

// TryLock is not to be had here; the sandbox refuses such systems earlier.
func TryLock(string) (*os.File, bool, error) {
	return nil, false, errors.New("locks on files are not supported on this system")
}
