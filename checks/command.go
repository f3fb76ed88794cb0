package checks

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

const (
	// maxOutput is how much of an output is held, in bytes.
	maxOutput = 64 << 10
	// pipeDelay is how long output is awaited after the command has ended: a
	// child that it left behind may hold the pipe for ever.
	pipeDelay = 500 * time.Millisecond
)

// command runs a check's command. It passes by exit code 0. Whatever it leaves
// running in its process group is ended with it.
func (r *Runner) command(ctx context.Context, s Subject, c deploy.Check, timeout time.Duration) error {
	path, err := r.find(c.Run[0])
	if err != nil {
		return &hopeless{err}
	}
	output := &ring{size: maxOutput}
	cmd := exec.CommandContext(ctx, path)
	cmd.Args = c.Run
	cmd.Dir = r.Dir
	cmd.Env = r.environment(s)
	cmd.Stdout, cmd.Stderr = output, output
	cmd.WaitDelay = pipeDelay
	group(cmd)
	if err := cmd.Start(); err != nil {
		return &hopeless{fmt.Errorf("start %s: %s", c.Run[0], r.scrub(err.Error()))}
	}
	err = cmd.Wait()
	kill(cmd)
	switch {
	case ctx.Err() == nil && (err == nil || errors.Is(err, exec.ErrWaitDelay)):
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		err = fmt.Errorf("timed out after %s waiting for %s", timeout, c.Run[0])
	default:
		err = ended(c.Run[0], err)
	}
	return r.withOutput(err, output.String())
}

// environment is Env with what the version is.
func (r *Runner) environment(s Subject) []string {
	return append(r.Env[:len(r.Env):len(r.Env)],
		"URL="+s.URL, "VERSION="+s.Version, "ENVIRONMENT="+s.Environment)
}

// ended says how a command ended.
func ended(name string, err error) error {
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("%s: %w", name, err)
	}
	if code := exit.ExitCode(); code >= 0 {
		return fmt.Errorf("%s exited with code %d", name, code)
	}
	return fmt.Errorf("%s was ended by %s", name, exit.ProcessState)
}

// withOutput adds the last lines of the output.
func (r *Runner) withOutput(err error, output string) error {
	lines := tail(r.scrub(output))
	if len(lines) == 0 {
		return fmt.Errorf("%w, and printed nothing", err)
	}
	return fmt.Errorf("%w; its last lines:\n%s", err, strings.Join(lines, "\n"))
}

// find is the path of a command: as it is with a slash in it, otherwise in the
// PATH that the command gets.
func (r *Runner) find(name string) (string, error) {
	if strings.ContainsRune(name, '/') || filepath.Base(name) != name {
		return name, nil
	}
	for _, dir := range filepath.SplitList(r.variable("PATH")) {
		path := filepath.Join(dir, name)
		if filepath.IsAbs(path) && executable(path) {
			return path, nil
		}
	}
	if executable(filepath.Join(r.Dir, name)) {
		return "", fmt.Errorf("start %s: it is not in PATH; ./%s would be found", name, name)
	}
	return "", fmt.Errorf("start %s: there is no such command in PATH", name)
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}

// variable is the last value of a name in Env, as a command would see it.
func (r *Runner) variable(name string) string {
	value := ""
	for _, entry := range r.Env {
		if v, ok := strings.CutPrefix(entry, name+"="); ok {
			value = v
		}
	}
	return value
}
