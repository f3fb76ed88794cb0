package process

import (
	"bufio"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/slipway-ci/slipway/deploy"
)

// usualPath is searched when the environment names no PATH.
const usualPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// execute starts the app, as a user unless that is 0, and returns its process
// ID in here. It is in a session of its own, so that signals to its group do
// not reach the init.
func execute(r request, stdin *os.File, user int) (int, error) {
	if info, err := os.Stat(r.Dir); err != nil || !info.IsDir() {
		return 0, unusable("the working directory has to be a folder in the image", "%s: no such folder in the image", r.Dir)
	}
	path, err := find(r)
	if err != nil {
		return 0, err
	}
	how := &syscall.SysProcAttr{Setsid: true}
	if user != 0 {
		if err := allowed(r.Dir, path); err != nil {
			return 0, err
		}
		how.Credential = &syscall.Credential{Uid: uint32(user), Gid: uint32(user)}
		how.Pdeathsig = syscall.SIGKILL // of the thread that this runs on
	}
	pid, err := forkExec(path, r.Argv, &syscall.ProcAttr{
		Dir:   r.Dir,
		Env:   r.Env,
		Files: []uintptr{stdin.Fd(), 1, 2},
		Sys:   how,
	})
	if err != nil {
		return 0, explain(path, err)
	}
	return pid, nil
}

// busyLimit is how long a file may be open for writing before that is an error.
const busyLimit = 2 * time.Second

// forkExec starts a program. One that was unpacked a moment ago may still be
// open for writing in a process that was forked meanwhile and has not executed
// anything yet, and such a file cannot be executed: that is waited for.
func forkExec(path string, argv []string, how *syscall.ProcAttr) (int, error) {
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		pid, err := syscall.ForkExec(path, argv, how)
		if !errors.Is(err, syscall.ETXTBSY) || time.Since(began) > busyLimit {
			return pid, err
		}
	}
}

// unusable is an ErrImage with what to do.
func unusable(hint, format string, args ...any) error {
	return deploy.Hinted(imageError(fmt.Sprintf(format, args...)), "%s", hint)
}

// find resolves the command as a shell would.
func find(r request) (string, error) {
	name := r.Argv[0]
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(r.Dir, name)
		}
		if _, err := os.Stat(name); err != nil {
			return "", missing(r.Argv[0], err)
		}
		return name, nil
	}
	path := searchPath(r.Env)
	for _, folder := range filepath.SplitList(path) {
		file := filepath.Clean("/" + folder + "/" + name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", unusable("name the command by its absolute path in the image, or set PATH",
		"%s: not found in the image (PATH is %s)", name, path)
}

func searchPath(env []string) string {
	for i := len(env) - 1; i >= 0; i-- {
		if path, found := strings.CutPrefix(env[i], "PATH="); found {
			return path
		}
	}
	return usualPath
}

// missing explains a command that cannot be looked at.
func missing(name string, err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return unusable("the entrypoint has to name a file that build.files or the base puts into the image", "%s: not found in the image", name)
	}
	return unusable("the entrypoint has to name a file that can be reached in the image", "%s: %v", name, errors.Unwrap(err))
}

// explain turns the kernel's answer into what is wrong with the file.
func explain(path string, err error) error {
	if info, statErr := os.Stat(path); statErr == nil && info.IsDir() {
		return unusable("the entrypoint has to name a program", "%s: is a folder in the image", path)
	}
	switch {
	case errors.Is(err, syscall.EACCES) && neverExecutes(path):
		return deploy.Hinted(fmt.Errorf("%s: the file system that holds the sandbox's state forbids programs (noexec)", path),
			"let the state lie where programs may be executed (SLIPWAY_HOME)")
	case errors.Is(err, syscall.EACCES):
		return unusable("give the file its execute permission (chmod +x, or mode: 0755 in build.files)", "%s: not executable", path)
	case errors.Is(err, syscall.ENOENT):
		return unusable("link it statically (for Go: CGO_ENABLED=0), or use a base image that has what it needs",
			"%s: it needs %s, which is missing from the image", path, interpreter(path))
	case errors.Is(err, syscall.ENOEXEC):
		return foreign(path)
	case errors.Is(err, syscall.ETXTBSY):
		return unusable("end what writes to it", "%s: it is open for writing", path)
	case errors.Is(err, syscall.E2BIG):
		return unusable("give the app less by its environment", "%s: its arguments and environment are larger than Linux allows", path)
	}
	return fmt.Errorf("%s: %w", path, err)
}

// neverExecutes reports whether a file lies where nothing may be executed.
func neverExecutes(path string) bool {
	var where unix.Statfs_t
	return unix.Statfs(path, &where) == nil && where.Flags&unix.ST_NOEXEC != 0
}

// interpreter names what a program or a script needs in order to run.
func interpreter(path string) string {
	what, name := needs(path)
	if name == "" {
		return "a file"
	}
	return fmt.Sprintf("the %s %q", what, name)
}

// What runs others.
const (
	forScripts  = "interpreter"
	forPrograms = "dynamic loader"
)

// needs is the file that a script or a program asks for, and what that is.
func needs(path string) (what, name string) {
	file, err := os.Open(path)
	if err != nil {
		return "", ""
	}
	defer func() { _ = file.Close() }()
	if line, _ := bufio.NewReader(io.LimitReader(file, 256)).ReadString('\n'); strings.HasPrefix(line, "#!") {
		name, _, _ = strings.Cut(strings.TrimSpace(line[2:]), " ")
		return forScripts, name
	}
	return forPrograms, loader(file)
}

// loader is the dynamic loader that an ELF file asks for; empty if none.
func loader(file io.ReaderAt) string {
	program, err := elf.NewFile(file)
	if err != nil {
		return ""
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			name, _ := io.ReadAll(io.LimitReader(p.Open(), 4096))
			return strings.TrimRight(string(name), "\x00")
		}
	}
	return ""
}

// foreign explains a file that the kernel does not know how to run.
func foreign(path string) error {
	here := runtime.GOARCH
	program, err := elf.Open(path)
	if err != nil {
		return unusable("build it for linux/"+here+", or let a script begin with #! and its interpreter",
			"%s: exec format error: it is neither a program for linux/%s nor a script that begins with #!", path, here)
	}
	defer func() { _ = program.Close() }()
	machine := strings.ToLower(strings.TrimPrefix(program.Machine.String(), "EM_"))
	return unusable("build it for linux/"+here+" (for Go: GOOS=linux GOARCH="+here+")",
		"%s: exec format error: it is for another machine (%s), and this one is linux/%s", path, machine, here)
}
