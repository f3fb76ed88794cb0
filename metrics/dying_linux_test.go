package metrics

import (
	"os/exec"
	"syscall"
)

// dieWithUs ends a program when the process of the tests is killed.
func dieWithUs(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
