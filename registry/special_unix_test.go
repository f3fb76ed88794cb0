//go:build unix

package registry

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/slipway-ci/slipway/deploy"
)

func makePipe(t *testing.T, path string) {
	t.Helper()
	if err := unix.Mkfifo(path, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestSpecialFiles(t *testing.T) {
	for name, test := range map[string]struct {
		make func(t *testing.T, path string)
		says string
	}{
		"a named pipe": {makePipe, "is a named pipe, which an image cannot hold"},
		"a socket": {func(t *testing.T, path string) {
			t.Chdir(filepath.Dir(path)) // a socket's path is short
			l, err := net.Listen("unix", filepath.Base(path))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		}, "is a socket, which an image cannot hold"},
		"a device": {func(t *testing.T, path string) {
			if err := unix.Mknod(path, unix.S_IFCHR|0o644, int(unix.Mkdev(1, 3))); err != nil {
				t.Skipf("a device cannot be made here: %v", err)
			}
		}, "is a device, which an image cannot hold"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, filepath.Join(dir, "t/d/a"), "1")
			test.make(t, filepath.Join(dir, "t/d/x"))
			refused(t, dir, deploy.File{From: "t", To: "/x"}, `from "t/d/x" `+test.says, "leave it out")
			refused(t, dir, deploy.File{From: "t/d/x", To: "/x"}, `from "t/d/x" `+test.says, "leave it out")
		})
	}
}

// Whoever opens a named pipe to read waits for somebody who writes.
func TestFileBecomesAPipeWhileItIsPacked(t *testing.T) {
	changesBetween(t, func(t *testing.T, path string) {
		remove(t, path)
		makePipe(t, path)
	}, "www/a changed while it was being packed")
}

// unprivileged runs f as a user who may not read everything.
func unprivileged(t *testing.T, dir string, f func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		f()
		return
	}
	const nobody = 65534
	for _, path := range []string{filepath.Dir(dir), dir} { // made for root alone
		chmod(t, path, 0o755)
	}
	if err := syscall.Seteuid(nobody); err != nil {
		t.Skipf("cannot become another user: %v", err)
	}
	defer func() {
		if err := syscall.Seteuid(0); err != nil {
			t.Fatal(err)
		}
	}()
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the temporary folder is for root alone: %v", err)
	}
	f()
}

func TestUnreadable(t *testing.T) {
	for name, test := range map[string]struct {
		locked, from, says string
	}{
		"a file":             {"t/d/a", "t/d/a", `from "t/d/a" cannot be read`},
		"a file in a folder": {"t/d/a", "t", `from "t/d/a" cannot be read`},
		"a folder":           {"t/d", "t/d", `from "t/d" cannot be read`},
		"a folder on the way": {
			"t/d", "t/d/a", `from "t/d/a" cannot be read`,
		},
		"a folder in a folder": {"t/d", "t", `from "t/d" cannot be read`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := folderOf(t, map[string]string{"t/d/a": "1"})
			locked := filepath.Join(dir, test.locked)
			chmod(t, locked, 0)
			t.Cleanup(func() { chmod(t, locked, 0o755) })
			unprivileged(t, dir, func() {
				err := refused(t, dir, deploy.File{From: test.from, To: "/x"}, test.says, "let the user that runs Slipway read it")
				if !errors.Is(err, fs.ErrPermission) {
					t.Errorf("%v is not fs.ErrPermission", err)
				}
			})
		})
	}
}
