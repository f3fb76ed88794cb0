package process

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// With Chroot each replica runs as a user of its own, which is a number without
// a name, and also its group. It follows from the process ID of the replica's
// init, and is therefore nobody else's for as long as that lives.
const (
	// firstUser begins the numbers that nobody gives away
	// (https://systemd.io/UIDS-GIDS/, "Unused").
	firstUser = 0x70000000
	// firstOfFew takes its place in user namespaces that have few numbers.
	firstOfFew = 10000
)

// userOf is the user of the replica whose init has a process ID.
func userOf(init int) (int, error) {
	for _, first := range []int{firstUser, firstOfFew} {
		if isMapped("/proc/self/uid_map", first+init) && isMapped("/proc/self/gid_map", first+init) {
			return first + init, nil
		}
	}
	return 0, errors.New("no user can be had for a replica: the user namespace around has too few")
}

// isMapped reports whether a user or group exists here. Each line of a map
// holds the first number in here, the first outside, and how many follow.
func isMapped(file string, id int) bool {
	ids, err := os.Open(file)
	if err != nil {
		return errors.Is(err, os.ErrNotExist) // the kernel has no user namespaces
	}
	defer func() { _ = ids.Close() }()
	for lines := bufio.NewScanner(ids); lines.Scan(); {
		var inside, outside, count int
		if _, err := fmt.Sscan(lines.Text(), &inside, &outside, &count); err == nil && id >= inside && id-inside < count {
			return true
		}
	}
	return false
}

// killAllOf kills every process of a user, however it hides from its parents:
// one that does so as that user can hit nobody else, and none can escape by
// forking. It is fine if there are none.
func killAllOf(user int) error {
	return onOwnThread(func() error {
		if err := become(user); err != nil {
			return err
		}
		if err := unix.Kill(-1, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
			return fmt.Errorf("kill all processes of user %d: %w", user, err)
		}
		return nil
	})
}

// onOwnThread does something that changes what its thread is. No other code
// runs on that thread: it ends with the goroutine that stays locked to it. Only
// the first thread does not end, and stands for the process: it is spared.
func onOwnThread(do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			done <- onOwnThread(do) // on another, as this one is locked
			runtime.UnlockOSThread()
			return
		}
		done <- do()
	}()
	return <-done
}

// become makes this thread an ordinary user's, for ever. Whoever signals all
// that he may must not be somebody else by any mistake: it looks again.
func become(user int) error {
	if user <= 0 {
		return fmt.Errorf("%d is not an ordinary user", user)
	}
	id := uintptr(user)
	for _, step := range []struct {
		what string
		call uintptr
		args [3]uintptr
	}{
		{"drop all groups", unix.SYS_SETGROUPS, [3]uintptr{}},
		{"change the group", unix.SYS_SETRESGID, [3]uintptr{id, id, id}},
		{"change the user", unix.SYS_SETRESUID, [3]uintptr{id, id, id}},
	} {
		// Not those of package syscall, which change all threads.
		if _, _, errno := unix.RawSyscall(step.call, step.args[0], step.args[1], step.args[2]); errno != 0 {
			return fmt.Errorf("%s: %w", step.what, errno)
		}
	}
	return mustBe(user)
}

// mustBe fails unless this thread is a user's in every respect, and has no
// power over others.
func mustBe(user int) error {
	real, effective, saved := unix.Getresuid()
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var powers [2]unix.CapUserData
	if err := unix.Capget(&header, &powers[0]); err != nil {
		return fmt.Errorf("look at the capabilities: %w", err)
	}
	for _, id := range []int{real, effective, saved} {
		if id != user || powers[0].Effective|powers[1].Effective != 0 {
			return fmt.Errorf("the change to user %d was without effect", user)
		}
	}
	return nil
}

// withEyesOf reads files as a user does, without his being able to signal this
// process meanwhile. Links below /proc lead nowhere for others, root without
// CAP_SYS_PTRACE among them.
func withEyesOf(user int, read func()) {
	_ = onOwnThread(func() error {
		_ = unix.Setfsgid(user)
		_ = unix.Setfsuid(user)
		read()
		return nil
	})
}

// sweep ends what a user's init has left because it was killed itself, and
// waits for that, killLimit at most.
func sweep(user int) {
	if killAllOf(user) != nil {
		return // the kernel has ended the app, at least
	}
	for deadline := time.Now().Add(killLimit); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if len(runningOf(user)) == 0 {
			return
		}
	}
}

// runningOf are the processes of a user that have not ended.
func runningOf(user int) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err == nil && runsAs(pid, strconv.Itoa(user)) {
			found = append(found, pid)
		}
	}
	return found
}

// runsAs reports whether a process has not ended and is a user's.
func runsAs(pid int, user string) bool {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "State:": // comes before the user
			if fields[1] == "Z" || fields[1] == "X" {
				return false
			}
		case "Uid:":
			return fields[1] == user
		}
	}
	return false
}
