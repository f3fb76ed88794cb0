package registry

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// absent skips a test that needs what is not here, or fails it where the
// variable says that it has to be.
func absent(t *testing.T, variable, format string, args ...any) {
	t.Helper()
	missing := fmt.Sprintf(format, args...)
	if os.Getenv(variable) != "" {
		t.Fatal(variable + " is set, and " + missing)
	}
	t.Skip(missing)
}

// said runs a command and gives what it prints.
func said(ctx context.Context, command ...string) (string, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, out)
	}
	return string(out), nil
}

// greeting is what the image below says.
const greeting = "hello from inside"

// pushRunnable pushes the image of a program that can be run.
func pushRunnable(t *testing.T, r *realRegistry) deploy.Image {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "main.go"), "package main\n\nfunc main() { println(\""+greeting+"\") }\n")
	write(t, filepath.Join(dir, "go.mod"), "module hello\n\ngo 1.26\n")
	build := exec.CommandContext(shortly(t), "go", "build", "-o", "hello", ".")
	build.Dir, build.Env = dir, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c := r.client()
	spec := Spec{Dir: dir, Build: deploy.Build{Files: []deploy.File{{From: "hello", To: "/hello"}, {From: "main.go", To: "/src/main.go"}}, Entrypoint: []string{"/hello"}}}
	image, _, err := c.Push(shortly(t), packWith(t, c, spec), r.host+"/acme/hello", "1.4.2")
	if err != nil {
		t.Fatal(err)
	}
	// What is copied runs as what was pushed does.
	copied, _, err := c.Copy(shortly(t), image, r.host+"/prod/hello")
	if err != nil {
		t.Fatal(err)
	}
	return copied
}

func TestDockerRunsIt(t *testing.T) {
	if _, err := said(shortly(t), "docker", "version", "--format", "{{.Server.Version}}"); err != nil {
		absent(t, "SLIPWAY_REQUIRE_DOCKER", "there is no Docker engine to pull and run images: DOCKER_HOST says where it is")
	}
	real(t, []string{"open"}, func(t *testing.T, r *realRegistry) {
		image := pushRunnable(t, r)
		if _, err := said(shortly(t), "docker", "pull", "--quiet", image.Reference()); err != nil {
			if strings.Contains(err.Error(), "connection refused") { // the loopback address of another machine
				absent(t, "SLIPWAY_REQUIRE_DOCKER", "the Docker engine runs elsewhere, and does not reach registries of this machine")
			}
			t.Fatal(err)
		}
		defer func() { _, _ = said(context.Background(), "docker", "rmi", image.Reference()) }()
		out, err := said(shortly(t), "docker", "run", "--rm", image.Reference())
		if err != nil || strings.TrimSpace(out) != greeting {
			t.Errorf("it said %q, %v", out, err)
		}
	})
}

func TestContainerdRunsIt(t *testing.T) {
	for _, program := range []string{"containerd", "ctr", "runc"} {
		if _, err := exec.LookPath(program); err != nil {
			absent(t, "SLIPWAY_REQUIRE_CONTAINERD", "there is no %s to pull and run images", program)
		}
	}
	if os.Getuid() != 0 {
		absent(t, "SLIPWAY_REQUIRE_CONTAINERD", "containerd runs for root alone")
	}
	socket := startContainerd(t)
	real(t, []string{"open"}, func(t *testing.T, r *realRegistry) {
		image := pushRunnable(t, r)
		if _, err := said(shortly(t), "ctr", "-a", socket, "images", "pull", "--snapshotter", "native", "--plain-http", image.Reference()); err != nil {
			t.Fatal(err)
		}
		id := fmt.Sprintf("hello-%d", time.Now().UnixNano())
		out, err := said(shortly(t), "ctr", "-a", socket, "run", "--rm", "--snapshotter", "native", image.Reference(), id)
		if err != nil || strings.TrimSpace(out) != greeting {
			t.Errorf("it said %q, %v", out, err)
		}
	})
}

// startContainerd starts one with folders of its own and gives its socket.
func startContainerd(t *testing.T) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "slipway") // a short name: sockets have no longer ones
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket = filepath.Join(dir, "c.sock")
	config := filepath.Join(dir, "config.toml")
	write(t, config, fmt.Sprintf("version = 2\nroot = %q\nstate = %q\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n[grpc]\naddress = %q\n",
		filepath.Join(dir, "root"), filepath.Join(dir, "state"), socket))
	var out output
	cmd := exec.Command("containerd", "--config", config)
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
	})
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if _, err := said(shortly(t), "ctr", "-a", socket, "version"); err == nil {
			return socket
		}
	}
	absent(t, "SLIPWAY_REQUIRE_CONTAINERD", "containerd does not start here: %s", strings.ReplaceAll(out.String(), "\n", "; "))
	return ""
}
