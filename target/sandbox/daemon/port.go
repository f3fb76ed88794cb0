package daemon

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
	"syscall"

	"github.com/slipway-ci/slipway/deploy"
)

// Ports are chosen below the range from which systems take the ports of
// outgoing connections (32768 and up on Linux), so that none of the proxy's
// own connections can be in the way of a replica that is about to listen.
const (
	firstPort = 20000
	lastPort  = 32767
)

// ports gives out ports of the loopback interface, each to one user at a time.
type ports struct {
	mu    sync.Mutex
	taken map[int]bool
}

func newPorts() *ports { return &ports{taken: map[int]bool{}} }

// listen opens a listener on a port of its choice.
func (p *ports) listen() (net.Listener, int, error) {
	var last error
	for range 100 {
		port := firstPort + rand.IntN(lastPort-firstPort+1) //nolint:gosec // G404: a port is no secret
		if !p.reserve(port) {
			continue
		}
		l, err := listenOn(port)
		if err == nil {
			return l, port, nil
		}
		p.release(port)
		last = err
	}
	return nil, 0, fmt.Errorf("find a free port between %d and %d: %w", firstPort, lastPort, last)
}

// take finds a free port for a replica to listen on.
func (p *ports) take() (int, error) {
	l, port, err := p.listen()
	if err != nil {
		return 0, err
	}
	return port, l.Close()
}

// reserve keeps a port from being given out.
func (p *ports) reserve(port int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.taken[port] {
		return false
	}
	p.taken[port] = true
	return true
}

// release lets a port be given out again.
func (p *ports) release(port int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.taken, port)
}

// listenOn opens a listener on a port of the loopback interface.
func listenOn(port int) (*net.TCPListener, error) {
	return net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
}

// address is a port of the loopback interface.
func address(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// isTaken reports whether another program listens on a port.
func isTaken(port int) bool {
	l, err := listenOn(port)
	if err != nil {
		return true
	}
	return errors.Join(l.Close()) != nil
}

// listener opens the port of an environment's stable URL; 0 chooses one.
func (e *environment) listener(port int) (net.Listener, int, error) {
	if port == 0 {
		return e.ports.listen()
	}
	e.ports.reserve(port)
	l, err := listenOn(port)
	if errors.Is(err, syscall.EADDRINUSE) {
		err = errors.New("another program uses it")
	}
	if err != nil {
		return nil, 0, deploy.Hinted(fmt.Errorf("port %d of environment %s cannot be had: %w", port, e.key, err),
			"free the port, or set target: {sandbox: {port: N}} for the environment in slipway.yaml")
	}
	return l, port, nil
}
