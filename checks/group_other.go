//go:build !unix

package checks

import "os/exec"

// group does nothing where there are no process groups: the context ends the
// command alone.
func group(*exec.Cmd) {}

func kill(*exec.Cmd) {}
