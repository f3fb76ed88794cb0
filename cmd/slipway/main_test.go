package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slipway-ci/slipway/target/sandbox/process"
)

// TestMain makes this test binary the programs that scripts call, and the
// slipway that the sandbox calls itself by.
func TestMain(m *testing.M) {
	if process.IsChild() {
		process.Child()
	}
	slipway := func() { os.Exit(run(asSlipway)) }
	testscript.Main(suite{m}, map[string]func(){"slipway": slipway, settleName: slipway, "environ": environ})
}

// asSlipway is the path at which the test binary acts as slipway.
func asSlipway() (string, error) { return exec.LookPath("slipway") }

// suite is all tests, with a folder for the programs that they deploy.
type suite struct{ *testing.M }

var scratch string

func (s suite) Run() int {
	var err error
	if scratch, err = os.MkdirTemp("", "slipway-apps"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	if signal.Ignored(syscall.SIGHUP) {
		// Under nohup, commands would inherit that, and rightly heed no terminal
		// that closes. What is caught is back to its default in them.
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	if os.Getenv("GORACE") == "" {
		_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // else each command takes a second more
	}
	// These tests wait more than they work. A -parallel of the user is read later.
	if err := flag.Set("test.parallel", "4"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return s.M.Run()
}

// program is an app to be deployed.
type program struct{ source, flags string }

// programs are by the name of the variable that tells scripts the path.
var programs = map[string]program{
	"HELLO_1_0_0": {"../../testdata/hello", "-X main.version=1.0.0"},
	"HELLO_1_1_0": {"../../testdata/hello", "-X main.version=1.1.0"},
	// A tenth of its requests fail.
	"HELLO_BAD": {"../../testdata/hello", "-X main.version=1.2.0 -X main.fails=10"},
	// It is good at first: once asked to, it fails a third of its requests.
	"HELLO_LATE": {"../../testdata/hello", "-X main.version=1.4.0 -X main.fails=30 -X main.late=yes"},
	// It keeps a megabyte of each request.
	"HELLO_LEAK": {"../../testdata/hello", "-X main.version=1.5.0 -X main.leak=1024"},
	// It exits instead of starting.
	"HELLO_CRASH": {"../../testdata/hello", "-X main.version=1.3.0 -X main.crash=start"},
	// It listens on a port of its own choice.
	"ELSEWHERE": {"./testdata/elsewhere", ""},
}

// binaries are the paths of the programs, built once for all tests.
var binaries = sync.OnceValues(func() (map[string]string, error) {
	paths := map[string]string{}
	for name, p := range programs {
		paths[name] = filepath.Join(scratch, strings.ToLower(name))
		cmd := exec.Command("go", "build", "-buildvcs=false", "-ldflags", "-s -w "+p.flags, "-o", paths[name], p.source)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
	}
	return paths, nil
})

// needSandbox fails where the sandbox cannot run although it should, and skips
// where it never does: on systems other than Linux.
func needSandbox(t *testing.T) {
	t.Helper()
	err := process.Supported()
	if err == nil {
		return
	}
	if runtime.GOOS == "linux" {
		t.Fatalf("the sandbox does not run here: %v", err)
	}
	t.Skipf("the sandbox does not run here: %v", err)
}

// needBinaries are the paths of the programs.
func needBinaries(t *testing.T) map[string]string {
	t.Helper()
	paths, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	return paths
}
