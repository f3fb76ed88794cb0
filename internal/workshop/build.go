package workshop

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"
)

// Build is one version of testdata/hello.
type Build struct {
	// Version is a semver.
	Version string
	// Fails is how many of a hundred requests it answers with an error, After is
	// how long after its first request it begins with that.
	Fails int
	After time.Duration
	// Slow is how many times as long as others it takes for a request; zero is
	// as long.
	Slow float64
	// Leaks is how many KiB it keeps of each request.
	Leaks int
}

// flags set it up by the linker.
func (b Build) flags() string {
	return fmt.Sprintf("-X main.version=%s -X main.fails=%d -X main.after=%s -X main.slow=%g -X main.leak=%d",
		b.Version, b.Fails, b.After, cmp.Or(b.Slow, 1), b.Leaks)
}

// Build makes versions of the app, which Use can then bring into Dir.
func (w *Workshop) Build(ctx context.Context, builds ...Build) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for _, b := range builds {
		g.Go(func() error { return w.build(ctx, w.App(b.Version), "testdata/hello", b.flags()) })
	}
	return g.Wait()
}

// App is the path of a version that was built.
func (w *Workshop) App(version string) string {
	return filepath.Join(w.bin, "hello-"+version)
}

// Use makes a version the one that is released next.
func (w *Workshop) Use(version string) error {
	path := filepath.Join(w.Dir, "hello")
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Link(w.App(version), path)
}

// module is whose packages are built, from wherever in it the program runs.
const module = "github.com/slipway-ci/slipway"

// build compiles a package as it is released: static, and without what only a
// debugger reads. That a checkout belongs to somebody else does not stop it.
func (w *Workshop) build(ctx context.Context, to, pkg, flags string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-buildvcs=false", "-ldflags", "-s -w "+flags, "-o", to, module+"/"+pkg)
	cmd.Env = append(w.environ, "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return nil
}
