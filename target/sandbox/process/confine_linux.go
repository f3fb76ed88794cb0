package process

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// keepToOurselves keeps the app from inheriting any file of the init, those
// that the caller got from its own caller among them.
func keepToOurselves() {
	if unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	entries, err := os.ReadDir("/proc/self/fd") // kernels before 5.11
	if err != nil {
		return
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

// confine gives up every power of this thread, for what it starts from now on
// as well. The rest of the init keeps its powers, out of the app's reach:
// whoever has fewer cannot trace it. With Chroot the thread keeps what it needs
// to start the app as its user, who does not get it.
func confine(isolation Isolation) error {
	unix.Umask(0o022)
	// A keyring of its own; kernels without keyrings have none to protect.
	_, _ = unix.KeyctlJoinSessionKeyring("")
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core dumps: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("hide the init: %w", err)
	}
	if err := dropBounding(); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	if err != nil && !errors.Is(err, unix.EINVAL) { // before 4.3 there were none
		return fmt.Errorf("drop ambient capabilities: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid new privileges: %w", err)
	}
	if err := dropPowers(isolation == Chroot); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return nil
}

// dropPowers gives up the capabilities that executing would hand on, and those
// that this thread itself has, unless it is to keep them.
func dropPowers(keep bool) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var powers [2]unix.CapUserData
	if keep {
		if err := unix.Capget(&header, &powers[0]); err != nil {
			return err
		}
		powers[0].Inheritable, powers[1].Inheritable = 0, 0
	}
	return unix.Capset(&header, &powers[0])
}

// dropBounding empties the set of what root could get back by executing.
func dropBounding() error {
	for capability := uintptr(0); ; capability++ {
		err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) && capability > 0 {
			return nil // past the last that this kernel knows
		}
		if err != nil {
			return err
		}
	}
}
