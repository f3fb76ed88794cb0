package dockerfile_test

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/registry"
	"github.com/slipway-ci/slipway/registry/dockerfile"
)

// required says that nothing may be skipped, as in CI.
func required() bool { return os.Getenv("SLIPWAY_REQUIRE_BUILDKIT") != "" }

// lacking skips a test that needs what is not there.
func lacking(t *testing.T, what string) {
	t.Helper()
	if required() {
		t.Fatal(what)
	}
	t.Skip(what)
}

// real is a builder, with what it can do.
type real struct {
	name    string
	address string
	place   dockerfile.Place
	// layouts: it writes OCI images, for several platforms, and caches to a
	// registry.
	layouts bool
}

// commit is the time of what is built.
var commit = time.Date(2026, 3, 14, 15, 9, 26, 0, time.UTC)

// everyBuilder runs a test with a BuildKit of our own, and with the one in the
// Docker engine.
func everyBuilder(t *testing.T, test func(t *testing.T, b real)) {
	t.Helper()
	t.Run("buildkitd", func(t *testing.T) { test(t, buildkitd(t)) })
	t.Run("Docker", func(t *testing.T) { test(t, dockerEngine(t)) })
}

func dockerEngine(t *testing.T) real {
	t.Helper()
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		host = "unix:///var/run/docker.sock"
	}
	if out, err := exec.Command("docker", "version", "--format", "{{.Server.Version}}").CombinedOutput(); err != nil {
		lacking(t, "no Docker engine answers: "+string(bytes.TrimSpace(out)))
	}
	return real{name: "Docker", place: dockerfile.Place{Engine: host, Certificates: os.Getenv("DOCKER_CERT_PATH")}}
}

// daemon is the one buildkitd that all tests share.
var daemon struct {
	once    sync.Once
	address string
	why     string
	end     func()
}

func TestMain(m *testing.M) {
	code := m.Run()
	if daemon.end != nil {
		daemon.end()
	}
	os.Exit(code)
}

func buildkitd(t *testing.T) real {
	t.Helper()
	daemon.once.Do(startBuildkitd)
	if daemon.why != "" {
		lacking(t, daemon.why)
	}
	return real{name: "buildkitd", address: daemon.address, layouts: true, place: dockerfile.Place{Engine: "unix:///nowhere.sock"}}
}

func startBuildkitd() {
	program, err := exec.LookPath("buildkitd")
	if err != nil {
		daemon.why = "there is no buildkitd in PATH"
		return
	}
	if _, err := exec.LookPath("runc"); err != nil || os.Getuid() != 0 {
		daemon.why = "buildkitd needs runc, and root"
		return
	}
	dir, err := os.MkdirTemp("", "buildkitd-")
	if err != nil {
		daemon.why = err.Error()
		return
	}
	daemon.address = "unix://" + filepath.Join(dir, "sock")
	var said bytes.Buffer
	cmd := exec.Command(program, "--root", filepath.Join(dir, "root"), "--addr", daemon.address,
		"--containerd-worker=false", "--oci-worker=true", "--oci-worker-snapshotter=native", "--oci-worker-net=host", "--oci-cni-binary-dir="+dir)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		daemon.why = err.Error()
		return
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	daemon.end = func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
		_ = os.RemoveAll(dir)
	}
	for range 300 {
		if _, err := os.Stat(filepath.Join(dir, "sock")); err == nil {
			return
		}
		select {
		case <-ended:
			daemon.why = "buildkitd has ended: " + said.String()
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
	daemon.why = "buildkitd does not listen"
}

// shop is a registry with a base image that has a shell.
type shop struct {
	host, base string
}

func newShop(t *testing.T) shop {
	t.Helper()
	s := httptest.NewServer(ggcr.New(ggcr.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	host := strings.TrimPrefix(s.URL, "http://")
	dir := t.TempDir()
	if err := os.CopyFS(dir, busybox(t)); err != nil {
		t.Fatal(err)
	}
	c := &registry.Client{}
	packed, err := c.Pack(t.Context(), registry.Spec{
		Dir: dir, Created: commit.Add(-time.Hour),
		Build: deploy.Build{
			Files: []deploy.File{
				{From: "busybox", To: "/bin/busybox", Mode: 0o755}, {From: "busybox", To: "/bin/sh", Mode: 0o755},
			},
			Entrypoint: []string{"/bin/busybox"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = packed.Close() }()
	if _, _, err := c.Push(t.Context(), packed, host+"/base", "1"); err != nil {
		t.Fatal(err)
	}
	return shop{host: host, base: host + "/base:1"}
}

// busybox is a folder with a shell that needs no library.
func busybox(t *testing.T) *one {
	t.Helper()
	path, err := exec.LookPath("busybox")
	if err != nil {
		lacking(t, "there is no busybox in PATH (busybox-static)")
	}
	program, err := elf.Open(path)
	if err != nil {
		lacking(t, err.Error())
	}
	defer func() { _ = program.Close() }()
	if libraries, err := program.ImportedLibraries(); err == nil && len(libraries) > 0 {
		lacking(t, "busybox needs libraries (install busybox-static)")
	}
	return &one{path: path}
}

// folderOf writes files to a folder of their own.
func folderOf(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(content), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// told collects what is told of a build.
type told struct {
	mu     sync.Mutex
	events []deploy.Event
}

func (l *told) tell(e deploy.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

// text is all of it, as far as it could be read somewhere.
func (l *told) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprintf("%+v", l.events)
}

// ended are the steps that have ended so.
func (l *told) ended(state deploy.BuildState) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for _, e := range l.events {
		if e.Build != nil && e.Build.State == state {
			names = append(names, e.Message)
		}
	}
	return names
}

func (r real) spec(dir string) dockerfile.Spec {
	return dockerfile.Spec{
		Dockerfile: deploy.Dockerfile{Path: "Dockerfile", Context: ".", Builder: r.address},
		Dir:        dir, Created: commit, Version: "1.4.2", Revision: "1a2b3c4",
		Labels: map[string]string{"org.opencontainers.image.version": "1.4.2"},
	}
}

func (r real) build(ctx context.Context, t *testing.T, spec dockerfile.Spec) (*dockerfile.Image, *told, error) {
	t.Helper()
	var l told
	b := &dockerfile.Builders{Place: r.place}
	img, err := b.Build(ctx, spec, l.tell)
	if img != nil {
		t.Cleanup(func() {
			if err := img.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return img, &l, err
}

func (r real) built(t *testing.T, spec dockerfile.Spec) (v1.Image, *told) {
	t.Helper()
	img, l, err := r.build(t.Context(), t, spec)
	if err != nil {
		t.Fatalf("%v\n%s", err, l.text())
	}
	return img.Artifact().(v1.Image), l
}

// filesIn are the files of an image with their content.
func filesIn(t *testing.T, img v1.Image) map[string]string {
	t.Helper()
	content := mutate.Extract(img)
	defer func() { _ = content.Close() }()
	all := map[string]string{}
	for r := tar.NewReader(content); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.ModTime.After(commit) {
			t.Errorf("%s is of %v, after the commit", h.Name, h.ModTime)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		all[h.Name] = string(text)
	}
}

func TestBuildOfSeveralStages(t *testing.T) {
	everyBuilder(t, func(t *testing.T, b real) {
		s := newShop(t)
		dir := folderOf(t, map[string]string{
			"docker/Dockerfile": `ARG BASE
FROM ${BASE} AS build
ARG GREETING
ARG SLIPWAY_VERSION
COPY app/ /src/
RUN busybox cat /src/name.txt > /out.txt && echo "$GREETING $SLIPWAY_VERSION" >> /out.txt
FROM ${BASE} AS runtime
COPY --from=build /out.txt /out.txt
LABEL team=blue
ENTRYPOINT ["/bin/busybox", "cat", "/out.txt"]
FROM runtime AS debug
RUN echo debug > /debug.txt
`,
			"app/name.txt": "hello\n", "app/ignored.txt": "no", "big.bin": "no", ".dockerignore": "app/ignored.txt\n",
		})
		spec := b.spec(dir)
		spec.Path, spec.Target = "docker/Dockerfile", "runtime"
		spec.Args = map[string]string{"BASE": s.base, "GREETING": "good day"}
		img, l := b.built(t, spec)
		files := filesIn(t, img)
		if files["out.txt"] != "hello\ngood day 1.4.2\n" || files["debug.txt"] != "" {
			t.Errorf("out.txt is %q, debug.txt %q", files["out.txt"], files["debug.txt"])
		}
		config, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.Config.Labels["team"] != "blue" || config.Config.Labels["org.opencontainers.image.version"] != "1.4.2" {
			t.Errorf("labels %v", config.Config.Labels)
		}
		m, err := img.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		if m.Annotations["org.opencontainers.image.version"] != "1.4.2" {
			t.Errorf("annotations %v", m.Annotations)
		}
		// The engine may remember it from another run.
		if done := strings.Join(append(l.ended(deploy.BuildDone), l.ended(deploy.BuildCached)...), "\n"); !strings.Contains(done, "RUN busybox cat") || strings.Contains(done, "[internal]") {
			t.Errorf("told of: %s", done)
		}
		if !config.Created.Equal(commit) {
			t.Errorf("created %v", config.Created)
		}
		c := &registry.Client{}
		pushed, _, err := c.Push(t.Context(), img, s.host+"/acme/hello", "1.4.2")
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Verify(t.Context(), pushed); err != nil {
			t.Error(err)
		}
		runs(t, pushed, "hello\ngood day 1.4.2")
	})
}

// runs pulls an image by its digest and runs it with Docker.
func runs(t *testing.T, image deploy.Image, want string) {
	t.Helper()
	dockerEngine(t)
	out, err := exec.CommandContext(t.Context(), "docker", "run", "--rm", "--net=none", image.Reference()).CombinedOutput()
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", "-f", image.Reference()).Run() })
	if err != nil || !strings.HasSuffix(strings.TrimSpace(string(out)), want) {
		t.Errorf("docker run: %v: %s", err, out)
	}
}

func TestTheSameCommitIsTheSameImage(t *testing.T) {
	everyBuilder(t, func(t *testing.T, b real) {
		s := newShop(t)
		digest := func(umask os.FileMode) string {
			dir := folderOf(t, map[string]string{
				"Dockerfile": "FROM " + s.base + "\nCOPY . /app/\nRUN busybox date +%N > /dev/null; busybox mkdir /made; busybox touch /made/empty\n",
				"a/b.txt":    "b", "run.sh": "#!/bin/sh\n",
			})
			for name, mode := range map[string]os.FileMode{"a": 0o777, "a/b.txt": 0o666, "run.sh": 0o777, "Dockerfile": 0o666} {
				if err := os.Chmod(filepath.Join(dir, name), mode&^umask); err != nil {
					t.Fatal(err)
				}
			}
			b.forget(t)
			img, l := b.built(t, b.spec(dir))
			if cached := l.ended(deploy.BuildCached); len(cached) > 1 { // the base
				t.Errorf("nothing was built anew: %v", cached)
			}
			d, err := img.Digest()
			if err != nil {
				t.Fatal(err)
			}
			return d.String()
		}
		if first, second := digest(0o022), digest(0o077); first != second {
			t.Errorf("%s, then %s", first, second)
		}
	})
}

func TestSecretsStayOut(t *testing.T) {
	everyBuilder(t, func(t *testing.T, b real) {
		s := newShop(t)
		const token, key = "s3cr3t-t0ken-98765", "-----KEY-13579-----"
		dir := folderOf(t, map[string]string{
			"Dockerfile": "FROM " + s.base + `
RUN --mount=type=secret,id=NPM_TOKEN --mount=type=secret,id=my.key \
    test "$(busybox cat /run/secrets/NPM_TOKEN)" = ` + "\"$(echo " + "czNjcjN0LXQwa2VuLTk4NzY1" + ` | busybox base64 -d)" && \
    busybox wc -c < /run/secrets/my.key > /length
`, "key.pem": key, ".dockerignore": "key.pem\n",
		})
		spec := b.spec(dir)
		spec.Secrets, spec.SecretFiles = []string{"NPM_TOKEN"}, map[string]string{"my.key": "key.pem"}
		spec.Values = map[string]string{"NPM_TOKEN": token}
		img, l := b.built(t, spec)
		files := filesIn(t, img)
		if strings.TrimSpace(files["length"]) != fmt.Sprint(len(key)) {
			t.Errorf("the file was %q bytes long", files["length"])
		}
		config, err := img.RawConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		manifest, err := img.RawManifest()
		if err != nil {
			t.Fatal(err)
		}
		everything := string(config) + string(manifest) + l.text()
		for name, content := range files {
			everything += name + content
		}
		for _, secret := range []string{token, key} {
			if strings.Contains(everything, secret) {
				t.Errorf("%s is in the image or in what was told", secret)
			}
		}
	})
}

func TestFailingStep(t *testing.T) {
	everyBuilder(t, func(t *testing.T, b real) {
		s := newShop(t)
		dir := folderOf(t, map[string]string{"Dockerfile": "FROM " + s.base + `
RUN busybox true
RUN for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25; do echo line $i >&2; done; \
    echo "it is broken" >&2; exit 7
RUN busybox true
`})
		_, l, err := b.build(t.Context(), t, b.spec(dir))
		failed, ok := errors.AsType[*dockerfile.Failed](err)
		if !ok {
			t.Fatalf("got %v", err)
		}
		if failed.Line != 3 || failed.File != "Dockerfile" || failed.Reason != "exit code: 7" || !strings.Contains(failed.Step, "RUN for i") {
			t.Errorf("got %+v", failed)
		}
		if n := len(failed.Log); n != 20 || failed.Log[n-1] != "it is broken" || failed.Log[0] != "line 7" {
			t.Errorf("the log is %q", failed.Log)
		}
		if !strings.HasPrefix(err.Error(), "Dockerfile:3: ") || deploy.HintOf(err) == "" {
			t.Errorf("got %q, hint %q", err, deploy.HintOf(err))
		}
		if told := l.ended(deploy.BuildFailed); len(told) != 1 {
			t.Errorf("told of %q", told)
		}
	})
}

func TestDockerfileThatIsNone(t *testing.T) {
	everyBuilder(t, func(t *testing.T, b real) {
		s := newShop(t)
		for name, c := range map[string]struct{ content, says string }{
			"an unknown instruction": {"FROM " + s.base + "\nRUNN true\n", "unknown instruction"},
			"no file to copy":        {"FROM " + s.base + "\nCOPY nothing /\n", "nothing"},
			"no such base":           {"FROM " + s.host + "/nothing:1\n", "not found"},
			"empty":                  {"# nothing\n", "no"},
		} {
			t.Run(name, func(t *testing.T) {
				_, _, err := b.build(t.Context(), t, b.spec(folderOf(t, map[string]string{"Dockerfile": c.content})))
				if _, ok := errors.AsType[*dockerfile.Failed](err); !ok || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v", err)
				}
				t.Log(err)
			})
		}
	})
}

func TestCancelledBuild(t *testing.T) {
	everyBuilder(t, func(t *testing.T, b real) {
		s := newShop(t)
		dir := folderOf(t, map[string]string{"Dockerfile": "FROM " + s.base + "\nRUN echo it has begun; busybox sleep 600\n"})
		ctx, cancel := context.WithCancelCause(t.Context())
		why := errors.New("somebody pressed Ctrl-C")
		var began time.Time
		builders := &dockerfile.Builders{Place: b.place}
		_, err := builders.Build(ctx, b.spec(dir), func(e deploy.Event) {
			if e.Build != nil && strings.Contains(e.Build.Line, "it has begun") {
				began = time.Now()
				cancel(why)
			}
		})
		if !errors.Is(err, why) || !strings.Contains(err.Error(), "interrupted") {
			t.Errorf("got %v", err)
		}
		if began.IsZero() || time.Since(began) > time.Minute {
			t.Errorf("it went on for %v", time.Since(began))
		}
		t.Logf("it took %v", time.Since(began))
	})
}

func TestSeveralPlatforms(t *testing.T) {
	s := newShop(t)
	dir := folderOf(t, map[string]string{"Dockerfile": "FROM --platform=$BUILDPLATFORM " + s.base + ` AS build
ARG TARGETARCH
ARG TARGETVARIANT
RUN echo "$TARGETARCH$TARGETVARIANT" > /arch.txt
FROM scratch
COPY --from=build /arch.txt /
`})
	b := buildkitd(t)
	spec := b.spec(dir)
	spec.Platforms = []string{"linux/amd64", "linux/arm64", "linux/arm/v7"}
	img, l, err := b.build(t.Context(), t, spec)
	if err != nil {
		t.Fatalf("%v\n%s", err, l.text())
	}
	c := &registry.Client{}
	pushed, _, err := c.Push(t.Context(), img.Artifact(), s.host+"/acme/hello", "1.4.2")
	if err != nil {
		t.Fatal(err)
	}
	for platform, want := range map[string]string{"linux/amd64": "amd64\n", "linux/arm64": "arm64\n", "linux/arm/v7": "armv7\n"} {
		p, err := v1.ParsePlatform(platform)
		if err != nil {
			t.Fatal(err)
		}
		ref, err := name.ParseReference(pushed.Reference())
		if err != nil {
			t.Fatal(err)
		}
		one, err := remote.Image(ref, remote.WithPlatform(*p))
		if err != nil {
			t.Fatal(err)
		}
		if got := filesIn(t, one)["arch.txt"]; got != want {
			t.Errorf("%s has %q", platform, got)
		}
	}
	index := img.Artifact().(v1.ImageIndex)
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Manifests) != 3 || m.Annotations["org.opencontainers.image.version"] != "1.4.2" {
		t.Errorf("%d manifests, annotations %v", len(m.Manifests), m.Annotations)
	}
}

func TestSeveralPlatformsInDockerAreRefused(t *testing.T) {
	b := dockerEngine(t)
	spec := b.spec(folderOf(t, map[string]string{"Dockerfile": "FROM scratch\nCOPY Dockerfile /\n"}))
	spec.Platforms = []string{"linux/amd64", "linux/arm64"}
	if _, _, err := b.build(t.Context(), t, spec); !deploy.IsUsage(err) || !strings.Contains(deploy.HintOf(err), "setup-buildx-action") {
		t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
	}
}

func TestCacheInARegistry(t *testing.T) {
	s := newShop(t)
	b := buildkitd(t)
	dir := folderOf(t, map[string]string{"Dockerfile": "FROM " + s.base + " AS build\nRUN echo slow > /slow\nFROM " + s.base + "\nCOPY --from=build /slow /\n"})
	spec := b.spec(dir)
	spec.CacheTo = s.host + "/acme/hello:cache"
	b.built(t, spec)
	b.forget(t)
	_, l := b.built(t, spec)
	if cached := strings.Join(l.ended(deploy.BuildCached), "\n"); !strings.Contains(cached, "RUN echo slow") {
		t.Errorf("cached: %s\n%s", cached, l.text())
	}
	// From it, without writing to it.
	b.forget(t)
	spec.CacheFrom, spec.CacheTo = []string{s.host + "/acme/hello:cache"}, ""
	_, l = b.built(t, spec)
	if cached := strings.Join(l.ended(deploy.BuildCached), "\n"); !strings.Contains(cached, "RUN echo slow") {
		t.Errorf("cached: %s\n%s", cached, l.text())
	}
}

func TestCacheThatCannotBeWritten(t *testing.T) {
	s := newShop(t)
	b := buildkitd(t)
	spec := b.spec(folderOf(t, map[string]string{"Dockerfile": "FROM " + s.base + "\nRUN echo hello > /hello\n"}))
	spec.CacheTo = "127.0.0.1:1/acme/hello:cache"
	_, l := b.built(t, spec)
	var warned bool
	for _, e := range l.events {
		warned = warned || e.Kind == deploy.Warning
	}
	if !warned {
		t.Errorf("nothing was said: %s", l.text())
	}
}

func TestWhatDockerHasSaved(t *testing.T) {
	s, e := newShop(t), dockerEngine(t)
	dir := folderOf(t, map[string]string{"Dockerfile": "FROM " + s.base + "\nRUN echo saved > /out.txt\nENTRYPOINT [\"/bin/busybox\", \"cat\", \"/out.txt\"]\n"})
	// Docker's own client builds and saves it.
	archive := filepath.Join(t.TempDir(), "saved.tar")
	build := exec.CommandContext(t.Context(), "docker", "build", "--quiet", "--tag", "slipway-test-saved", dir)
	build.Env = append(os.Environ(), "DOCKER_BUILDKIT=0")
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", "--force", "slipway-test-saved").Run() })
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("docker build: %v: %s", err, out)
	}
	if out, err := exec.CommandContext(t.Context(), "docker", "save", "--output", archive, "slipway-test-saved").CombinedOutput(); err != nil {
		t.Fatalf("docker save: %v: %s", err, out)
	}
	id, err := exec.CommandContext(t.Context(), "docker", "inspect", "--format", "{{.Id}}", "slipway-test-saved").Output()
	if err != nil {
		t.Fatal(err)
	}
	stored, err := registry.Open(t.Context(), archive, []string{"linux/" + runtime.GOARCH})
	if err != nil {
		t.Fatalf("of %s: %v", e.name, err)
	}
	defer func() { _ = stored.Close() }()
	config, err := stored.Artifact().(v1.Image).ConfigName()
	if err != nil {
		t.Fatal(err)
	}
	if config.String() != strings.TrimSpace(string(id)) {
		t.Errorf("the image ID is %s, and was %s", config, id)
	}
	pushed, _, err := (&registry.Client{}).Push(t.Context(), stored.Artifact(), s.host+"/acme/hello", "1.4.2")
	if err != nil {
		t.Fatal(err)
	}
	runs(t, pushed, "saved")
}
