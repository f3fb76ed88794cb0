package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/sandbox"
	"github.com/slipway-ci/slipway/target/sandbox/process"
)

// moment is where in a rollout the release is killed.
type moment struct {
	phase deploy.Phase
	stage int
	// forward says that the last stage had passed by then.
	forward bool
}

// TestKillAndSettle kills a release with SIGKILL in every stage of every
// strategy while users send requests. Settle must leave one whole version, and
// no user may have noticed (but for recreate, which has a downtime).
func TestKillAndSettle(t *testing.T) {
	if err := process.Supported(); err != nil {
		t.Skip("the sandbox does not run here: " + err.Error())
	}
	strategies := map[string][]moment{
		"{canary: {steps: [10%, 50%, 100%], hold: 700ms}}": {
			{deploy.PhaseStarting, 1, false}, {deploy.PhaseHolding, 2, false}, {deploy.PhaseHolding, 3, false},
			{deploy.PhaseHolding, 4, false}, {deploy.PhasePromoting, 4, true},
		},
		"{blue-green: {keep: 1s}}": {
			{deploy.PhaseStarting, 1, false}, {deploy.PhaseHolding, 2, false}, {deploy.PhasePromoting, 2, true},
		},
		"{rolling: {batch: 1, hold: 700ms}}": {
			{deploy.PhaseStarting, 1, false}, {deploy.PhaseHolding, 2, false}, {deploy.PhaseHolding, 3, false}, {deploy.PhasePromoting, 4, true},
		},
		"{recreate: {hold: 1s}}": {
			{deploy.PhaseShifting, 1, false}, {deploy.PhaseHolding, 1, false}, {deploy.PhasePromoting, 1, true},
		},
	}
	binaries := buildAll(t)
	for strategy, moments := range strategies {
		name, _, _ := strings.Cut(strings.TrimPrefix(strategy, "{"), ":")
		t.Run(name, func(t *testing.T) {
			w := newWorkshop(t, strategy, binaries)
			for _, m := range moments {
				t.Run(fmt.Sprintf("%s-%d", m.phase, m.stage), func(t *testing.T) { w.killAt(t, m, name != "recreate") })
			}
		})
	}
}

// workshop is a folder with a slipway.yaml and a sandbox of its own.
type workshop struct {
	dir, home, slipway string
	binaries           map[string]string
	target             *sandbox.Target
}

func newWorkshop(t *testing.T, strategy string, binaries map[string]string) *workshop {
	t.Helper()
	w := &workshop{dir: t.TempDir(), home: shortTemp(t), slipway: linkToSelf(t), binaries: binaries}
	file := "app: hello\nbuild: {files: [{from: hello, to: /hello}], entrypoint: [/hello]}\n" +
		"service: {health: /healthz, replicas: 2, drain: 2s}\n" +
		"environments: {production: {target: sandbox, strategy: " + strategy + "}}\n"
	if err := os.WriteFile(filepath.Join(w.dir, "slipway.yaml"), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = w.run("sandbox", "down") })
	w.must(t, "sandbox", "up")
	client, err := sandbox.Connect(t.Context(), sandbox.Config{Home: w.home})
	if err != nil {
		t.Fatal(err)
	}
	w.target = client.Target("hello", deploy.Environment{Name: "production"})
	return w
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

func (w *workshop) command(args ...string) *exec.Cmd {
	cmd := exec.Command(w.slipway, args...)
	cmd.Dir = w.dir
	cmd.Env = append(os.Environ(), "SLIPWAY_HOME="+w.home, "PATH="+filepath.Dir(w.slipway)+":"+os.Getenv("PATH"))
	return cmd
}

func (w *workshop) run(args ...string) (string, error) {
	out, err := w.command(args...).CombinedOutput()
	return string(out), err
}

func (w *workshop) must(t *testing.T, args ...string) {
	t.Helper()
	if out, err := w.run(args...); err != nil {
		t.Fatalf("slipway %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// use makes a build of hello the one to be released.
func (w *workshop) use(t *testing.T, build string) {
	t.Helper()
	content, err := os.ReadFile(w.binaries[build])
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "hello"), content, 0o755); err != nil {
		t.Fatal(err)
	}
}

func (w *workshop) state(t *testing.T) deploy.State {
	t.Helper()
	s, err := w.target.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (w *workshop) killAt(t *testing.T, m moment, seamless bool) {
	w.use(t, "HELLO_1_0_0")
	w.must(t, "release", "--version", "1.0.0", "--strategy", "blue-green")
	users := visit(w.state(t).URL)
	w.use(t, "HELLO_1_1_0")
	release := w.command("release", "--version", "1.1.0")
	if err := release.Start(); err != nil {
		t.Fatal(err)
	}
	reached := w.await(t, m)
	_ = release.Process.Kill()
	_ = release.Wait()
	if !reached {
		t.Fatalf("the release never came to %s, stage %d", m.phase, m.stage)
	}
	w.must(t, "settle")
	w.whole(t, m)
	if failed := users.end(); seamless && failed > 0 {
		t.Errorf("%d requests failed: %s", failed, users.first.Load())
	}
}

// await polls the journal until the moment is reached.
func (w *workshop) await(t *testing.T, m moment) bool {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if r := w.state(t).Record; r.Phase == m.phase && r.Stage == m.stage {
			return true
		}
	}
	return false
}

// whole demands one complete version with all users, and a closed journal.
func (w *workshop) whole(t *testing.T, m moment) {
	t.Helper()
	s := w.state(t)
	want := "1.0.0"
	if m.forward {
		want = "1.1.0"
	}
	if s.Live == nil || s.Live.Image.Version != want {
		t.Fatalf("live is %v, want %s", s.Live, want)
	}
	if s.Share != 0 || s.Candidate != nil || len(s.Running) != 1 || s.Running[0].Ready() != 2 {
		t.Errorf("share %s, candidate %v, running %+v", s.Share, s.Candidate, s.Running)
	}
	if s.Record.Phase != deploy.PhaseSettled || s.Lock != nil {
		t.Errorf("journal in phase %q, lock %+v", s.Record.Phase, s.Lock)
	}
}

// visitors send requests one after the other until end.
type visitors struct {
	cancel context.CancelFunc
	group  sync.WaitGroup
	failed atomic.Int64
	first  atomic.Value
}

func visit(url string) *visitors {
	ctx, cancel := context.WithCancel(context.Background())
	v := &visitors{cancel: cancel}
	for range 3 {
		v.group.Go(func() {
			for ctx.Err() == nil {
				if err := get(url); err != nil {
					v.failed.Add(1)
					v.first.CompareAndSwap(nil, err.Error())
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	return v
}

func get(url string) error {
	client := http.Client{Timeout: 10 * time.Second}
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d: %s", resp.StatusCode, body)
	}
	return err
}

func (v *visitors) end() int64 {
	v.cancel()
	v.group.Wait()
	return v.failed.Load()
}
