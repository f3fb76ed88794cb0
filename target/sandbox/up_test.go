package sandbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/sandbox"
	"github.com/slipway-ci/slipway/target/sandbox/wire"
)

func TestUpSaysWhatIsWrongWithTheStateFolder(t *testing.T) {
	dir := shortDir(t)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		home, wrong string
		usage       bool
	}{
		"none":         {"", "no state folder", true},
		"too long":     {filepath.Join(dir, strings.Repeat("long/", 25)), "a socket allows 107", true},
		"a file":       {file, "not a directory", false},
		"below a file": {filepath.Join(file, "state"), "not a directory", false},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, c.home)
			_, err := sandbox.Up(b.limited(), b.config)
			if err == nil || !strings.Contains(err.Error(), c.wrong) || deploy.IsUsage(err) != c.usage {
				t.Errorf("got %v, usage %t", err, deploy.IsUsage(err))
			}
			if hint := deploy.HintOf(err); !strings.Contains(hint, "SLIPWAY_HOME") {
				t.Errorf("the hint is %q", hint)
			}
		})
	}
}

func TestUpNeedsToKnowTheProgram(t *testing.T) {
	for name, executable := range map[string]string{"none": "", "missing": "/no/such/program"} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, shortDir(t))
			b.config.Executable = executable
			if _, err := sandbox.Up(b.limited(), b.config); err == nil {
				t.Error("it is up")
			}
		})
	}
}

func TestUpTellsWhatAProcessPrintedThatEnded(t *testing.T) {
	b := newBox(t, shortDir(t))
	b.config.Executable = "/bin/ls" // which ends at once, and does not know --home
	if _, err := exec.LookPath(b.config.Executable); err != nil {
		t.Skip(err)
	}
	_, err := sandbox.Up(b.limited(), b.config)
	if err == nil || !strings.Contains(err.Error(), "has ended") || !strings.Contains(deploy.HintOf(err), "--home") {
		t.Errorf("%v (%s)", err, deploy.HintOf(err))
	}
}

func TestASecondProcessIsRefused(t *testing.T) {
	b := up(t)
	cmd := exec.CommandContext(b.limited(), b.config.Executable, "sandbox", "serve", "--home", b.config.Home)
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "a sandbox runs already in "+b.config.Home) {
		t.Errorf("%v: %s", err, out)
	}
	b.status() // the first is not disturbed
}

// stranger answers on the socket as another version of the process would: what
// never changes, and nothing else.
func stranger(t *testing.T, home string) (ended *atomic.Bool) {
	t.Helper()
	ended = new(atomic.Bool)
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+wire.PathHello, func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(wire.Hello{Protocol: wire.Protocol + 1, Version: "99.0.0"})
	})
	mux.HandleFunc("POST "+wire.PathDown, func(w http.ResponseWriter, _ *http.Request) {
		ended.Store(true)
		_ = json.NewEncoder(w).Encode(wire.Hello{})
	})
	serveSocket(t, home, mux)
	return ended
}

// serveSocket answers where a sandbox would.
func serveSocket(t *testing.T, home string, h http.Handler) {
	t.Helper()
	l, err := net.Listen("unix", wire.Home(home).Socket())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() { server.Close(); <-done })
}

// tellsOtherVersion checks the error that leads out of it.
func tellsOtherVersion(t *testing.T, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), "another version") || !strings.Contains(deploy.HintOf(err), "slipway sandbox down") {
		t.Errorf("%v (%s)", err, deploy.HintOf(err))
	}
}

func TestAnotherVersionRuns(t *testing.T) {
	b := newBox(t, shortDir(t))
	ended := stranger(t, b.config.Home)
	_, err := sandbox.Connect(t.Context(), b.config)
	tellsOtherVersion(t, err)
	_, err = sandbox.Up(t.Context(), b.config)
	tellsOtherVersion(t, err)
	if err := sandbox.Down(t.Context(), b.config); err != nil || !ended.Load() {
		t.Errorf("down: %v, ended %t", err, ended.Load())
	}
}

func TestSomethingElseAnswers(t *testing.T) {
	b := newBox(t, shortDir(t))
	serveSocket(t, b.config.Home, http.NotFoundHandler())
	_, err := sandbox.Connect(t.Context(), b.config)
	tellsOtherVersion(t, err)
}

func TestAnotherVersionAsks(t *testing.T) {
	b := up(t)
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", wire.Home(b.config.Home).Socket())
	}
	client := &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	for name, protocol := range map[string]string{"older": "0", "newer": "2", "without a protocol": ""} {
		for _, path := range []string{"GET /status", "POST /environments/hello/production/state"} {
			method, path, _ := strings.Cut(path, " ")
			req, err := http.NewRequestWithContext(b.limited(), method, "http://sandbox"+path, strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set(wire.Header, protocol)
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			var refusal wire.Error
			err = json.NewDecoder(resp.Body).Decode(&refusal)
			resp.Body.Close()
			if err != nil || resp.StatusCode != http.StatusUnprocessableEntity {
				t.Errorf("%s: %s, %v", name, resp.Status, err)
			}
			tellsOtherVersion(t, refusal.Decode())
		}
	}
}

// hangUp takes connections where a sandbox would, and answers none.
func hangUp(t *testing.T, home wire.Home) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: home.Socket(), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false) // by then it may be the socket of another
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.Close()
		}
	}()
}

// A process that was killed a moment ago may still take connections, and have
// the state folder.
func TestUpWaitsForOneThatEnds(t *testing.T) {
	b := newBox(t, shortDir(t))
	home := wire.Home(b.config.Home)
	hangUp(t, home)
	lock := hold(t, home)
	began := make(chan error, 1)
	go func() {
		client, err := sandbox.Up(b.limited(), b.config)
		b.Client = client
		began <- err
	}()
	b.eventually("the start", func() bool {
		turn, free, err := wire.TryLock(home.StartFile())
		if free {
			turn.Close()
		}
		return err == nil && !free
	})
	lock.Close()
	if err := <-began; err != nil {
		t.Fatalf("%v (%s)", err, deploy.HintOf(err))
	}
	b.status()
}

// hold has the state folder as a sandbox would.
func hold(t *testing.T, home wire.Home) *os.File {
	t.Helper()
	lock, free, err := wire.TryLock(home.LockFile())
	if err != nil || !free {
		t.Fatal(free, err)
	}
	t.Cleanup(func() { lock.Close() })
	return lock
}

func TestUpNamesTheProcessThatDoesNotAnswer(t *testing.T) {
	b := newBox(t, shortDir(t))
	home := wire.Home(b.config.Home)
	if err := wire.Sign(hold(t, home)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Second) // Up itself would wait for ten
	defer cancel()
	_, err := sandbox.Up(ctx, b.config)
	if err == nil || !strings.Contains(err.Error(), b.config.Home) || !strings.Contains(deploy.HintOf(err), fmt.Sprint("kill ", os.Getpid())) {
		t.Errorf("%v (%s)", err, deploy.HintOf(err))
	}
}

func TestAClientOutlivesTheSandbox(t *testing.T) {
	b := up(t)
	client := b.Client
	b.down()
	if _, err := client.Status(b.limited()); !errors.Is(err, sandbox.ErrDown) || deploy.HintOf(err) != "slipway sandbox up" {
		t.Errorf("%v (%s)", err, deploy.HintOf(err))
	}
	b.up()
	if _, err := client.Status(b.limited()); err != nil {
		t.Errorf("after another start: %v", err)
	}
}
