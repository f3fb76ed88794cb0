package process

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/sys/unix"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/sandbox/process/containertest"
)

// The environment of a test binary that has another task than to test.
const (
	// envApp is where the app of the tests is built already.
	envApp = "PROCESS_TEST_APP"
	// envTask names one of tasks, envFolder is a folder for it.
	envTask   = "PROCESS_TEST_TASK"
	envFolder = "PROCESS_TEST_FOLDER"
	// envIsolation is the isolation that has to be chosen.
	envIsolation = "PROCESS_TEST_ISOLATION"
)

func TestMain(m *testing.M) {
	if IsChild() {
		Child()
	}
	if task, ok := tasks[os.Getenv(envTask)]; ok {
		if err := task(os.Getenv(envFolder)); err != nil {
			fmt.Printf("error: %v\nhint: %s\n", err, deploy.HintOf(err))
			os.Exit(1)
		}
		os.Exit(0)
	}
	if os.Getenv("GORACE") == "" {
		_ = os.Setenv("GORACE", "atexit_sleep_ms=0") // else each process takes a second more to end
	}
	code := m.Run()
	_ = os.RemoveAll(buildDir)
	os.Exit(code)
}

// tasks are what a test needs a process of its own for.
var tasks = map[string]func(folder string) error{
	"parent": beParent,
	"masked": beInContainer,
	"denied": beDenied,
	"full":   beFull,
	"secret": beSecretive,
	"inside": beTestsInContainer,
	"asked":  func(string) error { return Supported() },
	"noexec": beOnNoexec,
}

// task is this test binary with a task, in namespaces of its own if any are
// given.
func task(t testing.TB, name, folder string, namespaces uintptr) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), envTask+"="+name, envFolder+"="+folder)
	if namespaces != 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  namespaces | unix.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
	}
	return cmd
}

// beParent starts a replica, prints the process IDs of its family, and waits.
func beParent(root string) error {
	log, err := NewLog(root+".log", MinLog)
	if err != nil {
		return err
	}
	p, err := Start(context.Background(), Spec{ID: "orphan", Root: root, Argv: []string{"/app", "fork"}, Log: log})
	if err != nil {
		return err
	}
	for said := ""; strings.Count(said, "ignoring") < 3 || !strings.Contains(said, "forked"); time.Sleep(5 * time.Millisecond) {
		lines, err := log.Tail(10)
		if err != nil {
			return err
		}
		said = strings.Join(lines, " ")
	}
	pids, err := family(p.cmd.Process.Pid)
	if err != nil {
		return err
	}
	fmt.Println(strings.Trim(fmt.Sprint(pids), "[]"))
	select {}
}

// beTestsInContainer runs the tests of replicas as root of a container.
func beTestsInContainer(string) error {
	env := slices.DeleteFunc(os.Environ(), func(pair string) bool { return strings.HasPrefix(pair, envTask+"=") })
	argv := append([]string{os.Args[0]}, replicaTests...)
	return containertest.Exec("/proc/self/exe", argv, append(env, envIsolation+"="+string(Chroot)))
}

// beInContainer runs a replica where a part of /proc is covered, as the
// engines of containers do, so that the kernel lets no other be mounted.
func beInContainer(root string) error {
	if err := errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("proc", "/proc", "proc", 0, ""),
		unix.Mount("/dev/null", "/proc/timer_list", "", unix.MS_BIND, ""),
	); err != nil {
		return err
	}
	if err := Supported(); err != nil {
		return err
	}
	log, err := NewLog(root+".log", 1<<20)
	if err != nil {
		return err
	}
	p, err := Start(context.Background(), Spec{ID: "nested", Root: root, Argv: []string{"/app", "look"}, Log: log})
	if err != nil {
		return err
	}
	<-p.Done()
	lines, err := log.Tail(1000)
	fmt.Println(strings.Join(lines, "\n"))
	return err
}

// beDenied asks where no user namespace may be made.
func beDenied(string) error {
	if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
		return err
	}
	return Supported()
}

// beOnNoexec starts a replica of an image on a file system without programs.
func beOnNoexec(folder string) error {
	if err := errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("tiny", folder, "tmpfs", unix.MS_NOEXEC, ""),
	); err != nil {
		return err
	}
	root := filepath.Join(folder, "root")
	for _, name := range []string{"dev", "proc", "tmp", "run", "var/tmp"} {
		if err := os.MkdirAll(filepath.Join(root, name), 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(root, "app"), []byte("#!/app\n"), 0o755); err != nil {
		return err
	}
	p, err := Start(context.Background(), Spec{ID: "noexec", Root: root, Argv: []string{"/app"}})
	if err == nil {
		p.Stop(0)
	}
	return err
}

// beFull unpacks onto a disk that is too small.
func beFull(folder string) error {
	if err := errors.Join(
		unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
		unix.Mount("tiny", folder, "tmpfs", 0, "size=1m"),
	); err != nil {
		return err
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i := range 4 {
		_ = w.WriteHeader(&tar.Header{Name: fmt.Sprint("d/", i), Size: 1 << 20, Mode: 0o444})
		_, _ = w.Write(make([]byte, 1<<20))
	}
	_ = w.Close()
	img, err := mutate.AppendLayers(empty.Image, static.NewLayer(b.Bytes(), types.OCIUncompressedLayer))
	if err != nil {
		return err
	}
	err = Unpack(context.Background(), img, filepath.Join(folder, "root"))
	left, _ := os.ReadDir(folder)
	fmt.Println("left behind:", len(left))
	return err
}

// beSecretive starts a replica whose environment holds a secret, and prints
// what any user may read of every process below this one.
func beSecretive(root string) error {
	p, err := Start(context.Background(), Spec{
		ID: "secretive", Root: root, Argv: []string{"/app", "sleep"}, Env: []string{"KEY=hunter2"},
	})
	if err != nil {
		return err
	}
	defer p.Stop(0)
	init := p.cmd.Process.Pid
	for _, name := range []string{"cmdline", "environ"} {
		content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", init, name))
		fmt.Printf("%s: %q %v\n", name, content, err)
	}
	return nil
}

var buildDir string

// app is the path of testdata/app, built statically.
var app = sync.OnceValues(func() (string, error) {
	if built := os.Getenv(envApp); built != "" {
		return built, nil
	}
	dir, err := os.MkdirTemp("", "process-app-*")
	if err != nil {
		return "", err
	}
	buildDir = dir
	path := filepath.Join(dir, "app")
	cmd := exec.Command("go", "build", "-o", path, "./testdata/app")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the app: %w\n%s", err, out)
	}
	return path, nil
})

// appPath is the path of the built app on the host.
func appPath(t testing.TB) string {
	t.Helper()
	path, err := app()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// root unpacks an image that holds the app as /app, and the entries given.
func root(t testing.TB, more ...entry) string {
	t.Helper()
	content, err := os.ReadFile(appPath(t))
	if err != nil {
		t.Fatal(err)
	}
	entries := append([]entry{{name: "app", mode: 0o755, body: string(content)}}, more...)
	dir := filepath.Join(t.TempDir(), "root")
	if err := Unpack(context.Background(), image(t, layer(t, entries...)), dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// entry is one entry of a layer; its kind is a file unless set.
type entry struct {
	name string
	kind byte
	mode int64
	body string
	link string
}

// layer is an uncompressed layer of entries.
func layer(t testing.TB, entries ...entry) v1.Layer {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{
			Name: e.name, Typeflag: e.kind, Mode: e.mode, Linkname: e.link, Size: int64(len(e.body)),
			Format: tar.FormatPAX, ModTime: time.Unix(1700000000, 0),
		}
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.body); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return static.NewLayer(b.Bytes(), types.OCIUncompressedLayer)
}

// image is an image of layers, the lowest first.
func image(t testing.TB, layers ...v1.Layer) v1.Image {
	t.Helper()
	img, err := mutate.AppendLayers(empty.Image, layers...)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// run starts the app with arguments and sees to it that it ends with the test.
func run(t testing.TB, s Spec, args ...string) (*Process, *Log) {
	t.Helper()
	log, err := NewLog(filepath.Join(t.TempDir(), "log"), 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	if s.ID == "" {
		s.ID = "test-1"
	}
	if s.Argv == nil {
		s.Argv = append([]string{"/app"}, args...)
	}
	s.Log = log
	p, err := Start(context.Background(), s)
	if err != nil {
		lines, _ := log.Tail(20)
		t.Fatalf("%v\n%s", err, strings.Join(lines, "\n"))
	}
	t.Cleanup(func() { p.Stop(0) })
	return p, log
}

// ended waits for a process to end.
func ended(t testing.TB, p *Process) Exit {
	t.Helper()
	if !p.wait(20 * time.Second) {
		t.Fatal("timed out after 20s waiting for the app to end")
	}
	return p.Exit()
}

// awaitLine waits for a line in a log.
func awaitLine(t testing.TB, log *Log, want string) {
	t.Helper()
	eventually(t, "the line "+want, func() bool { return strings.Contains(text(t, log), want) })
}

func text(t testing.TB, log *Log) string {
	t.Helper()
	lines, err := log.Tail(10000)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n") + "\n"
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("timed out after 20s waiting for %s", what)
}
