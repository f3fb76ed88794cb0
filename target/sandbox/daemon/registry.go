package daemon

import (
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/sandbox/ociregistry"
	"github.com/slipway-ci/slipway/target/sandbox/wire"
)

// registry is the sandbox's own registry. Its port stays the same, unless
// another program takes it while the sandbox is down; revisions that were made
// before then find it all the same.
type registry struct {
	front *front
	// ports that it has had, the current one last.
	Ports []int `json:"ports"`
}

// openRegistry serves the registry on the port that it had.
func openRegistry(home wire.Home, p *ports, log *slog.Logger) (*registry, error) {
	handler, err := ociregistry.New(home.Dir("registry"), log)
	if err != nil {
		return nil, fmt.Errorf("open the registry: %w", err)
	}
	r, path := &registry{}, home.Dir("registry.json")
	if _, err := readJSON(path, r); err != nil {
		return nil, deploy.Hinted(err, "restore the file; or remove it, and the registry is at another port, where revisions from before are not looked for")
	}
	l, port, err := r.listen(p, log)
	if err != nil {
		return nil, fmt.Errorf("open the registry: %w", err)
	}
	if err := r.remember(port, path); err != nil {
		_ = l.Close()
		return nil, err
	}
	r.front = newFront(l, handler, log)
	return r, nil
}

// remember notes the port. One that it had needs no room on a disk that may
// be full.
func (r *registry) remember(port int, path string) error {
	if len(r.Ports) > 0 && r.Ports[len(r.Ports)-1] == port {
		return nil
	}
	r.Ports = append(slices.DeleteFunc(r.Ports, func(old int) bool { return old == port }), port)
	return writeJSON(path, r, replace)
}

// listen opens the last port, or another where that is taken.
func (r *registry) listen(p *ports, log *slog.Logger) (net.Listener, int, error) {
	if len(r.Ports) > 0 {
		port := r.Ports[len(r.Ports)-1]
		p.reserve(port)
		l, err := listenOn(port)
		if err == nil {
			return l, port, nil
		}
		log.Warn("another program uses the registry's port; it moves", "port", port, "error", err)
	}
	return p.listen()
}

// address is "127.0.0.1:PORT".
func (r *registry) address() string { return address(r.front.port) }

// resolve gives a repository where it is now, if it was pushed to this
// registry under an earlier port.
func (r *registry) resolve(repository string) string {
	host, path, found := strings.Cut(repository, "/")
	for _, port := range r.Ports {
		if found && host == address(port) {
			return r.address() + "/" + path
		}
	}
	return repository
}
