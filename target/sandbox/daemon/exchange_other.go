//go:build !linux

package daemon

import "os"

// exchange replaces the second file by the first.
func exchange(a, b string) error { return os.Rename(a, b) }
