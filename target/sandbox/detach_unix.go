//go:build unix

package sandbox

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// detached starts a process in a session of its own, so that neither a closed
// terminal nor Ctrl-C ends it.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }

// ended reports whether the process is gone, and collects it if so.
func (b *begun) ended() bool {
	pid, err := unix.Wait4(b.process.Pid, nil, unix.WNOHANG, nil)
	return err == nil && pid == b.process.Pid
}
