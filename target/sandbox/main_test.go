package sandbox_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/sandbox"
	"github.com/slipway-ci/slipway/target/sandbox/daemon"
	"github.com/slipway-ci/slipway/target/sandbox/process"
	"github.com/slipway-ci/slipway/target/targettest"
)

// TestMain makes this test binary the program that Up starts in the
// background, and that starts itself again for each replica.
func TestMain(m *testing.M) {
	if process.IsChild() {
		process.Child()
	}
	if len(os.Args) == 5 && os.Args[1] == "sandbox" && os.Args[2] == "serve" {
		os.Exit(serve(os.Args[4]))
	}
	if os.Getenv("GORACE") == "" {
		_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // else each background process takes a second more to end
	}
	os.Exit(m.Run())
}

// serve is the background process.
func serve(home string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := daemon.Serve(ctx, daemon.Config{Home: home, Version: "test", Log: log}); err != nil {
		fmt.Fprintf(os.Stderr, "%v (%s)\n", err, deploy.HintOf(err))
		return 1
	}
	return 0
}

// limit bounds whatever a test waits for.
const limit = time.Minute

// box is a sandbox with a real background process.
type box struct {
	testing.TB
	config sandbox.Config
	*sandbox.Client
}

// up starts a sandbox with a state folder of its own, which is ended with the
// test.
func up(t testing.TB) *box {
	t.Helper()
	b := newBox(t, shortDir(t))
	b.up()
	return b
}

// shortDir is a folder with a path that is short, as sockets demand.
func shortDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "slipway-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// newBox is a sandbox that does not run yet.
func newBox(t testing.TB, home string) *box {
	t.Helper()
	needSandbox(t)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b := &box{TB: t, config: sandbox.Config{Home: home, Executable: self}}
	t.Cleanup(b.end)
	return b
}

// needSandbox skips a test where replicas cannot run.
func needSandbox(t testing.TB) {
	t.Helper()
	if err := process.Supported(); err != nil {
		t.Skip("the sandbox does not run here: " + err.Error())
	}
}

// up starts the sandbox where it does not run.
func (b *box) up() {
	b.Helper()
	client, err := sandbox.Up(b.limited(), b.config)
	if err != nil {
		b.Fatalf("up: %v (%s)", err, deploy.HintOf(err))
	}
	b.Client = client
}

// down ends the sandbox.
func (b *box) down() {
	b.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if err := b.Down(ctx); err != nil {
		b.Errorf("down: %v", err)
	}
}

// end ends the sandbox, and looks at what it printed.
func (b *box) end() {
	if b.Client != nil {
		b.down()
	}
	printed := b.printed()
	broken := bytes.Contains(printed, []byte("DATA RACE")) || bytes.Contains(printed, []byte("panic:"))
	if broken || b.Failed() {
		b.Logf("the background process printed:\n%s", printed)
	}
	if broken {
		b.Error("the background process is broken")
	}
}

// printed is what the background process has printed.
func (b *box) printed() []byte {
	content, _ := os.ReadFile(filepath.Join(b.config.Home, "daemon.log"))
	return content
}

// limited is the context of one act.
func (b *box) limited() context.Context {
	ctx, cancel := context.WithTimeout(b.Context(), limit)
	b.Cleanup(cancel)
	return ctx
}

// status is what the sandbox is doing.
func (b *box) status() sandbox.Status {
	b.Helper()
	s, err := b.Status(b.limited())
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// app is the app of all tests, repository where the sandbox's own registry
// takes its images.
const app = "hello"

func (b *box) repository() string { return b.Registry() + "/" + app }

// place is an environment in the sandbox.
type place struct {
	*box
	name string
}

// place names an environment.
func (b *box) place(name string) place { return place{box: b, name: name} }

// target is the environment's target, on the sandbox that runs now.
func (p place) target() *sandbox.Target {
	return p.Target(app, deploy.Environment{Name: p.name})
}

// service is what revisions run with where a test does not say otherwise.
func service(replicas int) deploy.Service {
	return deploy.Service{Health: "/healthz", Replicas: replicas, StartTimeout: limit, Drain: 5 * time.Second}
}

// revision pushes the app as a version; the flags say how it misbehaves.
func (p place) revision(version string, replicas int, flags ...string) deploy.Revision {
	p.Helper()
	img := targettest.Image(p, append([]string{"-name", version}, flags...)...)
	image := targettest.Push(p, img, p.repository(), version)
	return deploy.NewRevision(app, deploy.Environment{Name: p.name, Service: service(replicas)}, image, nil)
}

// must fails the test when an act has failed.
func (p place) must(err error) {
	p.Helper()
	if err != nil {
		p.Fatalf("%v (%s)", err, deploy.HintOf(err))
	}
}

func (p place) state() deploy.State {
	p.Helper()
	s, err := p.target().State(p.limited())
	p.must(err)
	return s
}

// bring makes a version live that is not started yet.
func (p place) bring(version string, replicas int) deploy.Revision {
	p.Helper()
	r := p.revision(version, replicas)
	p.must(p.target().Start(p.limited(), r))
	p.must(p.target().Switch(p.limited(), r))
	return r
}

// write follows the journal's last record by one of a rollout from one
// revision to another.
func (p place) write(phase deploy.Phase, previous, candidate deploy.Revision) {
	p.Helper()
	r := deploy.Record{
		Version: p.state().Record.Version, Owner: owner(), Operation: "release", Phase: phase,
		Previous: previous, Candidate: candidate, At: time.Now().UTC().Truncate(time.Second),
	}
	if phase == deploy.PhaseSettled {
		r.Outcome, r.Reason = deploy.Promoted, "it is well"
	}
	p.must(p.target().Write(p.limited(), r))
}

// owner is this process as the one who holds an environment.
func owner() deploy.Owner {
	host, _ := os.Hostname()
	return deploy.Owner{Run: "test", Who: "tester", Reason: "a test", Host: host, PID: os.Getpid()}
}

// ready waits until every replica of an environment can serve.
func (p place) ready() {
	p.Helper()
	p.until("replicas that are ready", func(s deploy.State) bool {
		for _, r := range s.Running {
			if r.Ready() < len(r.Replicas) {
				return false
			}
		}
		return len(s.Running) > 0
	})
}

// until waits for a condition of the state.
func (p place) until(what string, met func(deploy.State) bool) {
	p.Helper()
	p.eventually(what, func() bool { return met(p.state()) })
}

// eventually waits for a condition.
func (b *box) eventually(what string, met func() bool) {
	b.Helper()
	ctx := b.limited()
	for !met() {
		select {
		case <-ctx.Done():
			b.Fatalf("%s: not seen within %s", what, limit)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// get asks a URL once, as somebody who has never been there.
func (b *box) get(url string) (string, error) {
	req, err := http.NewRequestWithContext(b.limited(), http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", resp.Status, body)
	}
	return string(body), err
}

// serves checks that all users of an environment get a version.
func (p place) serves(version string) {
	p.Helper()
	url := p.state().URL
	for range 20 {
		if got, err := p.get(url); err != nil || got != version {
			p.Errorf("users of %s get %q, %v, not %s", p.name, got, err, version)
			return
		}
	}
}

// text is a value as it is kept.
func text(t testing.TB, v any) string {
	t.Helper()
	content, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// take listens on a port as another program does.
func take(t testing.TB, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// portOf is the port of a listener.
func portOf(t testing.TB, l net.Listener) int {
	t.Helper()
	tcp, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("%s has no port", l.Addr())
	}
	return tcp.Port
}
