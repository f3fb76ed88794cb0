//go:build !linux

package metrics

import "os/exec"

// dieWithUs cannot be promised here.
func dieWithUs(*exec.Cmd) {}
