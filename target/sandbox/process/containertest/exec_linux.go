package containertest

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// left are the capabilities of root in a container.
var left = []uintptr{
	unix.CAP_CHOWN, unix.CAP_DAC_OVERRIDE, unix.CAP_FSETID, unix.CAP_FOWNER, unix.CAP_MKNOD, unix.CAP_NET_RAW,
	unix.CAP_SETGID, unix.CAP_SETUID, unix.CAP_SETFCAP, unix.CAP_SETPCAP, unix.CAP_NET_BIND_SERVICE,
	unix.CAP_SYS_CHROOT, unix.CAP_KILL, unix.CAP_AUDIT_WRITE,
}

// refused are the system calls that fail there with EPERM.
var refused = []uint32{
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_UNSHARE, unix.SYS_SETNS,
	unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME, unix.SYS_KEYCTL,
	unix.SYS_OPEN_TREE, unix.SYS_MOVE_MOUNT, unix.SYS_FSOPEN, unix.SYS_FSMOUNT, unix.SYS_MOUNT_SETATTR,
}

// anyNamespace are the flags of clone that make a namespace.
const anyNamespace = unix.CLONE_NEWNS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET

// Exec replaces this process by a program in a container. It returns only if
// that fails.
func Exec(path string, argv, env []string) error {
	runtime.LockOSThread() // the program inherits what this thread is
	if err := filter(); err != nil {
		return fmt.Errorf("refuse system calls: %w", err)
	}
	if err := drop(); err != nil {
		return fmt.Errorf("drop capabilities: %w", err)
	}
	return fmt.Errorf("execute %s: %w", path, syscall.Exec(path, argv, env))
}

// drop takes every other capability out of the set of what executing gives.
func drop() error {
	for capability := uintptr(0); ; capability++ {
		if slices.Contains(left, capability) {
			continue
		}
		err := unix.Prctl(unix.PR_CAPBSET_DROP, capability, 0, 0, 0)
		if errors.Is(err, unix.EINVAL) {
			return nil // past the last that this kernel knows
		}
		if err != nil {
			return err
		}
	}
}

// The parts of a system call that a filter can read, in bytes from its start.
const (
	number        = 0
	firstArgument = 16 // its lower half, on machines with little ends
)

// filter refuses system calls for good. clone3, whose flags a filter cannot
// read, is not there at all.
func filter() error {
	allow := ret(unix.SECCOMP_RET_ALLOW)
	deny := ret(unix.SECCOMP_RET_ERRNO | uint32(unix.EPERM))
	program := []unix.SockFilter{load(number)}
	for _, call := range refused {
		program = append(program, unless(unix.BPF_JEQ, call), deny)
	}
	program = append(program,
		unless(unix.BPF_JEQ, unix.SYS_CLONE3), ret(unix.SECCOMP_RET_ERRNO|uint32(unix.ENOSYS)),
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, K: unix.SYS_CLONE, Jf: 3},
		load(firstArgument),
		unless(unix.BPF_JSET, anyNamespace), deny,
		allow,
	)
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	return unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&fprog)), 0, 0) //nolint:gosec // G103: no package has this call
}

func load(offset uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: offset}
}

// unless skips the next step if a test fails.
func unless(test uint16, value uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_JMP | test | unix.BPF_K, K: value, Jf: 1}
}

func ret(verdict uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: verdict}
}
