//go:build unix

package wire

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/slipway-ci/slipway/deploy"
)

// TryLock takes a file for this process alone, without waiting. The hold ends
// when the file is closed or the process ends, however it ends. It reports
// false where somebody else has it.
func TryLock(path string) (*os.File, bool, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, false, deploy.Hinted(fmt.Errorf("open the lock: %w", err), "set SLIPWAY_HOME to a folder that can be written")
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, true, nil
	}
	_ = f.Close()
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, false, nil
	}
	return nil, false, fmt.Errorf("lock %s: %w", path, err)
}
