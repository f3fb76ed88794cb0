//go:build unix

package checks

import (
	"os/exec"
	"syscall"
)

// group gives a command a process group of its own, which ends as a whole.
func group(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error {
		kill(cmd)
		return nil
	}
}

// kill ends what is left of a command's group; nothing left is fine.
func kill(cmd *exec.Cmd) {
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
}
