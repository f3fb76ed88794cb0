package sandbox_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
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
		serve(os.Args[4])
	}
	os.Exit(m.Run())
}

// serve is the background process.
func serve(home string) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	if err := daemon.Serve(ctx, daemon.Config{Home: home, Version: "test", Log: log}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
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
// test. The folder's path is short, as its socket demands.
func up(t testing.TB) *box {
	t.Helper()
	home, err := os.MkdirTemp("", "slipway-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	return upIn(t, home)
}

// upIn starts a sandbox in a folder.
func upIn(t testing.TB, home string) *box {
	t.Helper()
	needSandbox(t)
	b := &box{TB: t, config: configOf(t, home)}
	t.Cleanup(b.end)
	b.again()
	return b
}

// needSandbox skips a test where replicas cannot run.
func needSandbox(t testing.TB) {
	t.Helper()
	if err := process.Supported(); err != nil {
		t.Skip("the sandbox does not run here: " + err.Error())
	}
}

// configOf is the sandbox of a folder, in a background process that is this
// test binary.
func configOf(t testing.TB, home string) sandbox.Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return sandbox.Config{Home: home, Executable: self}
}

// again starts the sandbox where it does not run.
func (b *box) again() {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), limit)
	defer cancel()
	client, err := sandbox.Up(ctx, b.config)
	if err != nil {
		b.Fatalf("up: %v (%s)", err, deploy.HintOf(err))
	}
	b.Client = client
}

// end ends the sandbox and looks at what it printed.
func (b *box) end() {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	if b.Client != nil {
		if err := b.Down(ctx); err != nil {
			b.Errorf("down: %v", err)
		}
	}
	printed, _ := os.ReadFile(filepath.Join(b.config.Home, "daemon.log"))
	if bytes.Contains(printed, []byte("DATA RACE")) || bytes.Contains(printed, []byte("panic:")) || b.Failed() {
		b.Logf("the background process printed:\n%s", printed)
	}
	if bytes.Contains(printed, []byte("DATA RACE")) || bytes.Contains(printed, []byte("panic:")) {
		b.Error("the background process is broken")
	}
}

// repository is where the sandbox's own registry takes images.
func (b *box) repository() string { return b.Registry() + "/" + targettest.App }
