package process

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/slipway-ci/slipway/deploy"
)

// Supported is nil if this machine lets this user run replicas. It tries, which
// takes some milliseconds; the answer may be kept. Otherwise it is a
// *deploy.Fault that says what stands in the way, and what to do.
func Supported() error {
	var said bytes.Buffer
	p, err := start(context.Background(), request{Probe: true, ID: "probe"}, &said)
	if err != nil {
		return err
	}
	p.Stop(0)
	return nil
}

// denied explains why the kernel refused what a replica needs.
func denied(err error) error {
	var call *os.PathError
	if errors.As(err, &call) { // of the clone: its path is our own
		err = call.Err
	}
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOMEM):
		return deploy.Hinted(fmt.Errorf("make a process: %w", err), "end some processes, or raise the limit on them (ulimit -u)")
	case errors.Is(err, unix.ENOSPC), errors.Is(err, unix.EUSERS):
		err = errors.New("the limit on namespaces is reached")
	}
	return deploy.Hinted(fmt.Errorf("this machine does not let slipway run isolated processes: %w", err),
		"%s", strings.Join(append(obstacles(), elsewhere), "; or "))
}

// elsewhere is the way out where the machine cannot be changed.
const elsewhere = "run slipway on a machine where namespaces are allowed (targets for Docker hosts and Kubernetes, which need none here, are planned)"

// obstacles says what to set, for each thing that is known to stand in the way.
func obstacles() []string {
	var found []string
	if setting("/proc/sys/user/max_user_namespaces") == "0" {
		found = append(found, "allow user namespaces: sudo sysctl -w user.max_user_namespaces=10000")
	}
	if os.Getuid() != 0 && setting("/proc/sys/kernel/unprivileged_userns_clone") == "0" {
		found = append(found, "allow them to users: sudo sysctl -w kernel.unprivileged_userns_clone=1")
	}
	if os.Getuid() != 0 && setting("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1" {
		found = append(found, "let AppArmor allow them to users: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0")
	}
	if filtered() {
		found = append(found, "if this is a container, start it with --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined, or with --privileged")
	}
	return found
}

// setting reads a kernel setting; empty if there is none of that name.
func setting(path string) string {
	value, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return ""
	}
	return strings.TrimSpace(string(value))
}

// filtered reports whether a seccomp filter is on this process, as the engines
// of containers put on theirs.
func filtered() bool {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		if mode, found := strings.CutPrefix(line, "Seccomp:"); found {
			return strings.TrimSpace(mode) != "0"
		}
	}
	return false
}
