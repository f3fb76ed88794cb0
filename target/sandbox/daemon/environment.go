package daemon

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/sandbox/proxy"
)

// site is what all environments of a sandbox share.
type site struct {
	store  store
	images *images
	ports  *ports
	prober *prober
	logs   string // folder
	log    *slog.Logger
	// tidy asks for what nobody needs any more to be removed, later.
	tidy func()
}

// environment is one environment of one app: its document, and what follows
// from it.
type environment struct {
	*site
	key    key
	log    *slog.Logger
	router *proxy.Router

	// mu guards all below. It is held while the document is written, never
	// while a replica is waited for.
	mu      sync.Mutex
	doc     document
	secrets map[string]string // by name@version
	runs    map[string]*run
	front   *front
	// trouble is why there is no front; unsaved is why the document is not on
	// disk as it is in memory.
	trouble, unsaved error
	// changed is closed, and replaced, whenever a replica or a run changes.
	changed chan struct{}
	// moves counts the acts that move traffic, so that one that has waited
	// sees whether another came in between.
	moves  int
	closed bool

	// background are the goroutines that end replicas.
	background sync.WaitGroup
}

// newEnvironment is an environment of which nothing runs yet.
func newEnvironment(s *site, k key, doc document, secrets map[string]string) *environment {
	doc.App, doc.Environment = k.app, k.name
	log := s.log.With("app", k.app, "environment", k.name)
	return &environment{
		site: s, key: k, log: log, doc: doc, secrets: secrets,
		router:  proxy.New(proxy.Options{Logger: s.log, App: k.app, Environment: k.name, Cookie: cookie(k)}),
		runs:    map[string]*run{},
		changed: make(chan struct{}),
	}
}

// cookie names the cookie that keeps a user's side. Browsers do not tell the
// ports of a host apart, so each environment has a name of its own.
func cookie(k key) string { return "slipway-" + k.app + "-" + k.name }

// restore starts what the document says, without waiting for it.
func (e *environment) restore() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.doc.Port != 0 {
		if err := e.open(e.doc.Port); err != nil {
			e.log.Error("the environment cannot be reached", "error", err, "hint", deploy.HintOf(err))
		}
	}
	for _, w := range e.doc.Runs {
		if err := e.scale(w); err != nil {
			e.log.Error("start again", "revision", w.Revision.String(), "error", err)
		}
	}
	e.apply()
}

// tryAgain does what another program or the disk stood in the way of.
func (e *environment) tryAgain() {
	e.mu.Lock()
	if e.trouble != nil && e.open(e.doc.Port) == nil {
		e.log.Info("the environment can be reached again", "url", e.front.url())
	}
	unsaved := e.unsaved != nil && !e.closed
	e.mu.Unlock()
	if unsaved {
		e.remember()
	}
}

// open makes sure that the environment has its stable URL, on the port asked
// for if there is one. The port is remembered.
func (e *environment) open(asked int) error {
	port := asked
	if port == 0 {
		port = e.doc.Port
	}
	if e.front != nil && (port == 0 || port == e.front.port) {
		return nil
	}
	err := e.listen(port)
	if e.front == nil {
		e.trouble = err
	}
	return err
}

// listen moves the environment to a port; 0 chooses one.
func (e *environment) listen(port int) error {
	l, port, err := e.listener(port)
	if err != nil {
		return err
	}
	if port != e.doc.Port {
		if err := e.update(func(d *document) { d.Port = port }); err != nil {
			_ = l.Close()
			return err
		}
	}
	old := e.front
	e.front, e.trouble = newFront(l, e.router, e.log), nil
	e.background.Go(old.close)
	return nil
}

// update changes the document: on disk first, then in memory. When it cannot
// be written, nothing has changed.
func (e *environment) update(change func(*document)) error {
	next := e.doc.clone()
	change(&next)
	if err := e.store.save(e.key, next); err != nil {
		return err
	}
	e.doc, e.unsaved = next, nil
	return nil
}

// remember writes the document as it is by now. Where that fails, the janitor
// tries again, and so does the next change.
func (e *environment) remember() {
	e.mu.Lock()
	defer e.mu.Unlock()
	before := e.unsaved
	e.unsaved = e.store.save(e.key, e.doc)
	switch {
	case e.unsaved != nil && before == nil:
		e.log.Error("users went back, and it cannot be written down", "error", e.unsaved)
	case e.unsaved == nil && before != nil:
		e.log.Info("it is written down that users went back")
	}
}

// learn keeps the values of a revision's secrets.
func (e *environment) learn(r deploy.Revision, values map[string]string) error {
	all, err := learn(e.key, e.secrets, r, values)
	if err != nil || maps.Equal(all, e.secrets) {
		return err
	}
	if err := e.store.saveSecrets(e.key, all); err != nil {
		return err
	}
	e.secrets = all
	return nil
}

// notify wakes everybody who waits for a change. mu is held.
func (e *environment) notify() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// await returns once the condition, called with mu held, is met or fails.
func (e *environment) await(ctx context.Context, condition func() (bool, error)) error {
	for {
		e.mu.Lock()
		met, err := condition()
		changed := e.changed
		e.mu.Unlock()
		if met || err != nil {
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// forgetUnneeded drops values of secrets and logs that nothing refers to any
// more, and tells which images are needed.
func (e *environment) forgetUnneeded() (images []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	revisions := e.doc.revisions()
	kept := needed(e.secrets, revisions)
	if len(kept) < len(e.secrets) && !e.closed {
		if err := e.store.saveSecrets(e.key, kept); err != nil {
			e.log.Warn("forget secrets", "error", err)
		} else {
			e.secrets = kept
		}
	}
	ids := map[string]bool{}
	for _, r := range revisions {
		ids[r.ID] = true
		images = append(images, r.Image.Digest)
	}
	pruneLogs(e.logDir(), ids, e.log)
	return images
}

// logDir is where the replicas' logs are.
func (e *environment) logDir() string { return e.key.dir(e.logs) }

// logPath is the log of a replica.
func (e *environment) logPath(revision, name string) string {
	return filepath.Join(e.logDir(), revision, name+".log")
}

// close ends everything that runs and keeps what is on disk.
func (e *environment) close() {
	e.mu.Lock()
	e.closed = true
	runs := maps.Clone(e.runs)
	old := e.front
	e.front = nil
	e.notify()
	e.mu.Unlock()

	old.close()
	e.router.Close()
	var group sync.WaitGroup
	for _, r := range runs {
		group.Go(r.end)
	}
	group.Wait()
	e.background.Wait()
}

// errClosed is what an act meets when the sandbox ends.
func (e *environment) errClosed() error {
	return fmt.Errorf("the sandbox of %s is going down", e.key)
}

// now is a moment as it is stored: without the parts that JSON loses.
func now() time.Time { return time.Now().Round(0) }
