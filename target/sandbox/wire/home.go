package wire

import (
	"path/filepath"

	"github.com/slipway-ci/slipway/deploy"
)

// socketLimit is what the kernel allows for the path of a unix socket, in
// bytes, less the byte that ends it.
const socketLimit = 107

// Home is the state folder of a sandbox, an absolute path.
type Home string

// Socket is where the background process answers.
func (h Home) Socket() string { return filepath.Join(string(h), "sandbox.sock") }

// LockFile is held by the background process as long as it lives.
func (h Home) LockFile() string { return filepath.Join(string(h), "lock") }

// StartFile is held by whoever is starting the background process.
func (h Home) StartFile() string { return filepath.Join(string(h), "start.lock") }

// LogFile is what the background process prints to.
func (h Home) LogFile() string { return filepath.Join(string(h), "daemon.log") }

// Dir is a folder below the state folder.
func (h Home) Dir(name string) string { return filepath.Join(string(h), name) }

// Check refuses a path that is not absolute, or too long to hold a socket.
func (h Home) Check() error {
	if !filepath.IsAbs(string(h)) {
		return deploy.Usage("set SLIPWAY_HOME to an absolute path", "the state folder %q is not an absolute path", string(h))
	}
	if n := len(h.Socket()); n > socketLimit {
		return deploy.Usage("set SLIPWAY_HOME to a shorter path",
			"the path of the sandbox's socket %s has %d bytes, and a socket allows %d", h.Socket(), n, socketLimit)
	}
	return nil
}
