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

// Tests whose names begin with TestReplica run as root, if that runs them, again
// as an ordinary user, and again as root of a container, where there are no
// namespaces.

// replicaTests are the arguments that choose them.
var replicaTests = []string{"-test.run=^TestReplica([^s]|sShare)", "-test.v", "-test.timeout=2m"}

// nobody is the ordinary user.
const nobody = 65534

func TestReplicasOfAnOrdinaryUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("the user who runs the tests is an ordinary one already")
	}
	needNamespaces(t)
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
	cmd := exec.Command(filepath.Join(dir, "test"), replicaTests...)
	cmd.Dir = dir
	cmd.Env = []string{"TMPDIR=" + dir, "HOME=" + dir, "PATH=" + os.Getenv("PATH"), envApp + "=" + filepath.Join(dir, "app")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestReplicaIsIsolated")) {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestReplicasInADefaultContainer(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("replicas without namespaces need root, which does not run these tests")
	}
	needNamespaces(t)
	cmd := task(t, "inside", "", 0)
	cmd.Env = append(cmd.Env, envApp+"="+appPath(t))
	out, err := cmd.CombinedOutput()
	if err != nil || !bytes.Contains(out, []byte("--- PASS: TestReplicaIsIsolated")) {
		t.Fatalf("%v\n%s", err, out)
	}
}

// needNamespaces skips what makes namespaces itself, or would do again what
// the tests do anyway where there are none.
func needNamespaces(t testing.TB) {
	t.Helper()
	if isolation(t) != Namespaces {
		t.Skip("there are no namespaces here")
	}
}

// isolation is that of the replicas of these tests.
func isolation(t testing.TB) Isolation {
	t.Helper()
	if err := Supported(); err != nil {
		t.Fatal(err, deploy.HintOf(err))
	}
	return Chosen()
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
	got := isolation(t)
	if want := Isolation(os.Getenv(envIsolation)); want != "" && got != want {
		t.Fatalf("replicas are isolated by %s, not by %s", got, want)
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
	all := []string{
		"wd: /srv\n", "args: x|y z|\n", "env: KEY=hunter2|PATH=/bin:/\n", "root: app dev etc proc run srv tmp var\n",
		"core: 0 0\n", "stdin: 0 EOF\n",
	}
	for _, want := range append(all, map[Isolation][]string{
		Namespaces: {
			"hostname: hello-3\n", "uid: 0 0\n", "processes: 2\n", "pipes: 2\n",
			"dev: fd full null random shm stderr stdin stdout tty urandom zero\n",
			"CapPrm:\t0000000000000000\n", "CapEff:\t0000000000000000\n", "CapBnd:\t0000000000000000\n",
			"CapAmb:\t0000000000000000\n", "NoNewPrivs:\t1\n",
		},
		Chroot: {
			fmt.Sprintf("uid: %d %[1]d\n", p.user), "groups: \n", "processes: 0\n", "dev: full null random shm urandom zero\n",
			"slipway: no namespaces can be had here: this replica runs by chroot, as an ordinary user, and its /proc is empty\n",
		},
	}[isolation(t)]...) {
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

// TestReplicaHasNoPowers looks from outside: not every replica can look itself.
func TestReplicaHasNoPowers(t *testing.T) {
	p, log := run(t, Spec{Root: root(t)}, "sleep")
	awaitLine(t, log, "asleep")
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		t.Fatal(err)
	}
	const none = ":\t0000000000000000\n"
	for _, want := range []string{"CapInh" + none, "CapPrm" + none, "CapEff" + none, "CapBnd" + none, "CapAmb" + none, "NoNewPrivs:\t1\n"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("no %q in\n%s", want, status)
		}
	}
	var pipes []string
	look := func() { pipes = open(t, p.PID(), "pipe:") }
	if p.user == 0 {
		look()
	} else {
		withEyesOf(p.user, look)
	}
	if len(pipes) != 2 { // stdout and stderr
		t.Errorf("it has the pipes %v", pipes)
	}
}

// open are a process's open files of a kind.
func open(t testing.TB, pid int, kind string) (found []string) {
	t.Helper()
	folder := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Error(err)
	}
	for _, e := range entries {
		if link, _ := os.Readlink(filepath.Join(folder, e.Name())); strings.HasPrefix(link, kind) {
			found = append(found, e.Name()+" "+link)
		}
	}
	return found
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
	dir := root(t,
		entry{name: "loose", mode: 0o666, body: "the image's"},
		entry{name: "open/", kind: '5', mode: 0o777},
	)
	p, log := run(t, Spec{Root: dir, Scratch: 8 << 20}, "attack", hostFile)
	if got := ended(t, p); got.Code != 0 {
		t.Fatalf("%s\n%s", got, text(t, log))
	}
	tried := 0
	for _, line := range strings.Split(strings.TrimSpace(text(t, log)), "\n") {
		if strings.HasPrefix(line, "slipway: ") {
			continue
		}
		name, allowed := strings.CutPrefix(line, "allowed: ")
		name, outcome, _ := strings.Cut(name, ": ")
		if otherwise[isolation(t)][name] {
			allowed = !allowed
		}
		if (outcome == "done") != allowed {
			t.Error(line)
		}
		tried++
	}
	if tried < 30 {
		t.Errorf("only %d things were tried\n%s", tried, text(t, log))
	}
	for _, name := range []string{"owned", "open/owned", "tmp/mine", "run/mine", "dev/null"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s was written to the image", name)
		}
	}
	if content, err := os.ReadFile(filepath.Join(dir, "loose")); err != nil || string(content) != "the image's" {
		t.Errorf("a file of the image holds %q (%v)", content, err)
	}
}

// otherwise are the attacks that end otherwise than the app says.
var otherwise = map[Isolation]map[string]bool{
	Chroot: {
		"send init a signal that it does not get": true, // that is another init
		"write /dev/stdout":                       true, // it leads into /proc
		"fill /tmp":                               true, // nothing bounds it
	},
}

// TestReplicaDoesNotFollowTheImage makes folders, or mounts, of links that lead to
// the host.
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
	if got := ended(t, p); got.Code != 0 || !strings.Contains(text(t, log), "wd: /\n") {
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

// TestReplicaLeavesNothingBehind ends apps whose children hide: they are in
// sessions of their own, ignore signals, and two have lost their parents.
func TestReplicaLeavesNothingBehind(t *testing.T) {
	dir := root(t)
	for _, c := range []struct {
		name, want string
		end        func(*Process)
	}{
		{"asked", "SIGTERM", func(p *Process) { p.Stop(20 * time.Second) }},
		{"stopped at once", "SIGKILL", func(p *Process) { p.Stop(0) }},
		{"the app ends", "SIGINT", func(p *Process) { _ = syscall.Kill(p.PID(), syscall.SIGINT) }},
		{"the init is killed", "SIGKILL", func(p *Process) { _ = p.cmd.Process.Kill() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, log := run(t, Spec{Root: dir}, "fork")
			eventually(t, "three children", func() bool { return strings.Count(text(t, log), "ignoring") == 3 })
			awaitLine(t, log, "forked")
			pids, err := family(p.cmd.Process.Pid)
			if err != nil || len(pids) != 5 || !slices.Contains(pids, p.PID()) {
				t.Fatalf("the family is %v (%v)", pids, err)
			}
			c.end(p)
			if got := ended(t, p); got.Signal != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
			for _, pid := range pids {
				if alive(pid) {
					t.Errorf("process %d is alive after the end", pid)
				}
			}
		})
	}
	run(t, Spec{Root: dir}, "sleep")
	if left := copies(t, dir); len(left) > 1 {
		t.Errorf("beside the image there are %v", left)
	}
}

// TestReplicaCannotFlee ends what nobody can catch one by one: each process
// lives for a moment and starts the next one.
func TestReplicaCannotFlee(t *testing.T) {
	dir := root(t)
	for name, end := range map[string]func(*Process){
		"asked":              func(p *Process) { p.Stop(20 * time.Second) },
		"stopped at once":    func(p *Process) { p.Stop(0) },
		"the init is killed": func(p *Process) { _ = p.cmd.Process.Kill() },
	} {
		t.Run(name, func(t *testing.T) {
			mark := filepath.Base(filepath.Dir(t.TempDir())) // a name of its own
			p, log := run(t, Spec{Root: dir}, "flee", mark)
			awaitLine(t, log, "hop 5")
			end(p)
			ended(t, p)
			if !noneRuns(mark) {
				t.Error("one has got away")
			}
		})
	}
}

// noneRuns looks for processes with a mark among their arguments, for so
// long that one that is starting the next cannot hide.
func noneRuns(mark string) bool {
	for range 20 {
		all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, file := range all {
			if line, _ := os.ReadFile(file); strings.Contains(string(line), mark) {
				return false
			}
		}
	}
	return true
}

// copies are those that lie beside an image.
func copies(t testing.TB, root string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(filepath.Dir(root), copyPrefix+"*"))
	if err != nil {
		t.Fatal(err)
	}
	return found
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
	awaitLine(t, log, "all are orphans")
	eventually(t, "the orphans to be reaped", func() bool {
		pids, err := family(p.cmd.Process.Pid)
		return err == nil && len(pids) == 2 // zombies would count
	})
}

func TestReplicaDiesWithItsParent(t *testing.T) {
	dir := root(t)
	cmd := task(t, "parent", dir, 0)
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
	if left := copies(t, dir); len(left) > 0 {
		t.Errorf("beside the image there are %v", left)
	}
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

// TestReplicaOfAnImageThatIsWritten: what was unpacked a moment ago may still
// be open, in a process that another goroutine forked.
func TestReplicaOfAnImageThatIsWritten(t *testing.T) {
	dir := root(t)
	file, err := os.OpenFile(filepath.Join(dir, "app"), os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Start(context.Background(), Spec{ID: "busy", Root: dir, Argv: []string{"/app", "exit", "0"}})
	if err == nil || !strings.Contains(err.Error(), "/app: it is open for writing") {
		t.Errorf("while it is written: %v", err)
	}
	closed := make(chan error)
	time.AfterFunc(200*time.Millisecond, func() { closed <- file.Close() })
	p, err := Start(context.Background(), Spec{ID: "free", Root: dir, Argv: []string{"/app", "exit", "0"}})
	if err != nil {
		t.Fatalf("when it is written no more: %v", err)
	}
	p.Stop(0)
	if err := <-closed; err != nil {
		t.Error(err)
	}
}

// TestReplicaOfAClosedImage needs what only its owner may use.
func TestReplicaOfAClosedImage(t *testing.T) {
	if isolation(t) == Namespaces {
		t.Skip("with namespaces replicas own what is in their image")
	}
	dir := root(t,
		entry{name: "own", mode: 0o700, body: program(t)},
		entry{name: "closed/", kind: '5', mode: 0o700},
		entry{name: "closed/app", mode: 0o755, body: program(t)},
		entry{name: "link", kind: '2', link: "closed/app"},
		entry{name: "blind", mode: 0o711, body: "#!/app exit\n"},
		entry{name: "script", mode: 0o755, body: "#!/own exit\n"},
		entry{name: "lib64/ld-test.so", mode: 0o700, body: program(t)},
		entry{name: "dynamic", mode: 0o755, body: dynamic()},
	)
	for _, c := range []struct {
		spec Spec
		want string
	}{
		{Spec{Argv: []string{"/own"}}, "/own: an ordinary user may not use /own (its mode is 0700)"},
		{Spec{Argv: []string{"own"}, Env: []string{"PATH=/"}}, "/own: an ordinary user may not use /own"},
		{Spec{Argv: []string{"/closed/app"}}, "/closed/app: an ordinary user may not use /closed (its mode is 0700)"},
		{Spec{Argv: []string{"/link"}}, "/link: an ordinary user may not use /closed"},
		{Spec{Argv: []string{"/blind"}}, "/blind: an ordinary user may not use /blind (its mode is 0711)"},
		{Spec{Argv: []string{"/script"}}, "/own: an ordinary user may not use /own"},
		{Spec{Argv: []string{"/dynamic"}}, "/lib64/ld-test.so: an ordinary user may not use /lib64/ld-test.so"},
		{Spec{Argv: []string{"/app"}, Dir: "/closed"}, "/closed: an ordinary user may not use /closed"},
	} {
		t.Run(c.want, func(t *testing.T) {
			c.spec.ID, c.spec.Root = "closed", dir
			p, err := Start(context.Background(), c.spec)
			if err == nil {
				p.Stop(0)
				t.Fatal("it started")
			}
			if !errors.Is(err, ErrImage) || !strings.Contains(err.Error(), c.want) || !strings.Contains(deploy.HintOf(err), "chmod a+rx") {
				t.Errorf("got %v (%s), want %s", err, deploy.HintOf(err), c.want)
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
	if left := copies(t, dir); len(left) > 0 {
		t.Errorf("beside the image there are %v", left)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Errorf("the root cannot be removed: %v", err)
	}
}

// TestReplicaIsAloneInItsFolders would fail if replicas of one image shared
// /tmp or /run: the second would find the first one's files.
func TestReplicaIsAloneInItsFolders(t *testing.T) {
	dir := root(t)
	for range 2 {
		_, log := run(t, Spec{Root: dir}, "claim")
		awaitLine(t, log, "claimed: <nil> <nil>")
	}
}

func TestReplicaCannotSignalOthers(t *testing.T) {
	dir := root(t)
	victim, log := run(t, Spec{Root: dir}, "sleep")
	awaitLine(t, log, "asleep")
	for _, pid := range []int{victim.PID(), victim.cmd.Process.Pid, os.Getpid(), -1} {
		p, log := run(t, Spec{Root: dir}, "kill", strconv.Itoa(pid))
		got := ended(t, p)
		refused := strings.Contains(text(t, log), "refused") || pid == -1 // which succeeds if it hits nobody
		if got.Code != 0 || !refused {
			t.Errorf("kill %d: %s\n%s", pid, got, text(t, log))
		}
	}
	if !alive(victim.PID()) {
		t.Errorf("it %s", ended(t, victim))
	}
}

func TestReplicaInAContainer(t *testing.T) {
	needNamespaces(t)
	out, err := task(t, "masked", root(t), unix.CLONE_NEWNS|unix.CLONE_NEWPID).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "/proc is empty in this replica") || !strings.Contains(string(out), "hostname: nested\n") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestReplicaIsDenied(t *testing.T) {
	needNamespaces(t)
	out, err := task(t, "denied", "", unix.CLONE_NEWNS).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "error: this machine does not let slipway run isolated processes: the limit on namespaces is reached\n") ||
		!strings.Contains(string(out), "hint: allow user namespaces: sudo sysctl") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestReplicaIsDeniedToUsersOfAContainer finds neither way open.
func TestReplicaIsDeniedToUsersOfAContainer(t *testing.T) {
	if isolation(t) == Namespaces {
		t.Skip("this is no container")
	}
	cmd := task(t, "asked", "", 0)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "error: this machine does not let slipway run isolated processes: operation not permitted\n") ||
		!strings.Contains(string(out), "run slipway as its root") || !strings.Contains(string(out), "seccomp=unconfined") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestReplicaIsDeniedWhereNothingMayBeExecuted(t *testing.T) {
	needNamespaces(t)
	out, err := task(t, "noexec", t.TempDir(), unix.CLONE_NEWNS).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "/app: the file system that holds the sandbox's state forbids programs (noexec)\n") ||
		!strings.Contains(string(out), "hint: let the state lie") {
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
	needNamespaces(t)
	out, err := task(t, "full", t.TempDir(), unix.CLONE_NEWNS).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "left behind: 0\n") || !strings.Contains(string(out), "no space left on device\n") ||
		!strings.Contains(string(out), "hint: make room") {
		t.Errorf("%v\n%s", err, out)
	}
}
