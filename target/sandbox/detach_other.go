//go:build !unix

package sandbox

import "syscall"

// detached has nothing to say here: Up refuses such systems.
func detached() *syscall.SysProcAttr { return nil }

// ended is not known here.
func (b *begun) ended() bool { return false }
