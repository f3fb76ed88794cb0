package process

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-ci/slipway/deploy"
)

// Tests whose names begin with TestReplica run as root, if that runs them, and
// again as an ordinary user.

// nobody is the ordinary user.
const nobody = 65534

func TestReplicasOfAnOrdinaryUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("the user who runs the tests is an ordinary one already")
	}
	dir, err := os.MkdirTemp("", "process-nobody-*")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	for name, source := range map[string]string{"test": "/proc/self/exe", "app": appPath(t)} {
		copyFile(t, source, filepath.Join(dir, name))
	}
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(dir, "test"), "-test.run=^TestReplica[^s]", "-test.v", "-test.timeout=2m")
	cmd.Dir = dir
	cmd.Env = []string{"TMPDIR=" + dir, "HOME=" + dir, "PATH=" + os.Getenv("PATH"), envApp + "=" + filepath.Join(dir, "app")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestReplicaIsIsolated")) {
		t.Fatalf("%v\n%s", err, out)
	}
}

func copyFile(t testing.TB, source, target string) {
	t.Helper()
	in, err := os.Open(source)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(out, in)
	if err := errors.Join(err, out.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestReplicaIsSupportedHere(t *testing.T) {
	if err := Supported(); err != nil {
		t.Fatal(err, deploy.HintOf(err))
	}
}

func TestReplicaSeesOnlyItself(t *testing.T) {
	secret := []string{"KEY=hunter2", "PATH=/bin:/"}
	p, log := run(t, Spec{
		Root: root(t, entry{name: "srv/", kind: '5', mode: 0o755}), ID: "hello-3", Env: secret,
		Dir: "/srv", Argv: []string{"app", "look", "x", "y z", ""},
	})
	if got := ended(t, p); got.Code != 0 || got.Signal != "" {
		t.Fatalf("%s\n%s", got, text(t, log))
	}
	out := text(t, log)
	for _, want := range []string{
		"hostname: hello-3\n", "uid: 0 0\n", "wd: /srv\n", "args: x|y z|\n", "env: KEY=hunter2|PATH=/bin:/\n",
		"processes: 2\n", "root: app dev etc proc run srv tmp var\n",
		"dev: fd full null random shm stderr stdin stdout tty urandom zero\n",
		"CapPrm:\t0000000000000000\n", "CapEff:\t0000000000000000\n", "CapBnd:\t0000000000000000\n",
		"CapAmb:\t0000000000000000\n", "NoNewPrivs:\t1\n", "core: 0 0\n", "stdin: 0 EOF\n", "pipes: 2\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in what it sees", want)
		}
	}
	if host, _ := os.ReadFile("/etc/resolv.conf"); !strings.Contains(out, "resolv.conf: "+strconv.Quote(string(host))) {
		t.Error("an image without resolv.conf does not see the host's")
	}
	if t.Failed() {
		t.Log(out)
	}
}

func TestReplicaKeepsItsOwnResolver(t *testing.T) {
	p, log := run(t, Spec{Root: root(t, entry{name: "etc/resolv.conf", body: "nameserver 192.0.2.1\n"})}, "look")
	ended(t, p)
	if want := `resolv.conf: "nameserver 192.0.2.1\n"`; !strings.Contains(text(t, log), want) {
		t.Errorf("no %s in\n%s", want, text(t, log))
	}
}

func TestReplicaIsIsolated(t *testing.T) {
	hostFile := filepath.Join(t.TempDir(), "host")
	if err := os.WriteFile(hostFile, []byte("the host's"), 0o644); err != nil {
		t.Fatal(err)
	}
	dir := root(t)
	p, log := run(t, Spec{Root: dir, Scratch: 8 << 20}, "attack", hostFile)
	if got := ended(t, p); got.Code != 0 {
		t.Fatalf("%s\n%s", got, text(t, log))
	}
	tried := 0
	for _, line := range strings.Split(strings.TrimSpace(text(t, log)), "\n") {
		name, allowed := strings.CutPrefix(line, "allowed: ")
		if done := strings.HasSuffix(name, ": done"); done != allowed {
			t.Error(line)
		}
		tried++
	}
	if tried < 30 {
		t.Errorf("only %d things were tried\n%s", tried, text(t, log))
	}
	for _, name := range []string{"owned", "tmp/mine", "run/mine"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s was written to the image", name)
		}
	}
}

// TestReplicaDoesNotFollowTheImage mounts upon links that point to the host.
func TestReplicaDoesNotFollowTheImage(t *testing.T) {
	victim := t.TempDir()
	dir := root(t,
		entry{name: "tmp", kind: '2', link: "/home/../../elsewhere"},
		entry{name: "run", kind: '2', link: "/dev/.host" + victim},
		entry{name: "proc", kind: '2', link: victim},
		entry{name: "dev", kind: '2', link: victim},
		entry{name: "var/tmp", kind: '2', link: "../../../../" + victim},
	)
	p, log := run(t, Spec{Root: dir}, "look")
	if got := ended(t, p); got.Code != 0 || !strings.Contains(text(t, log), "processes: 2\n") {
		t.Errorf("%s\n%s", got, text(t, log))
	}
	if left, _ := os.ReadDir(victim); len(left) > 0 {
		t.Errorf("%v was made on the host", left)
	}
}

func TestReplicaTellsHowItEnded(t *testing.T) {
	dir := root(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"exit", "0"}, "exited with code 0 after "},
		{[]string{"exit", "3"}, "exited with code 3 after "},
		{[]string{"exit", "255"}, "exited with code 255 after "},
		{[]string{"crash"}, "was killed by SIGSEGV after "},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			p, _ := run(t, Spec{Root: dir}, c.args...)
			pid := p.PID()
			if pid <= 1 {
				t.Errorf("process ID %d", pid)
			}
			got := ended(t, p)
			if !strings.HasPrefix(got.String(), c.want) || got.After <= 0 || got.After > 20*time.Second {
				t.Errorf("got %+v, want %s…", got, c.want)
			}
			if again := p.Stop(time.Second); again != got {
				t.Errorf("after its end, Stop says %s", again)
			}
			if ports, err := p.Listening(); err != nil || len(ports) > 0 {
				t.Errorf("after its end, it listens on %v (%v)", ports, err)
			}
		})
	}
}

func TestReplicaIsAskedToEnd(t *testing.T) {
	p, log := run(t, Spec{Root: root(t)}, "polite")
	awaitLine(t, log, "ready")
	if got := p.Stop(20 * time.Second); got.Code != 7 || got.Signal != "" {
		t.Errorf("got %s, want code 7", got)
	}
	if !strings.Contains(text(t, log), "asked to end") {
		t.Error("what it wrote at its end is not in the log")
	}
}

// TestReplicaWithoutHandlerEnds would fail if the app were process 1, which
// the kernel spares.
func TestReplicaWithoutHandlerEnds(t *testing.T) {
	p, log := run(t, Spec{Root: root(t)}, "sleep")
	awaitLine(t, log, "asleep")
	if err := syscall.Kill(p.PID(), 0); err != nil {
		t.Errorf("the app is not process %d: %v", p.PID(), err)
	}
	began := time.Now()
	if got := p.Stop(20 * time.Second); got.Signal != "SIGTERM" {
		t.Errorf("got %s, want SIGTERM", got)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestReplicaThatIgnoresIsKilled(t *testing.T) {
	p, log := run(t, Spec{Root: root(t)}, "stubborn")
	awaitLine(t, log, "ignoring")
	began := time.Now()
	got := p.Stop(100 * time.Millisecond)
	if got.Signal != "SIGKILL" || got.Code != -1 {
		t.Errorf("got %s, want SIGKILL", got)
	}
	if took := time.Since(began); took < 100*time.Millisecond || took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestReplicaLeavesNothingBehind(t *testing.T) {
	p, log := run(t, Spec{Root: root(t)}, "fork")
	awaitLine(t, log, "forked")
	eventually(t, "three children", func() bool { return strings.Count(text(t, log), "ignoring") == 3 })
	pids, err := family(p.cmd.Process.Pid)
	if err != nil || len(pids) != 5 || !slices.Contains(pids, p.PID()) {
		t.Fatalf("the family is %v (%v)", pids, err)
	}
	if got := p.Stop(20 * time.Second); got.Signal != "SIGTERM" {
		t.Errorf("got %s, want SIGTERM", got)
	}
	for _, pid := range pids {
		if alive(pid) {
			t.Errorf("process %d is alive after Stop", pid)
		}
	}
}

// alive is false for a process that is gone or only waits to be reaped.
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	return string(fields[0]) != "Z" && string(fields[0]) != "X"
}

func TestReplicaReapsOrphans(t *testing.T) {
	p, log := run(t, Spec{Root: root(t)}, "orphans")
	ended(t, p)
	if !strings.Contains(text(t, log), "processes: 2\n") {
		t.Errorf("orphans are left\n%s", text(t, log))
	}
}

func TestReplicaDiesWithItsParent(t *testing.T) {
	cmd := task(t, "parent", root(t), 0)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	var pids []int
	for _, word := range strings.Fields(line) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(line)
		}
		pids = append(pids, pid)
	}
	if err != nil || len(pids) != 5 {
		t.Fatalf("%v: %q", err, line)
	}
	began := time.Now()
	eventually(t, "the replica to end", func() bool { return !slices.ContainsFunc(pids, alive) })
	t.Logf("gone %s after its parent", time.Since(began))
}

func TestReplicaFloodIsBounded(t *testing.T) {
	const limit = 256 << 10
	path := filepath.Join(t.TempDir(), "log")
	log, err := NewLog(path, limit)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = log.Close() }()
	p, err := Start(context.Background(), Spec{ID: "flood", Root: root(t), Argv: []string{"/app", "flood"}, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if got := ended(t, p); got.Code != 0 {
		t.Errorf("it %s", got)
	}
	size := fileSize(t, path) + fileSize(t, path+".1")
	if size < limit/2 || size > limit {
		t.Errorf("the log holds %d bytes, want %d to %d", size, limit/2, limit)
	}
	if lines, err := log.Tail(1); err != nil || !slices.Equal(lines, []string{"last line"}) {
		t.Errorf("the log ends with %q (%v)", lines, err)
	}
}

// TestReplicaOutlivesItsLog writes to a log that takes nothing any more.
func TestReplicaOutlivesItsLog(t *testing.T) {
	log, err := NewLog(filepath.Join(t.TempDir(), "log"), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	for _, l := range []*Log{log, nil} {
		p, err := Start(context.Background(), Spec{ID: "flood", Root: root(t), Argv: []string{"/app", "flood"}, Log: l})
		if err != nil {
			t.Fatal(err)
		}
		if got := ended(t, p); got.Code != 0 {
			t.Errorf("it %s", got)
		}
	}
}

func fileSize(t testing.TB, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func TestReplicaListens(t *testing.T) {
	other, err := net.Listen("tcp", "127.0.0.1:0") // ours, not the replica's
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	dir := root(t)
	for _, address := range []string{"127.0.0.1:0", "[::1]:0", ":0"} {
		t.Run(address, func(t *testing.T) {
			p, log := run(t, Spec{Root: dir}, "listen", address)
			eventually(t, "it to listen", func() bool { return strings.Contains(text(t, log), "listen") })
			_, port, found := strings.Cut(strings.TrimSpace(text(t, log)), "listening on ")
			if !found {
				t.Skip("this machine has no such address: " + text(t, log))
			}
			want, _ := strconv.Atoi(port)
			if got, err := p.Listening(); err != nil || !slices.Equal(got, []int{want}) {
				t.Errorf("got %v (%v), want [%d]", got, err, want)
			}
		})
	}
	p, log := run(t, Spec{Root: dir}, "sleep")
	awaitLine(t, log, "asleep")
	if got, err := p.Listening(); err != nil || len(got) > 0 {
		t.Errorf("one that does not listen: %v (%v)", got, err)
	}
}

func TestReplicaOfABadImage(t *testing.T) {
	foreign, machine := []byte(program(t)), uint16(183) // aarch64
	if runtime.GOARCH == "arm64" {
		machine = 62 // x86_64
	}
	binary.LittleEndian.PutUint16(foreign[18:], machine)
	dir := root(t,
		entry{name: "plain", mode: 0o644, body: "#!/app\n"},
		entry{name: "text", mode: 0o755, body: "echo hello\n"},
		entry{name: "script", mode: 0o755, body: "#!/bin/sh -e\necho hello\n"},
		entry{name: "foreign", mode: 0o755, body: string(foreign)},
		entry{name: "dynamic", mode: 0o755, body: dynamic()},
		entry{name: "empty", mode: 0o755},
		entry{name: "folder/", kind: '5', mode: 0o755},
	)
	for _, c := range []struct {
		spec       Spec
		want, hint string
	}{
		{Spec{Argv: []string{"/nope"}}, "/nope: not found in the image", "build.files"},
		{Spec{Argv: []string{"/app/nope"}}, "/app/nope: not a directory", "reached"},
		{Spec{Argv: []string{"nope"}, Env: []string{"PATH=/bin:/sbin"}}, "nope: not found in the image (PATH is /bin:/sbin)", "absolute path"},
		{Spec{Argv: []string{"plain"}, Env: []string{"PATH=/"}}, "plain: not found in the image", "PATH"},
		{Spec{Argv: []string{"./plain"}}, "/plain: not executable", "chmod +x"},
		{Spec{Argv: []string{"/folder"}}, "/folder: is a folder", "program"},
		{Spec{Argv: []string{"/text"}}, "/text: exec format error", "#!"},
		{Spec{Argv: []string{"/empty"}}, "/empty: exec format error", "linux/" + runtime.GOARCH},
		{Spec{Argv: []string{"/foreign"}}, "/foreign: exec format error: it is for another machine (", "GOARCH=" + runtime.GOARCH},
		{Spec{Argv: []string{"/script"}}, `/script: it needs the interpreter "/bin/sh", which is missing from the image`, "base image"},
		{Spec{Argv: []string{"/dynamic"}}, `/dynamic: it needs the dynamic loader "/lib64/ld-test.so", which is missing from the image`, "CGO_ENABLED=0"},
		{Spec{Argv: []string{"/app"}, Dir: "/nowhere"}, "/nowhere: no such folder in the image", "working directory"},
		{Spec{Argv: []string{"/app"}, Env: []string{"BIG=" + strings.Repeat("x", 4<<20)}}, "/app: its arguments and environment are larger", "less"},
		{Spec{}, "it has no command", ""},
	} {
		t.Run(c.want, func(t *testing.T) {
			c.spec.ID, c.spec.Root = "bad", dir
			p, err := Start(context.Background(), c.spec)
			if err == nil {
				p.Stop(0)
				t.Fatal("it started")
			}
			if !errors.Is(err, ErrImage) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %s", err, c.want)
			}
			if hint := deploy.HintOf(err); !strings.Contains(hint, c.hint) {
				t.Errorf("the hint %q does not say %q", hint, c.hint)
			}
		})
	}
}

// program is the content of the app.
func program(t testing.TB) string {
	t.Helper()
	content, err := os.ReadFile(appPath(t))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// dynamic is a program for this machine that asks for a loader, and holds
// nothing else.
func dynamic() string {
	const loader = "/lib64/ld-test.so\x00"
	machine := uint16(62)
	if runtime.GOARCH == "arm64" {
		machine = 183
	}
	var b bytes.Buffer
	b.WriteString("\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 9))
	for _, field := range []any{
		uint16(2), machine, uint32(1), uint64(0), uint64(64), uint64(0), uint32(0), uint16(64), uint16(56), uint16(1), uint16(0), uint16(0), uint16(0),
		uint32(3), uint32(4), uint64(120), uint64(0), uint64(0), uint64(len(loader)), uint64(len(loader)), uint64(1),
	} {
		_ = binary.Write(&b, binary.LittleEndian, field)
	}
	b.WriteString(loader)
	return b.String()
}

func TestReplicaIsNotStarted(t *testing.T) {
	dir := root(t)
	for _, c := range []struct {
		name, want string
		spec       Spec
	}{
		{"no ID", "host name", Spec{Root: dir, Argv: []string{"/app"}}},
		{"long ID", "host name", Spec{ID: strings.Repeat("x", 65), Root: dir, Argv: []string{"/app"}}},
		{"relative root", "absolute", Spec{ID: "x", Root: "root", Argv: []string{"/app"}}},
		{"no root", "Unpack", Spec{ID: "x", Root: filepath.Join(dir, "nope"), Argv: []string{"/app"}}},
		{"not unpacked", "Unpack", Spec{ID: "x", Root: t.TempDir(), Argv: []string{"/app"}}},
		{"zero byte", "zero byte", Spec{ID: "x", Root: dir, Argv: []string{"/app"}, Env: []string{"A=hunter\x002"}}},
		{"negative", "negative", Spec{ID: "x", Root: dir, Argv: []string{"/app"}, Scratch: -1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Start(context.Background(), c.spec)
			if err == nil {
				p.Stop(0)
				t.Fatal("it started")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter") {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

func TestReplicaStartIsInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	p, err := Start(ctx, Spec{ID: "x", Root: root(t), Argv: []string{"/app", "sleep"}})
	if err == nil {
		p.Stop(0)
		t.Fatal("it started")
	}
	if !strings.Contains(err.Error(), "interrupted after ") {
		t.Error(err)
	}
	ctx, cancel = context.WithTimeout(context.Background(), time.Nanosecond)
	defer cancel()
	if _, err := Start(ctx, Spec{ID: "x", Root: root(t), Argv: []string{"/app", "sleep"}}); err == nil || !strings.Contains(err.Error(), "timed out after ") {
		t.Error(err)
	}
}

// TestReplicaOutlivesTheContextOfItsStart holds Start to its word.
func TestReplicaOutlivesTheContextOfItsStart(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	p, err := Start(ctx, Spec{ID: "x", Root: root(t), Argv: []string{"/app", "polite"}})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop(0)
	cancel()
	if p.wait(100 * time.Millisecond) {
		t.Errorf("it %s", p.Exit())
	}
	if got := p.Exit(); got.Code != -1 {
		t.Errorf("a running one says %s", got)
	}
}

func TestReplicasShareARoot(t *testing.T) {
	dir := root(t)
	var all []*Process
	for i := range 4 {
		p, log := run(t, Spec{ID: fmt.Sprint("r", i), Root: dir}, "sleep")
		awaitLine(t, log, "asleep")
		all = append(all, p)
	}
	for _, p := range all {
		if got := p.Stop(20 * time.Second); got.Signal != "SIGTERM" {
			t.Errorf("got %s", got)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Errorf("the root cannot be removed: %v", err)
	}
}

func TestReplicaInAContainer(t *testing.T) {
	out, err := task(t, "masked", root(t), unix.CLONE_NEWNS|unix.CLONE_NEWPID).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "/proc is empty in this replica") || !strings.Contains(string(out), "hostname: nested\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestReplicaIsDenied(t *testing.T) {
	out, err := task(t, "denied", "", unix.CLONE_NEWNS).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "error: this machine does not let slipway run isolated processes: the limit on namespaces is reached\n") ||
		!strings.Contains(string(out), "hint: allow user namespaces: sudo sysctl") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestReplicaKeepsSecretsFromOthers(t *testing.T) {
	out, err := task(t, "secret", root(t), 0).CombinedOutput()
	if err != nil || strings.Contains(string(out), "hunter2") || !strings.Contains(string(out), `cmdline: "slipway-replica`) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestStartNeedsAMainThatAsks(t *testing.T) {
	hooked.Store(false)
	defer hooked.Store(true)
	if _, err := Start(context.Background(), Spec{ID: "x", Root: "/x", Argv: []string{"/x"}}); err == nil || !strings.Contains(err.Error(), "IsChild") {
		t.Error(err)
	}
	if err := Supported(); err == nil {
		t.Error("supported without a main that asks")
	}
}

func TestExitReadsWell(t *testing.T) {
	for _, c := range []struct {
		exit Exit
		want string
	}{
		{Exit{Code: 1, After: 210 * time.Millisecond}, "exited with code 1 after 0.2s"},
		{Exit{Code: -1, Signal: "SIGSEGV", After: 3 * time.Second}, "was killed by SIGSEGV after 3s"},
		{Exit{Code: 0, After: 72*time.Second + 300*time.Millisecond}, "exited with code 0 after 1m12s"},
	} {
		if got := c.exit.String(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestObstacles(t *testing.T) {
	err := denied(&os.PathError{Op: "fork/exec", Path: "/proc/self/exe", Err: unix.EPERM})
	if !strings.HasSuffix(err.Error(), ": operation not permitted") || !strings.Contains(deploy.HintOf(err), "another") && !strings.Contains(deploy.HintOf(err), "a machine where") {
		t.Errorf("%v: %s", err, deploy.HintOf(err))
	}
	if err := denied(unix.EAGAIN); !strings.Contains(deploy.HintOf(err), "ulimit") {
		t.Error(err)
	}
}

func FuzzListener(f *testing.F) {
	f.Add("   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12345 1 0000 100 0 0 10 0")
	f.Add("  sl  local_address rem_address   st tx_queue")
	f.Fuzz(func(t *testing.T, line string) {
		inode, port, ok := listener(line)
		if ok && (port < 1 || port > 65535 || inode == "") {
			t.Errorf("%q: %q %d", line, inode, port)
		}
	})
}

// BenchmarkStart starts a replica and ends it, and tells the memory that its
// init holds for itself.
func BenchmarkStart(b *testing.B) {
	dir := root(b)
	var private int64
	for b.Loop() {
		p, err := Start(context.Background(), Spec{ID: "bench", Root: dir, Argv: []string{"/app", "sleep"}})
		if err != nil {
			b.Fatal(err)
		}
		private = privateMemory(b, p.cmd.Process.Pid)
		p.Stop(0)
	}
	b.ReportMetric(float64(private), "init-KiB")
}

// privateMemory adds up what a process shares with no other, in KiB.
func privateMemory(b *testing.B, pid int) int64 {
	rollup, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		b.Fatal(err)
	}
	var sum int64
	for line := range strings.Lines(string(rollup)) {
		if fields := strings.Fields(line); strings.HasPrefix(line, "Private_") {
			n, _ := strconv.ParseInt(fields[1], 10, 64)
			sum += n
		}
	}
	return sum
}

func TestReplicaNeedsRoomOnTheDisk(t *testing.T) {
	out, err := task(t, "full", t.TempDir(), unix.CLONE_NEWNS).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "left behind: 0\n") || !strings.Contains(string(out), "no space left on device\n") ||
		!strings.Contains(string(out), "hint: make room") {
		t.Errorf("%v\n%s", err, out)
	}
}
