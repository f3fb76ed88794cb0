// Package workshop is a place for programs that use slipway from outside, as
// its users do: a folder with a slipway.yaml, a sandbox of its own, builds of a
// small web app, and users who send requests to it. Closing it leaves nothing.
package workshop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Workshop is one such place. It is not safe for use by several goroutines.
type Workshop struct {
	// Dir is where slipway is run: it holds slipway.yaml, and the binary "hello"
	// that is to be released.
	Dir string
	// Slipway is the path of the binary.
	Slipway string

	top, home string
	// bin is where the builds are.
	bin     string
	environ []string
}

// Open makes a workshop in a temporary folder and builds slipway there. The
// builds and commands run in the given environment, less what would tell
// slipway that it is on a GitHub runner: nothing in a workshop is for GitHub.
func Open(ctx context.Context, environ []string) (*Workshop, error) {
	top, err := os.MkdirTemp("", "slipway-")
	if err != nil {
		return nil, err
	}
	w := within(top, filepath.Join(top, "bin"), slices.DeleteFunc(slices.Clone(environ), ofRunner))
	if err := errors.Join(os.Mkdir(w.Dir, 0o755), w.build(ctx, w.Slipway, "cmd/slipway", "")); err != nil {
		return nil, errors.Join(err, w.Close())
	}
	return w, nil
}

// Beside opens a workshop that has the same builds, and a folder and a sandbox of
// its own, so that both can work at once. It is closed before this one is; no
// other has its name.
func (w *Workshop) Beside(name string) (*Workshop, error) {
	other := within(filepath.Join(w.top, name), w.bin, w.environ)
	return other, os.MkdirAll(other.Dir, 0o755)
}

// within lays out a workshop in a folder.
func within(top, bin string, environ []string) *Workshop {
	home := filepath.Join(top, "home")
	return &Workshop{
		Dir: filepath.Join(top, "app"), Slipway: filepath.Join(bin, "slipway"),
		top: top, home: home, bin: bin,
		environ: append(slices.DeleteFunc(slices.Clone(environ), ofSandbox), sandboxHome+home),
	}
}

const sandboxHome = "SLIPWAY_HOME="

// ofSandbox reports whether a variable names a sandbox.
func ofSandbox(variable string) bool { return strings.HasPrefix(variable, sandboxHome) }

// ofRunner reports whether a variable is set by a GitHub runner.
func ofRunner(variable string) bool {
	return slices.ContainsFunc([]string{"GITHUB_", "RUNNER_", "ACTIONS_", "INPUT_"}, func(prefix string) bool {
		return strings.HasPrefix(variable, prefix)
	})
}

// Configure writes slipway.yaml.
func (w *Workshop) Configure(yaml string) error {
	return os.WriteFile(filepath.Join(w.Dir, "slipway.yaml"), []byte(yaml), 0o644)
}

// Set adds a variable to the environment of the commands, such as HTTP_PROXY=….
func (w *Workshop) Set(variable string) { w.environ = append(w.environ, variable) }

// closeLimit bounds the time for the sandbox to end.
const closeLimit = 45 * time.Second

// Close ends the sandbox and removes everything. It has its own time, because
// it is called when all else was interrupted, too.
func (w *Workshop) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeLimit)
	defer cancel()
	if _, err := os.Stat(w.home); err == nil {
		r, err := w.Run(ctx, nil, "sandbox", "down")
		if err == nil {
			err = r.Exits(0)
		}
		if err != nil {
			return fmt.Errorf("end the sandbox, which is left in %s: %w", w.home, err)
		}
	}
	return os.RemoveAll(w.top)
}
