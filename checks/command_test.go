//go:build unix

package checks_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/checks"
	"github.com/slipway-ci/slipway/deploy"
)

var subject = checks.Subject{URL: "http://127.0.0.1:1", Version: "1.2.3", Environment: "staging"}

// runner runs commands in a new folder.
func runner(t *testing.T) *checks.Runner {
	t.Helper()
	return &checks.Runner{
		Dir:   t.TempDir(),
		Env:   []string{"PATH=/usr/local/bin:/usr/bin:/bin", "BASE=yes", "VERSION=shadowed"},
		Scrub: func(s string) string { return strings.ReplaceAll(s, "hunter2", "***") },
	}
}

// script writes an executable script into the runner's folder. Nothing may be
// started meanwhile: a process that another test forks holds the open file
// until it executes, and Linux executes no file that is open for writing.
func script(t *testing.T, r *checks.Runner, name, text string) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(filepath.Join(r.Dir, name), []byte("#!/bin/sh\n"+text), 0o755); err != nil {
		t.Fatal(err)
	}
}

func run(ctx context.Context, r *checks.Runner, c deploy.Check) deploy.CheckResult {
	if c.Attempts == 0 {
		c.Attempts = 1
	}
	return r.Run(ctx, subject, []deploy.Check{c}, nil)[0]
}

func TestCommand(t *testing.T) {
	for name, tc := range map[string]struct {
		script string
		run    []string
		want   []string // parts of the detail; none means passed
		not    []string
	}{
		"passes":        {script: "exit 0", run: []string{"./s"}},
		"environment":   {script: `test "$URL $VERSION $ENVIRONMENT $BASE" = "http://127.0.0.1:1 1.2.3 staging yes"`, run: []string{"./s"}},
		"nothing else":  {script: `test -z "$HOME"`, run: []string{"./s"}},
		"arguments":     {script: `test "$#" = 2 && test "$2" = "b  c"`, run: []string{"./s", "a", "b  c"}},
		"folder":        {script: `test -x ./s`, run: []string{"./s"}},
		"no input":      {script: `test -z "$(cat)"`, run: []string{"./s"}},
		"found in PATH": {run: []string{"true"}},
		"exit code": {
			script: "echo one; echo two >&2; exit 3", run: []string{"./s"},
			want: []string{"./s exited with code 3; its last lines:\none\ntwo"},
		},
		"silent": {script: "exit 9", run: []string{"./s"}, want: []string{"./s exited with code 9, and printed nothing"}},
		"ten lines": {
			script: `i=0; while [ $i -lt 30 ]; do i=$((i+1)); echo "line $i"; done; exit 1`, run: []string{"./s"},
			want: []string{"its last lines:\nline 21\n", "line 30"}, not: []string{"line 20"},
		},
		"secret":  {script: `echo "key is hunter2"; exit 1`, run: []string{"./s"}, want: []string{"key is ***"}, not: []string{"hunter2"}},
		"control": {script: `printf 'a\033[2Jb\r\n\tc\377'; exit 1`, run: []string{"./s"}, want: []string{`a\x1b[2Jb` + "\n\tc\ufffd"}},
		"endless": {
			script: `head -c 3000000 /dev/zero | tr '\0' x; exit 1`, run: []string{"./s"},
			want: []string{"its last lines:\n…xxx"},
		},
		"signal":         {script: `kill -TERM $$`, run: []string{"./s"}, want: []string{"./s was ended by signal: terminated"}},
		"not there":      {run: []string{"./nope"}, want: []string{"start ./nope: ", "no such file"}},
		"not in PATH":    {run: []string{"slipway-nope"}, want: []string{"start slipway-nope: there is no such command in PATH"}},
		"beside it":      {script: "exit 0", run: []string{"s"}, want: []string{"./s would be found"}},
		"not executable": {run: []string{"./data"}, want: []string{"start ./data: ", "permission denied"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := runner(t)
			if err := os.WriteFile(filepath.Join(r.Dir, "data"), nil, 0o644); err != nil {
				t.Fatal(err)
			}
			if tc.script != "" {
				script(t, r, "s", tc.script)
			}
			got := run(t.Context(), r, deploy.Check{Run: tc.run, Timeout: 30 * time.Second})
			if got.Passed != (len(tc.want) == 0) || got.Passed != (got.Detail == "") {
				t.Fatalf("passed: %v, detail: %s", got.Passed, got.Detail)
			}
			for _, part := range tc.want {
				if !strings.Contains(got.Detail, part) {
					t.Errorf("detail %q\nhas no %q", got.Detail, part)
				}
			}
			for _, part := range tc.not {
				if strings.Contains(got.Detail, part) {
					t.Errorf("detail %q\nhas %q", got.Detail, part)
				}
			}
			if len(got.Detail) > 5000 {
				t.Errorf("detail of %d bytes", len(got.Detail))
			}
		})
	}
}

// pidOf waits for a script to say who it started.
func pidOf(t *testing.T, path string) int {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		text, err := os.ReadFile(path)
		if pid, convErr := strconv.Atoi(strings.TrimSpace(string(text))); err == nil && convErr == nil {
			return pid
		}
	}
	t.Fatalf("timed out after 10s waiting for %s", path)
	return 0
}

// gone waits until a process is no more, or only its parent's to reap.
func gone(t *testing.T, pid int) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
			return
		}
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && strings.Contains(string(stat), ") Z ") {
			return
		}
	}
	t.Errorf("timed out after 10s waiting for process %d to end", pid)
}

func TestCommandTimeout(t *testing.T) {
	r := runner(t)
	script(t, r, "hang", "echo begun\nsleep 600 & echo $! >pid\nwait")
	began := time.Now()
	got := run(t.Context(), r, deploy.Check{Run: []string{"./hang"}, Timeout: 700 * time.Millisecond})
	if got.Passed || got.Detail != "timed out after 700ms waiting for ./hang; its last lines:\nbegun" {
		t.Errorf("%+v", got)
	}
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	gone(t, pidOf(t, filepath.Join(r.Dir, "pid")))
}

// A child that keeps the output open must not hold up the check, nor outlive
// it.
func TestCommandLeavesChild(t *testing.T) {
	for name, tc := range map[string]struct {
		code   int
		passed bool
	}{"passing": {0, true}, "failing": {1, false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := runner(t)
			script(t, r, "fork", fmt.Sprintf("sleep 600 & echo $! >pid\necho done\nexit %d", tc.code))
			began := time.Now()
			got := run(t.Context(), r, deploy.Check{Run: []string{"./fork"}, Timeout: time.Minute})
			if got.Passed != tc.passed {
				t.Errorf("%+v", got)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("it took %s", took)
			}
			gone(t, pidOf(t, filepath.Join(r.Dir, "pid")))
		})
	}
}

func TestCommandInterrupted(t *testing.T) {
	r := runner(t)
	script(t, r, "hang", "sleep 600 & echo $! >pid\nwait")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	result := make(chan deploy.CheckResult, 1)
	go func() {
		result <- run(ctx, r, deploy.Check{Run: []string{"./hang"}, Timeout: time.Minute, Attempts: 3})
	}()
	pid := pidOf(t, filepath.Join(r.Dir, "pid"))
	cancel()
	got := <-result
	if got.Passed || got.Attempts != 1 || !strings.HasPrefix(got.Detail, "interrupted after ") {
		t.Errorf("%+v", got)
	}
	gone(t, pid)
}

// A second attempt can pass; a command that cannot be started gets none.
func TestCommandAttempts(t *testing.T) {
	r := runner(t)
	script(t, r, "second", "test -e been && exit 0\ntouch been\nexit 1")
	if got := run(t.Context(), r, deploy.Check{Run: []string{"./second"}, Attempts: 3}); !got.Passed || got.Attempts != 2 {
		t.Errorf("%+v", got)
	}
	if got := run(t.Context(), r, deploy.Check{Run: []string{"./nope"}, Attempts: 3}); got.Passed || got.Attempts != 1 {
		t.Errorf("%+v", got)
	}
}
