package process

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

// ErrImage means that the image itself cannot be run as asked: its command is
// missing, not executable or for another machine. Starting it again is no use.
// The error that wraps it says what is wrong, and a hint what to do.
var ErrImage = errors.New("the image cannot be run")

// Spec says what to run.
type Spec struct {
	// ID becomes the host name in the replica, with Namespaces: 1 to 64 bytes.
	ID string
	// Root is a folder that Unpack made. It is mounted read-only, and any
	// number of replicas may share it. With Chroot each has a copy of hard
	// links in a hidden folder beside it.
	Root string
	// Argv is the command with its arguments. A command without a slash is
	// looked for in the PATH that Env names.
	Argv []string
	// Env is the complete environment, "NAME=value", PATH included.
	Env []string
	// Dir is the working directory in the image; empty means "/".
	Dir string
	// Log takes what the replica writes to stdout and stderr. Start does not
	// close it, so that it may outlive a restart. Nil discards all.
	Log *Log
	// Scratch bounds each of /tmp, /run and /var/tmp, in bytes; zero means
	// DefaultScratch. They are kept in memory. With Chroot they are on disk,
	// and nothing bounds them.
	Scratch int64
}

// DefaultScratch bounds each writable folder of a replica, in bytes.
const DefaultScratch = 256 << 20

// check finds what is wrong with a Spec before any process is made.
func (s Spec) check() error {
	switch {
	case s.ID == "" || len(s.ID) > 64 || strings.ContainsRune(s.ID, 0):
		return fmt.Errorf("the ID %q is not a host name of 1 to 64 bytes", s.ID)
	case !filepath.IsAbs(s.Root):
		return fmt.Errorf("the root %q is not an absolute path", s.Root)
	case len(s.Argv) == 0 || s.Argv[0] == "":
		return fmt.Errorf("%w: it has no command", ErrImage)
	case s.Scratch < 0:
		return fmt.Errorf("the scratch size %d is negative", s.Scratch)
	}
	for _, text := range append(append([]string{s.Dir}, s.Argv...), s.Env...) {
		if strings.ContainsRune(text, 0) { // the text may be a secret
			return errors.New("the command, its environment or its directory holds a zero byte")
		}
	}
	return nil
}

// Exit is how an app ended.
type Exit struct {
	// Code is 0 to 255, or -1 if a signal ended it.
	Code int
	// Signal is its name, such as SIGKILL; empty if the app exited by itself.
	Signal string
	// After is how long it ran.
	After time.Duration
}

// String reads "exited with code 1 after 0.2s" or "was killed by SIGSEGV after
// 3s".
func (e Exit) String() string {
	if e.Signal != "" {
		return fmt.Sprintf("was killed by %s after %s", e.Signal, span(e.After))
	}
	return fmt.Sprintf("exited with code %d after %s", e.Code, span(e.After))
}

// span prints a duration as precisely as people care about.
func span(d time.Duration) string {
	if d >= 10*time.Second {
		return d.Round(time.Second).String()
	}
	s := fmt.Sprintf("%.1f", d.Seconds())
	return strings.TrimSuffix(s, ".0") + "s"
}
