package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// tools are the programs that are measured, by the name of the tool.
type tools struct {
	programs map[string]string
	// registry is docker-registry.
	registry string
	// driver is how buildah stores images here.
	driver string
	// missing says what there is not, and how it is had.
	missing []string
	// clean removes what the tools leave outside of the bench's folder.
	clean func() error
}

// has reports whether a tool is there.
func (t tools) has(tool string) bool { return t.programs[tool] != "" }

// wanted are the tools that slipway is compared with, and where they come from.
var wanted = []struct{ tool, hint string }{
	{crane, "go install github.com/google/go-containerregistry/cmd/crane@v0.20.6"},
	{regctl, "go install github.com/regclient/regclient/cmd/regctl@v0.11.1"},
	{buildah, "apt-get install buildah"},
}

// find looks for all of them, and builds slipway.
func (b *bench) find(ctx context.Context) (t tools, err error) {
	t = tools{programs: map[string]string{}, clean: func() error { return nil }}
	if t.registry, err = exec.LookPath("docker-registry"); err != nil {
		return t, errors.New("docker-registry is missing, and nothing can be measured without: apt-get install docker-registry")
	}
	for _, w := range wanted {
		if t.programs[w.tool], err = exec.LookPath(w.tool); err != nil {
			t.lacks("%s is missing: %s", w.tool, w.hint)
		}
	}
	b.findDocker(ctx, &t)
	if t.has(buildah) {
		b.findDriver(ctx, &t)
	}
	for _, missing := range t.missing {
		b.say("%s", missing)
	}
	b.say("building slipway")
	t.programs[own] = b.path("slipway")
	_, err = b.command(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", t.programs[own], "./cmd/slipway")
	return t, err
}

func (t *tools) lacks(format string, args ...any) {
	t.missing = append(t.missing, fmt.Sprintf(format, args...))
}

// findDocker tries the clients that there are: a newer one builds with BuildKit
// only where it has a plug-in, an older one does by itself.
func (b *bench) findDocker(ctx context.Context, t *tools) {
	context := b.path("probe")
	if err := errors.Join(os.MkdirAll(context, 0o755), os.WriteFile(filepath.Join(context, "Dockerfile"), []byte("FROM scratch\nCOPY Dockerfile /\n"), 0o644)); err != nil {
		t.lacks("docker cannot be tried: %v", err)
		return
	}
	var said []string
	for _, client := range []string{"docker", "/usr/bin/docker"} {
		program, err := exec.LookPath(client)
		if err != nil {
			continue
		}
		const image = "slipway-bench:probe"
		if _, err = b.command(ctx, program, "build", "-q", "-t", image, context); err == nil {
			t.programs[docker] = program
			t.clean = func() error { return b.dockerClean(program, image) }
			return
		}
		said = append(said, fmt.Sprintf("%s: %v", program, err))
	}
	t.lacks("docker is missing, or builds nothing with BuildKit (apt-get install docker.io, start dockerd, DOCKER_HOST): %s",
		strings.Join(strings.Fields(strings.Join(said, "; ")), " "))
}

func (b *bench) dockerClean(program string, images ...string) error {
	_, err := b.command(context.Background(), program, append([]string{"image", "rm", "--force"}, images...)...)
	return err
}

// findDriver chooses the faster way to store images of those that work here.
func (b *bench) findDriver(ctx context.Context, t *tools) {
	var err error
	for _, t.driver = range []string{"overlay", "vfs"} {
		home := b.path("buildah-probe-" + t.driver)
		if _, err = b.command(ctx, t.programs[buildah], buildahIn(home, t.driver, "from", "--name", "probe", "scratch")...); err == nil {
			if _, err = b.command(ctx, t.programs[buildah], buildahIn(home, t.driver, "mount", "probe")...); err == nil {
				_, _ = b.command(ctx, t.programs[buildah], buildahIn(home, t.driver, "umount", "probe")...)
				return
			}
		}
	}
	t.programs[buildah] = ""
	t.lacks("buildah does not work here: %v", err)
}

// buildahIn are the arguments for a store of its own.
func buildahIn(home, driver string, args ...string) []string {
	return append([]string{"--root", home + "/root", "--runroot", home + "/run", "--storage-driver", driver}, args...)
}

// used is what a command that has ended took.
type used struct {
	time time.Duration
	// memory is the most that it held at a time, in bytes.
	memory int64
}

// command runs a program to its end, in an environment without anything that is
// remembered from elsewhere.
func (b *bench) command(ctx context.Context, program string, args ...string) (used, error) {
	return b.commandIn(ctx, "", program, args...)
}

func (b *bench) commandIn(ctx context.Context, dir, program string, args ...string) (used, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	home := b.path("home")
	if filepath.Base(program) != "go" {
		cmd.Env = append(os.Environ(), "HOME="+home, "XDG_CONFIG_HOME="+home, "SLIPWAY_HOME="+home, "DOCKER_BUILDKIT=1")
	}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	began := time.Now()
	if err := cmd.Start(); err != nil {
		return used{}, err
	}
	watched := watch(cmd.Process.Pid)
	err := cmd.Wait()
	u := used{time: time.Since(began), memory: watched()}
	if err != nil {
		return u, fmt.Errorf("%s %s: %w: %s", filepath.Base(program), strings.Join(args, " "), err, tail(said.String()))
	}
	return u, nil
}

// watch looks at the most memory that a process has held, ten times a second,
// until it is asked for it. What the system says at the end of a process is no
// use: it includes what its parent had when it was started.
func watch(pid int) (most func() int64) {
	asked, found := make(chan struct{}), make(chan int64)
	go func() {
		var most int64
		for {
			most = max(most, highWater(pid))
			select {
			case <-asked:
				found <- most
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	return func() int64 {
		close(asked)
		return <-found
	}
}

// highWater is the most that a process has held so far, in bytes; zero when it
// is gone.
func highWater(pid int) int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	var kilobytes int64
	if _, after, ok := strings.Cut(string(status), "VmHWM:"); ok {
		_, _ = fmt.Sscan(after, &kilobytes) // it says zero otherwise
	}
	return kilobytes << 10
}

// tail is the end of what a program said.
func tail(said string) string {
	said = strings.TrimSpace(said)
	return said[max(0, len(said)-600):]
}
