// Command app is what the tests run in replicas: its first argument says what
// it does.
package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

func main() {
	arg := func(i int) string {
		if len(os.Args) > i {
			return os.Args[i]
		}
		return ""
	}
	switch arg(1) {
	case "exit":
		code, _ := strconv.Atoi(arg(2))
		fmt.Println("bye")
		os.Exit(code)
	case "crash":
		crash()
	case "sleep":
		fmt.Println("asleep")
		time.Sleep(time.Minute)
	case "polite":
		polite()
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		fmt.Println("ignoring")
		time.Sleep(time.Minute)
	case "fork":
		fork()
	case "orphans":
		orphans()
	case "orphan":
		check(exec.Command("/app", "exit", "0").Start())
	case "leave":
		check(hidden().Start())
	case "flee":
		cmd := exec.Command("/app", "hop", arg(2))
		cmd.Stdout = os.Stdout
		check(cmd.Run())
		time.Sleep(time.Minute)
	case "hop":
		hop(arg(2), arg(3))
	case "claim":
		claim()
	case "kill":
		pid, _ := strconv.Atoi(arg(2))
		fmt.Println(outcome(syscall.Kill(pid, syscall.SIGKILL)))
	case "flood":
		flood()
	case "listen":
		listen(arg(2))
	case "look":
		look()
	case "attack":
		attack(arg(2))
	default:
		fmt.Fprintf(os.Stderr, "unknown errand %q\n", os.Args)
		os.Exit(99)
	}
}

// crash dies as a program does that is not Go's, whose runtime would turn the
// signal into an exit code.
func crash() {
	var byDefault [32]byte
	_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(syscall.SIGSEGV), uintptr(unsafe.Pointer(&byDefault)), 0, 8, 0, 0)
	_ = syscall.Kill(os.Getpid(), syscall.SIGSEGV)
	select {}
}

// polite ends with code 7 when it is asked to.
func polite() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	fmt.Println("ready")
	<-signals
	fmt.Println("asked to end")
	os.Exit(7)
}

// fork leaves children in sessions of their own behind it, two of whom have
// lost their parents.
func fork() {
	check(hidden().Start())
	for range 2 {
		cmd := exec.Command("/app", "leave")
		cmd.Stdout = os.Stdout
		check(cmd.Run())
	}
	fmt.Println("forked")
	time.Sleep(time.Minute)
}

// hidden is a process that is hard to end.
func hidden() *exec.Cmd {
	cmd := exec.Command("/app", "stubborn")
	cmd.Stdout = os.Stdout
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd
}

// hop starts the next process and ends.
func hop(mark, count string) {
	n, _ := strconv.Atoi(count)
	cmd := exec.Command("/app", "hop", mark, strconv.Itoa(n+1))
	if n < 10 {
		fmt.Println("hop", n)
		cmd.Stdout = os.Stdout
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	check(cmd.Start())
}

// orphans makes processes whose parents end at once.
func orphans() {
	for range 20 {
		cmd := exec.Command("/app", "orphan")
		check(cmd.Start())
		_ = cmd.Wait()
	}
	fmt.Println("all are orphans")
	time.Sleep(time.Minute)
}

// claim makes files that nobody else may have made.
func claim() {
	_, tmp := os.OpenFile("/tmp/pid", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	_, run := os.OpenFile("/run/pid", os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	fmt.Println("claimed:", tmp, run)
	time.Sleep(time.Minute)
}

func flood() {
	line := strings.Repeat("0123456789", 10)
	for i := range 20000 {
		fmt.Println(i, line)
	}
	fmt.Println("last line")
}

func listen(network string) {
	l, err := net.Listen("tcp", network)
	check(err)
	fmt.Println("listening on", l.Addr().(*net.TCPAddr).Port)
	time.Sleep(time.Minute)
}

// look prints what there is to see, one "name: value" a line.
func look() {
	name, _ := os.Hostname()
	wd, _ := os.Getwd()
	fmt.Println("hostname:", name)
	fmt.Println("pid:", os.Getpid())
	fmt.Println("uid:", os.Getuid(), os.Getgid())
	groups, _ := os.Getgroups()
	fmt.Println("groups:", strings.Trim(fmt.Sprint(groups), "[]"))
	fmt.Println("wd:", wd)
	fmt.Println("args:", strings.Join(os.Args[2:], "|"))
	fmt.Println("env:", strings.Join(os.Environ(), "|"))
	fmt.Println("processes:", processes())
	fmt.Println("root:", names("/"))
	fmt.Println("dev:", names("/dev"))
	fmt.Println("pipes:", pipes())
	status, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "Cap") || strings.HasPrefix(line, "NoNewPrivs") {
			fmt.Print(line)
		}
	}
	var limit syscall.Rlimit
	_ = syscall.Getrlimit(syscall.RLIMIT_CORE, &limit)
	fmt.Println("core:", limit.Cur, limit.Max)
	n, err := os.Stdin.Read(make([]byte, 1))
	fmt.Println("stdin:", n, err)
	resolv, _ := os.ReadFile("/etc/resolv.conf")
	fmt.Println("resolv.conf:", strconv.Quote(string(resolv)))
}

// attack tries what must not work, and what must; host is a path on the host.
func attack(host string) {
	for _, try := range []struct {
		name string
		do   func() error
	}{
		{"write /", func() error { return os.WriteFile("/owned", nil, 0o600) }},
		{"write /app", func() error { return os.WriteFile("/app", nil, 0o700) }},
		{"chmod /app", func() error { return os.Chmod("/app", 0o777) }},
		{"write /loose", func() error { return os.WriteFile("/loose", nil, 0o600) }},
		{"write /open", func() error { return os.WriteFile("/open/owned", nil, 0o600) }},
		{"write /dev", func() error { return os.WriteFile("/dev/owned", nil, 0o600) }},
		{"write /proc/sys", func() error { return writable("/proc/sys/kernel/hostname") }},
		{"write core_pattern", func() error { return writable("/proc/sys/kernel/core_pattern") }},
		{"write sysrq", func() error { return writable("/proc/sysrq-trigger") }},
		{"read kcore", func() error { return nonEmpty("/proc/kcore") }},
		{"see host file", func() error { _, err := os.Stat(host); return err }},
		{"see host through init", func() error { _, err := os.Stat("/proc/1/root" + host); return err }},
		{"reach the caller through init", func() error { return writable("/proc/1/fd/4") }},
		{"read init's memory", func() error { return writable("/proc/1/mem") }},
		{"mount tmpfs", func() error { return syscall.Mount("x", "/tmp", "tmpfs", 0, "") }},
		{"mount proc", func() error { return syscall.Mount("x", "/proc", "proc", 0, "") }},
		{"remount /", func() error { return syscall.Mount("", "/", "", syscall.MS_REMOUNT|syscall.MS_BIND, "") }},
		{"unmount /proc/sys", func() error { return syscall.Unmount("/proc/sys", 0) }},
		{"unmount /tmp", func() error { return syscall.Unmount("/tmp", syscall.MNT_DETACH) }},
		{"chroot", func() error { return syscall.Chroot("/tmp") }},
		{"mknod", func() error { return syscall.Mknod("/tmp/sda", syscall.S_IFBLK|0o600, 8<<8) }},
		{"sethostname", func() error { return syscall.Sethostname([]byte("owned")) }},
		{"setuid", func() error { return syscall.Setuid(1000) }},
		{"trace init", func() error { return syscall.PtraceAttach(1) }},
		{"new user namespace", newUser},
		{"allowed: send init a signal that it does not get", func() error { return syscall.Kill(1, syscall.SIGKILL) }},
		{"allowed: write /tmp", func() error { return os.WriteFile("/tmp/mine", []byte("x"), 0o600) }},
		{"allowed: write /var/tmp", func() error { return os.WriteFile("/var/tmp/mine", []byte("x"), 0o600) }},
		{"allowed: write /run", func() error { return os.WriteFile("/run/mine", []byte("x"), 0o600) }},
		{"allowed: write /dev/shm", func() error { return os.WriteFile("/dev/shm/mine", []byte("x"), 0o600) }},
		{"allowed: write /dev/null", func() error { return os.WriteFile("/dev/null", []byte("x"), 0) }},
		{"allowed: write /dev/stdout", func() error { return writable("/dev/stdout") }},
		{"allowed: read /dev/urandom", func() error { return nonEmpty("/dev/urandom") }},
		{"allowed: read /dev/zero", func() error { return nonEmpty("/dev/zero") }},
		{"fill /tmp", fillTmp},
	} {
		fmt.Printf("%s: %v\n", try.name, outcome(try.do()))
	}
}

func outcome(err error) string {
	if err == nil {
		return "done"
	}
	return "refused: " + err.Error()
}

func writable(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

func nonEmpty(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	_, err = f.Read(make([]byte, 16))
	return err
}

// newUser asks for a user namespace for a child, which would have every
// capability in there.
func newUser() error {
	cmd := exec.Command("/app", "exit", "0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER}
	return cmd.Run()
}

// fillTmp writes until the bound of /tmp stops it; 64 MiB are beyond it.
func fillTmp() error {
	f, err := os.Create("/tmp/big")
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	for range 64 {
		if _, err := f.Write(make([]byte, 1<<20)); err != nil {
			if errors.Is(err, syscall.ENOSPC) {
				return errors.New("no space")
			}
			return err
		}
	}
	return nil
}

func processes() int {
	found, _ := filepath.Glob("/proc/[0-9]*")
	return len(found)
}

// pipes counts the open pipes: stdout and stderr, unless others leaked in.
func pipes() int {
	n := 0
	for fd := range 64 {
		link, _ := os.Readlink(fmt.Sprint("/proc/self/fd/", fd))
		if strings.HasPrefix(link, "pipe:") {
			n++
		}
	}
	return n
}

func names(folder string) string {
	entries, err := os.ReadDir(folder)
	if err != nil {
		return err.Error()
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return strings.Join(all, " ")
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(98)
	}
}
