package registry

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/slipway-ci/slipway/deploy"
)

func TestDiskFullOfTemporaryFiles(t *testing.T) {
	small := t.TempDir()
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=65536"); err != nil {
		t.Skipf("a small file system cannot be mounted here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(small, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	noise := make([]byte, 1<<20)
	_, _ = rand.Read(noise)
	write(t, filepath.Join(dir, "noise"), hex.EncodeToString(noise)) // becomes half of it
	p := pack(t, Spec{Dir: dir, Build: deploy.Build{Files: []deploy.File{{From: "noise", To: "/noise"}}}})

	t.Setenv("TMPDIR", small)
	_, err := p.Digest()
	if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "no space left on device") {
		t.Errorf("got %v", err)
	}
	if hint := deploy.HintOf(err); !strings.Contains(hint, "make room in "+small) || !strings.Contains(hint, "TMPDIR") {
		t.Errorf("hint %q", hint)
	}
	mustBeEmpty(t, small)
	var disk unix.Statfs_t
	if err := unix.Statfs(small, &disk); err != nil || disk.Bfree != disk.Blocks {
		t.Errorf("%d of %d blocks are free again: %v", disk.Bfree, disk.Blocks, err)
	}
}
