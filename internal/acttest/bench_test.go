package acttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	// action is how workflows name ours; act takes this checkout in its place.
	action = "slipway-ci/slipway@v1"
	// imageName is what act calls the image that it builds of it.
	imageName  = "act-slipway-ci-slipway-v1-dockeraction:latest"
	runnerName = "slipway-test-runner:latest"
)

// root is the repository.
var root = filepath.Join("..", "..")

// bench is what all scenes have in common.
type bench struct {
	// act is its program, and source a copy of the repository as a runner
	// would have fetched it.
	act, source string
}

// Benches are set up once, by the first test that needs one.
var (
	setUp    sync.Once
	theBench bench
	missing  error // what cannot be had on this machine
	broken   error // what went wrong
)

// open sets the bench up. Where there is no engine or no act, it skips the
// test, or fails it where SLIPWAY_REQUIRE_DOCKER says that both have to be
// there.
func open(t testing.TB) *bench {
	t.Helper()
	setUp.Do(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
		defer cancel()
		var act string
		if act, missing = reachable(ctx); missing == nil {
			broken = theBench.set(ctx, act)
		}
		if missing == nil && broken == nil {
			broken = theBench.build(ctx, t)
		}
	})
	switch {
	case broken != nil:
		t.Fatal(broken)
	case missing != nil && os.Getenv("SLIPWAY_REQUIRE_DOCKER") != "":
		t.Fatalf("SLIPWAY_REQUIRE_DOCKER is set, and %v", missing)
	case missing != nil:
		t.Skipf("the action is not run in its container: %v", missing)
	}
	return &theBench
}

// reachable finds the engine and act.
func reachable(ctx context.Context) (act string, err error) {
	bounded, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if _, err := docker(bounded, nil, "version", "--format", "{{.Server.Version}}"); err != nil {
		return "", fmt.Errorf("there is no Docker engine (DOCKER_HOST says where): %w", err)
	}
	if act, err = exec.LookPath("act"); os.Getenv("ACT") != "" {
		act, err = exec.LookPath(os.Getenv("ACT"))
	}
	if err != nil {
		return "", fmt.Errorf("there is no act (the variable ACT names it; go install github.com/nektos/act at the version in .ci/run): %w", err)
	}
	return act, nil
}

func TestMain(m *testing.M) {
	code := m.Run()
	if theBench.source != "" {
		_ = os.RemoveAll(theBench.source)
	}
	os.Exit(code)
}

// set provides the images that the Dockerfile and the jobs are based on, and
// copies the repository.
func (b *bench) set(ctx context.Context, act string) error {
	goroot, err := goEnv("GOROOT")
	if err != nil {
		return err
	}
	modules, err := goEnv("GOMODCACHE")
	if err != nil {
		return err
	}
	bases, err := baseImages()
	if err != nil {
		return err
	}
	for _, name := range bases {
		image := shellImage(name)
		if strings.HasPrefix(name, "golang:") {
			image = goImage(name, goroot, modules, root)
		}
		if err := image.provide(ctx); err != nil {
			return err
		}
	}
	if err := runnerImage(runnerName).provide(ctx); err != nil {
		return err
	}
	b.act = act
	b.source, err = checkout()
	return err
}

func goEnv(name string) (string, error) {
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		return "", fmt.Errorf("go env %s: %w", name, err)
	}
	return strings.TrimSpace(string(out)), nil
}

// baseImages are those that the Dockerfile begins with.
func baseImages() ([]string, error) {
	content, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		return nil, err
	}
	var images []string
	for _, line := range lines(string(content)) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "FROM" {
			images = append(images, words[1])
		}
	}
	if len(images) != 2 {
		return nil, fmt.Errorf("the Dockerfile begins with %q: these tests know a toolchain and a busybox", images)
	}
	return images, nil
}

// checkout copies what git would have of the working tree.
func checkout() (string, error) {
	list := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = root
	out, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("list the files of the repository: %w", err)
	}
	to, err := os.MkdirTemp("", "slipway-checkout-")
	if err != nil {
		return "", err
	}
	for _, name := range bytes.Split(bytes.Trim(out, "\x00"), []byte{0}) {
		if err := copyFile(filepath.Join(to, string(name)), filepath.Join(root, string(name))); err != nil && !errors.Is(err, os.ErrNotExist) {
			return "", errors.Join(err, os.RemoveAll(to))
		}
	}
	return to, nil
}

func copyFile(to, from string) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	content, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	return os.WriteFile(to, content, info.Mode().Perm())
}

// build lets act build the action from its Dockerfile, as GitHub does when a
// job begins, in a run that has nothing else to do.
func (b *bench) build(ctx context.Context, t testing.TB) error {
	s := newScene(t, b, hello)
	o := pushed("feature", "0.0.0")(s)
	o.rebuild = true
	if r := s.act(o); !r.succeeded() {
		return fmt.Errorf("the action cannot be built or run: %w\n%s", r.exit, r)
	}
	return tidy(ctx)
}

// keep is how many builds of the action stay in the engine for the next one to
// begin with.
const keep = 2

// tidy removes what older builds of the action have left, where they began
// with a stand-in: each is a gigabyte. Builds that failed leave containers.
func tidy(ctx context.Context) error {
	if _, err := docker(ctx, nil, "container", "prune", "--force", "--filter", "label="+mark); err != nil {
		return err
	}
	out, err := docker(ctx, nil, "image", "ls", "--quiet", "--filter", "dangling=true", "--filter", "label="+mark)
	if err != nil {
		return err
	}
	old := slices.Compact(lines(out)) // newest first
	for _, image := range old[min(keep, len(old)):] {
		// One that a container still uses stays.
		_, _ = docker(ctx, nil, "image", "rm", image)
	}
	return nil
}
