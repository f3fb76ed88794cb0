package dockerfile_test

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/registry/dockerfile"
)

// nowhere is a Docker engine that is not there.
const nowhere = "unix:///nowhere/docker.sock"

// buildx writes the folder of buildx with one builder, in use for an engine.
func buildx(t *testing.T, engine, driver, nodeName, endpoint string) string {
	t.Helper()
	dir := t.TempDir()
	instance, err := json.Marshal(map[string]any{
		"Name": "mine", "Driver": driver, "Dynamic": false,
		"Nodes": []map[string]any{{"Name": nodeName, "Endpoint": endpoint, "Platforms": nil, "Flags": nil, "DriverOpts": nil, "Files": nil}},
	})
	if err != nil {
		t.Fatal(err)
	}
	current, err := json.Marshal(map[string]any{"Key": engine, "Name": "mine", "Global": false})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(
		os.MkdirAll(filepath.Join(dir, "instances"), 0o700),
		os.WriteFile(filepath.Join(dir, "instances", "mine"), instance, 0o600),
		os.WriteFile(filepath.Join(dir, "current"), current, 0o600),
	); err != nil {
		t.Fatal(err)
	}
	return dir
}

// nothing is a Dockerfile that needs no base.
func nothing(t *testing.T) dockerfile.Spec {
	t.Helper()
	return dockerfile.Spec{
		Dockerfile: deploy.Dockerfile{Path: "Dockerfile", Context: "."}, Created: commit,
		Dir: folderOf(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY hello.txt /\n", "hello.txt": "hello"}),
	}
}

// builtBy has something built, and says by what.
func builtBy(t *testing.T, place dockerfile.Place, address string) string {
	t.Helper()
	spec := nothing(t)
	spec.Builder = address
	img, l, err := real{place: place}.build(t.Context(), t, spec)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := img.Digest(); err != nil {
		t.Error(err)
	}
	for _, e := range l.events {
		if e.Kind == deploy.Notice {
			return e.Message
		}
	}
	return ""
}

func TestBuilderThatBuildxMade(t *testing.T) {
	b := buildkitd(t)
	// The address, and a Docker engine that is there, do not matter for it.
	got := builtBy(t, dockerfile.Place{Buildx: buildx(t, nowhere, "remote", "mine0", b.address), Engine: nowhere}, "")
	if got != "built by the builder mine of buildx" {
		t.Error(got)
	}
	// What is given comes first.
	got = builtBy(t, dockerfile.Place{Buildx: buildx(t, nowhere, "remote", "mine0", "unix:///nowhere"), Engine: nowhere}, b.address)
	if got != "built by "+b.address {
		t.Error(got)
	}
	// One that is in use for another engine is not in use for this one.
	place := dockerfile.Place{Buildx: buildx(t, "unix:///other.sock", "remote", "mine0", b.address), Engine: nowhere}
	if _, _, err := (real{place: place}).build(t.Context(), t, nothing(t)); err == nil || !strings.Contains(err.Error(), "there is no builder") {
		t.Errorf("got %v", err)
	}
	// Unless it is named.
	place.Named = "mine"
	if got = builtBy(t, place, ""); got != "built by the builder mine of buildx" {
		t.Error(got)
	}
}

// container runs a container of the name that passes on to buildkitd, as the
// one that buildx makes does.
func container(t *testing.T, name, socket string) {
	t.Helper()
	buildctl, err := exec.LookPath("buildctl")
	if err != nil {
		lacking(t, "there is no buildctl in PATH")
	}
	shell := busybox(t).path
	var rootfs bytes.Buffer
	w := tar.NewWriter(&rootfs)
	for at, path := range map[string]string{"bin/buildctl": buildctl, "bin/busybox": shell} {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.WriteHeader(&tar.Header{Name: at, Mode: 0o755, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	docker := func(stdin *bytes.Buffer, args ...string) {
		t.Helper()
		cmd := exec.Command("docker", args...)
		if stdin != nil {
			cmd.Stdin = stdin
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("docker %s: %v: %s", args[0], err, out)
		}
	}
	docker(&rootfs, "import", "-", "slipway-test-buildctl")
	t.Cleanup(func() {
		_ = exec.Command("docker", "rm", "--force", name).Run()
		_ = exec.Command("docker", "rmi", "--force", "slipway-test-buildctl").Run()
	})
	docker(nil, "create", "--name", name, "--net=none", "--volume", socket+":/run/buildkit/buildkitd.sock", "slipway-test-buildctl", "/bin/busybox", "sleep", "600")
}

func TestBuilderInAContainer(t *testing.T) {
	b, e := buildkitd(t), dockerEngine(t)
	const name = "buildx_buildkit_slipwaytest0"
	container(t, name, strings.TrimPrefix(b.address, "unix://"))
	// It does not run yet, and is started.
	if got := builtBy(t, e.place, "docker-container://"+name); got != "built by docker-container://"+name {
		t.Error(got)
	}
	// As buildx keeps it, and where the folder of buildx cannot be seen.
	place := e.place
	place.Buildx = buildx(t, e.place.Engine, "docker-container", "slipwaytest0", e.place.Engine)
	if got := builtBy(t, place, ""); got != "built by the builder mine of buildx" {
		t.Error(got)
	}
	if got := builtBy(t, e.place, ""); got != "built by the builder in the container "+name {
		t.Error(got)
	}
	if _, _, err := (real{place: e.place, address: "docker-container://nothing"}).build(t.Context(), t, real{address: "docker-container://nothing"}.spec(nothing(t).Dir)); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("got %v", err)
	}
}

func TestNoBuilder(t *testing.T) {
	for name, c := range map[string]struct {
		place   dockerfile.Place
		address string
		says    string
		hints   []string
	}{
		"none at all": {
			place: dockerfile.Place{Engine: nowhere, Buildx: t.TempDir()}, says: "there is no builder for the Dockerfile",
			hints: []string{"docker/setup-buildx-action", "DOCKER_HOST", "builder: tcp://"},
		},
		"given, and not there": {
			place: dockerfile.Place{Engine: nowhere}, address: "tcp://127.0.0.1:1", says: "build.builder tcp://127.0.0.1:1 does not answer",
			hints: []string{"leave builder out"},
		},
		"of buildx, and not there": {
			place: dockerfile.Place{Engine: nowhere, Buildx: buildx(t, nowhere, "docker-container", "mine0", nowhere)},
			says:  "the builder mine of buildx does not answer", hints: []string{"docker buildx create"},
		},
		"in a cluster": {
			place: dockerfile.Place{Engine: nowhere, Buildx: buildx(t, nowhere, "kubernetes", "mine0", "")},
			says:  "has the driver kubernetes", hints: []string{"driver: docker-container or remote"},
		},
		"named, and not there": {
			place: dockerfile.Place{Engine: nowhere, Buildx: t.TempDir(), Named: "other"}, says: "read the builder other of buildx",
		},
		"a name that leads elsewhere": {
			place: dockerfile.Place{Engine: nowhere, Buildx: t.TempDir(), Named: "../../etc/passwd"}, says: "is no name of a builder",
		},
		"an engine by SSH": {
			place: dockerfile.Place{Engine: "ssh://host"}, says: "cannot be built with by ssh://host", hints: []string{"ssh -L"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			spec := nothing(t)
			spec.Builder = c.address
			_, _, err := real{place: c.place}.build(t.Context(), t, spec)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("got %v", err)
			}
			for _, hint := range c.hints {
				if !strings.Contains(deploy.HintOf(err), hint) {
					t.Errorf("%q does not say %q", deploy.HintOf(err), hint)
				}
			}
		})
	}
}

func TestSpecsThatAreRefusedFirst(t *testing.T) {
	good := nothing(t)
	for name, c := range map[string]struct {
		change func(s *dockerfile.Spec)
		says   string
	}{
		"no Dockerfile":            {func(s *dockerfile.Spec) { s.Path = "Other" }, "there is no Other in"},
		"a folder as a Dockerfile": {func(s *dockerfile.Spec) { s.Path = "." }, ". is a folder"},
		"no context":               {func(s *dockerfile.Spec) { s.Context = "app" }, "there is no app in"},
		"a file as a context":      {func(s *dockerfile.Spec) { s.Context = "hello.txt" }, "is no folder"},
		"a secret without a value": {func(s *dockerfile.Spec) { s.Secrets = []string{"TOKEN"} }, "the secret TOKEN of the build has no value"},
		"a secret without a file":  {func(s *dockerfile.Spec) { s.SecretFiles = map[string]string{"key": "key.pem"} }, "build.secret-files.key"},
		"a folder as a secret":     {func(s *dockerfile.Spec) { s.SecretFiles = map[string]string{"key": "."} }, "is no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := good
			c.change(&spec)
			_, l, err := real{place: dockerfile.Place{Engine: nowhere}}.build(t.Context(), t, spec)
			if !deploy.IsUsage(err) || !strings.Contains(err.Error(), c.says) || deploy.HintOf(err) == "" {
				t.Errorf("got %v", err)
			}
			if len(l.events) > 0 {
				t.Errorf("told: %s", l.text())
			}
		})
	}
}
