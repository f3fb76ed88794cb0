package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/slipway-ci/slipway/target/sandbox/process"
)

// TestMain makes this test binary the slipway that scripts call, and that the
// sandbox calls itself by.
func TestMain(m *testing.M) {
	if process.IsChild() {
		process.Child()
	}
	testscript.Main(m, map[string]func(){"slipway": func() { os.Exit(run(asSlipway)) }})
}

// asSlipway is the name by which the test binary acts as slipway.
func asSlipway() (string, error) { return exec.LookPath("slipway") }

// builds are the versions of testdata/hello that scripts deploy, by the name
// of the variable that holds the path.
var builds = map[string]string{
	"HELLO_1_0_0": "-X main.version=1.0.0",
	"HELLO_1_1_0": "-X main.version=1.1.0",
	"HELLO_BAD":   "-X main.version=1.2.0 -X main.fails=10",
	"HELLO_CRASH": "-X main.version=1.3.0 -X main.crash=start",
}

// TestScripts runs the command line as a user does: one process a command,
// with a sandbox of its own for each script.
func TestScripts(t *testing.T) {
	if err := process.Supported(); err != nil {
		t.Skip("the sandbox does not run here: " + err.Error())
	}
	binaries := buildAll(t)
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: false,
		Setup: func(env *testscript.Env) error {
			env.Setenv("SLIPWAY_HOME", filepath.Join(env.WorkDir, "state"))
			env.Setenv("USER", "tester")
			for name, path := range binaries {
				env.Setenv(name, path)
			}
			env.Defer(func() { down(t, env) })
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits runs slipway and demands its exit code: exits 3 release --version 1.2.0
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE ARGUMENT...")
	}
	err := ts.Exec("slipway", args[1:]...)
	code := 0
	if exit, ok := err.(*exec.ExitError); ok {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("slipway %s: %v", strings.Join(args[1:], " "), err)
	}
	if fmt.Sprint(code) != args[0] {
		ts.Fatalf("slipway %s exits with %d, want %s", strings.Join(args[1:], " "), code, args[0])
	}
}

// down ends the script's sandbox, so that no process outlives the test.
func down(t *testing.T, env *testscript.Env) {
	home := env.Getenv("SLIPWAY_HOME")
	if _, err := os.Stat(home); err != nil {
		return
	}
	cmd := exec.Command(linkToSelf(t), "sandbox", "down")
	cmd.Env = append(os.Environ(), "SLIPWAY_HOME="+home)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("sandbox down: %v\n%s", err, out)
	}
}

// linkToSelf is a path at which the test binary acts as slipway.
func linkToSelf(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("slipway")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func buildAll(t *testing.T) map[string]string {
	t.Helper()
	dir := t.TempDir()
	paths := map[string]string{}
	for name, flags := range builds {
		paths[name] = filepath.Join(dir, strings.ToLower(name))
		cmd := exec.Command("go", "build", "-ldflags", "-s -w "+flags, "-o", paths[name], "../../testdata/hello")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("build %s: %v\n%s", name, err, out)
		}
	}
	return paths
}
