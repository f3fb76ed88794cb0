package wire

import (
	"fmt"
	"os"
	"strings"
)

// Sign writes into a lock file which process has it.
func Sign(lock *os.File) error {
	if err := lock.Truncate(0); err != nil {
		return fmt.Errorf("sign the lock: %w", err)
	}
	if _, err := lock.WriteAt(fmt.Appendln(nil, os.Getpid()), 0); err != nil {
		return fmt.Errorf("sign the lock: %w", err)
	}
	return nil
}

// Signed is the number of the process that has a lock file, "its process"
// where it is not known.
func Signed(path string) string {
	content, err := os.ReadFile(path)
	if pid := strings.TrimSpace(string(content)); err == nil && pid != "" {
		return pid
	}
	return "its process"
}
