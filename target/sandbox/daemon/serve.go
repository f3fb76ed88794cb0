package daemon

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/sandbox/process"
	"github.com/slipway-ci/slipway/target/sandbox/wire"
)

// Config is what the background process needs to know.
type Config struct {
	// Home is the state folder, an absolute path. It is made where missing.
	Home string
	// Version is slipway's, for people.
	Version string
	// Log gets what happens; nil discards it.
	Log *slog.Logger
}

// Serve runs the sandbox of a state folder until ctx ends or a client asks it
// to end, and then ends all replicas. It is ready when its socket answers. It
// refuses to run twice in one folder, and where replicas cannot run.
func Serve(ctx context.Context, c Config) error {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	home := wire.Home(c.Home)
	lock, err := enter(home)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }()
	ctx, down := context.WithCancel(ctx)
	defer down()
	d, err := open(home, c, down)
	if err != nil {
		return err
	}
	defer d.close()
	if err := d.restore(); err != nil {
		return err
	}
	var house sync.WaitGroup
	house.Go(func() { d.keepHouse(ctx) })
	defer house.Wait()
	defer down() // before Wait, also when the socket fails
	return d.serve(ctx)
}

// enter makes the state folder, and takes it for this process alone.
func enter(home wire.Home) (*os.File, error) {
	if err := home.Check(); err != nil {
		return nil, err
	}
	if err := process.Supported(); err != nil {
		return nil, fmt.Errorf("start the sandbox: %w", err)
	}
	if err := os.MkdirAll(string(home), 0o700); err != nil {
		return nil, diskError(string(home), err)
	}
	lock, taken, err := wire.TryLock(home.LockFile())
	if err == nil && !taken {
		return nil, deploy.Hinted(fmt.Errorf("a sandbox runs already in %s", home), "slipway sandbox status shows it")
	}
	if err == nil {
		_ = wire.Sign(lock) // for people; a full disk may have no room for it
	}
	return lock, err
}

// open prepares everything but the environments.
func open(home wire.Home, c Config, down func()) (*daemon, error) {
	if err := removeLeftovers(string(home)); err != nil {
		return nil, fmt.Errorf("clean up: %w", err)
	}
	for _, name := range []string{"environments", "logs", "registry"} {
		if err := os.MkdirAll(home.Dir(name), 0o700); err != nil {
			return nil, diskError(home.Dir(name), err)
		}
	}
	d := &daemon{
		home: home, version: c.Version, began: time.Now(), log: c.Log, down: down,
		untidy: make(chan struct{}, 1), environments: map[key]*environment{}, broken: map[key]error{},
	}
	d.site = &site{
		store: store{dir: home.Dir("environments")}, ports: newPorts(), prober: newProber(),
		logs: home.Dir("logs"), log: c.Log, tidy: d.askToTidy,
	}
	var err error
	if d.images, err = newImages(home.Dir("images"), func(r string) string { return d.registry.resolve(r) }, c.Log); err != nil {
		return nil, err
	}
	d.registry, err = openRegistry(home, d.ports, c.Log)
	return d, err
}

// askToTidy wakes the janitor, who may be asked already.
func (d *daemon) askToTidy() {
	select {
	case d.untidy <- struct{}{}:
	default:
	}
}

// serve answers on the socket until ctx ends.
func (d *daemon) serve(ctx context.Context) error {
	l, err := listenSocket(d.home.Socket())
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: d.handler(), ReadHeaderTimeout: headerTimeout,
		ErrorLog: slog.NewLogLogger(d.log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	d.log.Info("the sandbox is up", "home", string(d.home), "registry", d.registry.address(), "isolation", process.Chosen(), "version", d.version)
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", d.home.Socket(), err)
	case <-ctx.Done():
	}
	d.log.Info("the sandbox goes down")
	// Requests under way get a moment; those that wait for replicas are cut.
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout/4)
	defer cancel()
	if server.Shutdown(limit) != nil {
		_ = server.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve %s: %w", d.home.Socket(), err)
	}
	return nil
}

// listenSocket opens the socket, in place of one that a killed process left.
func listenSocket(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("remove an old socket: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("open the socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("protect the socket: %w", err), l.Close())
	}
	return l, nil
}
