package daemon

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/target/sandbox/process"
	"github.com/slipway-ci/slipway/target/sandbox/wire"
)

// retry is how often what stood in the way is tried again: a port that another
// program has, a disk that cannot be written.
const retry = 2 * time.Second

// daemon is all environments of one state folder.
type daemon struct {
	*site
	home     wire.Home
	version  string
	began    time.Time
	registry *registry
	log      *slog.Logger
	// down ends the process.
	down func()
	// untidy asks the janitor to look.
	untidy chan struct{}

	mu           sync.Mutex
	environments map[key]*environment
	// broken are environments whose state cannot be read.
	broken map[key]error
	closed bool
}

// restore brings back every environment that is stored.
func (d *daemon) restore() error {
	keys, err := d.store.keys()
	if err != nil {
		return err
	}
	for _, k := range keys {
		doc, secrets, err := d.store.load(k)
		if err != nil {
			d.log.Error("restore", "environment", k.String(), "error", err)
			d.broken[k] = err
			continue
		}
		d.environments[k] = newEnvironment(d.site, k, doc, secrets)
	}
	for _, e := range d.environments { // all ports are known before any is chosen
		if e.doc.Port != 0 {
			d.ports.reserve(e.doc.Port)
		}
	}
	for _, e := range d.environments {
		e.restore()
	}
	return nil
}

// environment finds an environment; nil when there is none.
func (d *daemon) environment(k key) (*environment, error) {
	if err := k.check(); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.environments[k], d.broken[k]
}

// makeEnvironment finds an environment, or makes an empty one.
func (d *daemon) makeEnvironment(k key) (*environment, error) {
	e, err := d.environment(k)
	if e != nil || err != nil {
		return e, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, errors.New("the sandbox is going down")
	}
	if e := d.environments[k]; e != nil {
		return e, nil
	}
	e = newEnvironment(d.site, k, document{}, map[string]string{})
	d.environments[k] = e
	return e, nil
}

// remove ends all that runs in an environment and forgets it.
func (d *daemon) remove(k key) error {
	if err := k.check(); err != nil {
		return err
	}
	d.mu.Lock()
	e := d.environments[k]
	delete(d.environments, k)
	delete(d.broken, k)
	d.mu.Unlock()
	if e != nil {
		e.close()
		e.mu.Lock()
		d.ports.release(e.doc.Port)
		e.mu.Unlock()
	}
	err := errors.Join(d.store.remove(k), os.RemoveAll(k.dir(d.logs)))
	d.tidy()
	return err
}

// all are the environments in order.
func (d *daemon) all() []*environment {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.SortedFunc(maps.Values(d.environments), func(a, b *environment) int {
		return strings.Compare(a.key.String(), b.key.String())
	})
}

// keepHouse is the janitor: it removes what nobody needs any more when it is
// asked to, tries again what failed, and keeps the log short, until ctx ends.
func (d *daemon) keepHouse(ctx context.Context) {
	ticker := time.NewTicker(retry)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.untidy:
			d.prune()
		case <-ticker.C:
			for _, e := range d.all() {
				e.tryAgain()
			}
			turnOver(d.home.LogFile(), printLimit)
		}
	}
}

// prune removes images, logs and secrets that no environment needs. While the
// state of one cannot be read, nobody knows what it needs, and images stay.
func (d *daemon) prune() {
	inUse := map[string]bool{}
	for _, e := range d.all() {
		for _, digest := range e.forgetUnneeded() {
			inUse[digest] = true
		}
	}
	d.mu.Lock()
	blind := len(d.broken) > 0
	d.mu.Unlock()
	if !blind {
		d.images.prune(inUse)
	}
}

// hello introduces the process.
func (d *daemon) hello() wire.Hello {
	return wire.Hello{Protocol: wire.Protocol, Version: d.version, PID: os.Getpid(), Registry: d.registry.address(), Isolation: string(process.Chosen())}
}

// status is what the whole sandbox is doing.
func (d *daemon) status() wire.Status {
	s := wire.Status{
		Version: d.version, PID: os.Getpid(), Home: string(d.home), Registry: d.registry.address(), Isolation: string(process.Chosen()),
		Uptime: time.Since(d.began).Round(time.Millisecond), Memory: residentMemory(), Environments: []wire.Environment{},
	}
	for _, e := range d.all() {
		s.Environments = append(s.Environments, e.status())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for k, err := range d.broken {
		s.Environments = append(s.Environments, wire.Environment{App: k.app, Name: k.name, Problem: problem(err)})
	}
	return s
}

// close ends everything that runs.
func (d *daemon) close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	var group sync.WaitGroup
	for _, e := range d.all() {
		group.Go(e.close)
	}
	group.Wait()
	d.registry.front.close()
}
