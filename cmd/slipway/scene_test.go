package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/sandbox"
)

// scene is a folder with a slipway.yaml, a sandbox of its own, and 1.0.0 of
// hello live in production.
type scene struct {
	dir, home, slipway string
	binaries           map[string]string
	target             deploy.Target
	// env are variables that slipway has besides.
	env []string
}

// newFolder is one that is empty as yet, with nothing live.
func newFolder(t *testing.T) *scene {
	t.Helper()
	path, err := asSlipway()
	if err != nil {
		t.Fatal(err)
	}
	return &scene{dir: t.TempDir(), home: shortTemp(t), slipway: path, binaries: needBinaries(t)}
}

// newScene begins with a strategy. Requests take a while, so that there are
// always some under way.
func newScene(t *testing.T, strategy string) *scene {
	t.Helper()
	needSandbox(t)
	s := newFolder(t)
	s.write(t, "app: hello\nbuild: {files: [{from: hello, to: /hello}], entrypoint: [/hello]}\n"+
		"service: {health: /healthz, replicas: 2, drain: 2s, env: {DELAY: 400ms}}\n"+
		"judge: {on-unknown: promote}\nenvironments: {production: {target: sandbox, strategy: "+strategy+"}}\n")
	t.Cleanup(func() {
		if out, err := s.run("sandbox", "down"); err != nil {
			t.Errorf("sandbox down: %v\n%s", err, out)
		}
	})
	s.use(t, "HELLO_1_0_0")
	s.must(t, "release", "--version", "1.0.0")
	client, err := sandbox.Connect(t.Context(), sandbox.Config{Home: s.home})
	if err != nil {
		t.Fatal(err)
	}
	s.target = client.Target("hello", deploy.Environment{Name: "production"})
	return s
}

// shortTemp is a folder whose path leaves room for a socket's name.
func shortTemp(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "slipway")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (s *scene) write(t *testing.T, yaml string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(s.dir, "slipway.yaml"), []byte(yaml), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (s *scene) command(args ...string) *exec.Cmd {
	cmd := exec.Command(s.slipway, args...)
	cmd.Dir = s.dir
	cmd.Env = append(os.Environ(), "SLIPWAY_HOME="+s.home, "GITHUB_ACTIONS=")
	cmd.Env = append(cmd.Env, s.env...)
	return cmd
}

func (s *scene) run(args ...string) (string, error) {
	out, err := s.command(args...).CombinedOutput()
	return string(out), err
}

func (s *scene) must(t *testing.T, args ...string) {
	t.Helper()
	if out, err := s.run(args...); err != nil {
		t.Fatalf("slipway %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// use makes a build of hello the one to be released.
func (s *scene) use(t *testing.T, build string) {
	t.Helper()
	content, err := os.ReadFile(s.binaries[build])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "hello"), content, 0o755); err != nil {
		t.Fatal(err)
	}
}

func (s *scene) state(t *testing.T) deploy.State {
	t.Helper()
	state, err := s.target.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return state
}

// status is what slipway status says.
func (s *scene) status(t *testing.T) string {
	t.Helper()
	out, err := s.run("status", "--json")
	if err != nil {
		t.Fatalf("slipway status: %v\n%s", err, out)
	}
	return out
}

// reset makes 1.0.0 the live version again, whatever is there.
func (s *scene) reset(t *testing.T) {
	t.Helper()
	if live := s.state(t).Live; live == nil || live.Image.Version != "1.0.0" {
		s.must(t, "rollback", "--environment", "production", "--to", "1.0.0")
	}
}

// visit lets users send requests, and returns when they get answers.
func (s *scene) visit(t *testing.T) *users {
	t.Helper()
	u := visitURL(s.state(t).URL)
	t.Cleanup(u.cancel)
	for end := time.Now().Add(patience); u.sent() < crowd; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nobody is answered")
		}
	}
	return u
}

// moment is where a rollout is.
type moment struct {
	phase deploy.Phase
	stage int
}

func (m moment) String() string { return fmt.Sprintf("%s-%d", m.phase, m.stage) }

func momentOf(r deploy.Record) moment { return moment{r.Phase, r.Stage} }

// launched is a slipway that runs.
type launched struct {
	cmd   *exec.Cmd
	out   strings.Builder
	ended chan struct{}
}

func (s *scene) start(t *testing.T, args ...string) *launched {
	t.Helper()
	l := &launched{cmd: s.command(args...), ended: make(chan struct{})}
	l.cmd.Stdout, l.cmd.Stderr = &l.out, &l.out
	if err := l.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { defer close(l.ended); _ = l.cmd.Wait() }()
	t.Cleanup(func() { _ = l.cmd.Process.Kill(); <-l.ended })
	return l
}

// send sends a signal once the rollout is at a moment; false when the process
// has ended without being seen there.
func (s *scene) send(t *testing.T, l *launched, m moment, signal os.Signal) bool {
	t.Helper()
	for {
		select {
		case <-l.ended:
			return false
		case <-time.After(2 * time.Millisecond):
		}
		if momentOf(s.state(t).Record) == m {
			return l.cmd.Process.Signal(signal) == nil
		}
	}
}

// wait is the exit code, -1 after a signal that ended the process.
func (l *launched) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-l.ended:
		return l.cmd.ProcessState.ExitCode()
	case <-time.After(patience):
		t.Fatalf("slipway did not end within %s\n%s", patience, l.out.String())
		return 0
	}
}

// whole demands one complete version with all users, and a closed journal.
func (s *scene) whole(t *testing.T, version string) {
	t.Helper()
	state := s.state(t)
	// A target that watches a cluster hears of another process's last write a moment
	// after that has ended.
	for end := time.Now().Add(10 * time.Second); state.Lock != nil && time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		state = s.state(t)
	}
	if state.Live == nil || state.Live.Image.Version != version {
		t.Fatalf("live is %v, want %s", state.Live, version)
	}
	if state.Share != 0 || state.Candidate != nil || len(state.Running) != 1 || state.Running[0].Ready() != 2 {
		t.Errorf("share %s, candidate %v, running %+v", state.Share, state.Candidate, state.Running)
	}
	if state.Record.Phase != deploy.PhaseSettled || state.Lock != nil {
		t.Errorf("journal in phase %q, lock %+v", state.Record.Phase, state.Lock)
	}
}
