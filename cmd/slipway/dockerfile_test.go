package main

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// testBase is an image in the Docker engine that has a shell and httpd.
const testBase = "slipway-test-base"

// TestDockerfileScripts runs the command line with a real builder: the one in
// the Docker engine.
func TestDockerfileScripts(t *testing.T) {
	needSandbox(t)
	needDocker(t)
	importBase(t)
	host := os.Getenv("DOCKER_HOST")
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "dockerfile"),
		Setup: func(env *testscript.Env) error {
			env.Setenv("DOCKER_HOST", host)
			return setStage(t, env, nil)
		},
		Cmds: scriptCommands(),
	})
}

// needDocker skips a test where no Docker engine answers, unless it has to.
func needDocker(t *testing.T) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "docker", "version").CombinedOutput(); err != nil {
		lackingBuilder(t, "no Docker engine answers: "+string(bytes.TrimSpace(out)))
	}
}

func lackingBuilder(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("SLIPWAY_REQUIRE_BUILDKIT") != "" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// importBase makes the base image of a busybox that needs no library.
func importBase(t *testing.T) {
	t.Helper()
	path, err := exec.LookPath("busybox")
	if err != nil {
		lackingBuilder(t, "there is no busybox in PATH (busybox-static)")
	}
	program, err := elf.Open(path)
	if err != nil {
		lackingBuilder(t, err.Error())
	}
	defer func() { _ = program.Close() }()
	if libraries, err := program.ImportedLibraries(); err == nil && len(libraries) > 0 {
		lackingBuilder(t, "busybox needs libraries (install busybox-static)")
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var rootfs bytes.Buffer
	w := tar.NewWriter(&rootfs)
	add := func(h *tar.Header, content []byte) {
		h.Size = int64(len(content))
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			t.Fatal(err)
		}
	}
	add(&tar.Header{Name: "bin/busybox", Mode: 0o755}, content)
	for _, name := range []string{"sh", "sed", "cat", "echo", "mkdir", "httpd"} {
		add(&tar.Header{Name: "bin/" + name, Typeflag: tar.TypeSymlink, Linkname: "busybox", Mode: 0o777}, nil)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "docker", "import", "-", testBase)
	cmd.Stdin = &rootfs
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("docker import: %v: %s", err, out)
	}
	t.Cleanup(func() { _ = exec.Command("docker", "rmi", "--force", testBase).Run() })
}
