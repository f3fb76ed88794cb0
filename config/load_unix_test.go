//go:build unix

package config_test

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/slipway-ci/slipway/config"
)

// TestLoadDoesNotWaitForAPipe would hang if it did.
func TestLoadDoesNotWaitForAPipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "slipway.yaml")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	refused(t, second(config.Load(path, rules())), "is not a file")
}
