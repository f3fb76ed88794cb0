package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/slipway-ci/slipway/deploy"
)

// chosen is the isolation of all replicas of this process, once it is known.
var chosen struct {
	sync.Mutex
	isolation Isolation
}

// Supported is nil if this machine lets this user run replicas. It tries, which
// takes some milliseconds, and keeps to what has worked. Otherwise it is a
// *deploy.Fault that says what stands in the way, and what to do.
func Supported() error {
	_, err := choose(context.Background())
	return err
}

// Chosen is how replicas are isolated; empty before the first call of Supported
// or Start that succeeds.
func Chosen() Isolation {
	chosen.Lock()
	defer chosen.Unlock()
	return chosen.isolation
}

// choose settles on the stronger isolation that works here. The weaker one is
// not for a machine that refuses namespaces for a moment.
func choose(ctx context.Context) (Isolation, error) {
	if !hooked.Load() {
		return "", errUnhooked
	}
	chosen.Lock()
	defer chosen.Unlock()
	if chosen.isolation != "" {
		return chosen.isolation, nil
	}
	err := try(ctx, Namespaces)
	if err == nil {
		chosen.isolation = Namespaces
	} else if isDenial(err) && try(ctx, Chroot) == nil {
		chosen.isolation = Chroot
	}
	if chosen.isolation == "" {
		return "", err
	}
	return chosen.isolation, nil
}

// try makes the beginnings of a replica.
func try(ctx context.Context, isolation Isolation) error {
	p, err := start(ctx, isolation, request{Probe: true, ID: "probe"}, nowhere{io.Discard})
	if err != nil {
		return err
	}
	p.Stop(0)
	return nil
}

// denial is the kernel's refusal of what a replica needs.
type denial struct{ error }

func (d *denial) Unwrap() error { return d.error }

func isDenial(err error) bool {
	_, is := errors.AsType[*denial](err)
	return is
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
	return deploy.Hinted(&denial{fmt.Errorf("this machine does not let slipway run isolated processes: %w", err)},
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
	if !filtered() {
		return found
	}
	if os.Getuid() != 0 {
		found = append(found, "if this is a container, run slipway as its root, which needs no namespaces")
	}
	return append(found, "if this is a container, start it with --security-opt seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined, or with --privileged")
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
