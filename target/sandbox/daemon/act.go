package daemon

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// errTimeUp is the cause of a context that a revision's StartTimeout ended.
var errTimeUp = errors.New("the time to start is over")

// start runs a revision without traffic and waits until it can serve. What is
// not live takes up its part in the environment.
func (e *environment) start(ctx context.Context, port int, r deploy.Revision, values map[string]string, part func(*document, deploy.Revision)) error {
	ctx, cancel := startTime(ctx, r)
	defer cancel()
	defer e.images.pin(r.Image.Digest)()
	if err := e.prepare(ctx, r, r.Config.Replicas); err != nil {
		return err
	}
	if err := e.begin(port, r, values, part); err != nil {
		return err
	}
	err := e.await(ctx, func() (bool, error) { return e.complete(r, r.Config.Replicas) })
	return e.overdue(err, r)
}

// startBaseline runs the live revision once more.
func (e *environment) startBaseline(ctx context.Context, port int, r deploy.Revision, values map[string]string) error {
	e.mu.Lock()
	live := e.doc.Live
	e.mu.Unlock()
	switch {
	case live == nil:
		return fmt.Errorf("nothing is live in %s, so there is nothing to be a baseline", e.key)
	case !r.IsBaselineOf(*live):
		return fmt.Errorf("%s is live in %s, and %s is no baseline of that", live, e.key, r)
	}
	return e.start(ctx, port, r, values, (*document).baseline)
}

// startTime bounds a context by the revision's StartTimeout.
func startTime(ctx context.Context, r deploy.Revision) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, timeout(r), errTimeUp)
}

// timeout is the revision's StartTimeout.
func timeout(r deploy.Revision) time.Duration {
	if r.Config.StartTimeout <= 0 {
		return deploy.DefaultStartTimeout
	}
	return r.Config.StartTimeout
}

// prepare makes sure that replicas of a revision can be started: its image is
// here, and no earlier run of it is about to end.
func (e *environment) prepare(ctx context.Context, r deploy.Revision, replicas int) error {
	if replicas > 0 {
		if err := e.fetch(ctx, r); err != nil {
			return e.overdue(err, r)
		}
	}
	return e.overdue(e.awaitGone(ctx, r.ID), r)
}

// fetch brings the revision's image to this disk.
func (e *environment) fetch(ctx context.Context, r deploy.Revision) error {
	_, err := e.images.get(ctx, r.Image)
	if final, ok := errors.AsType[*unpullable](err); ok {
		return &deploy.Doomed{Revision: r, Evidence: deploy.Evidence{Reason: final.Error()}, Hint: "look at where the image was pushed to, and by which credentials it is pulled"}
	}
	// The registry's client says that a context ended, and not why.
	if cause := context.Cause(ctx); err != nil && cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", cause, err)
	}
	return err
}

// begin remembers that the revision is to run, and starts its replicas.
func (e *environment) begin(port int, r deploy.Revision, values map[string]string, part func(*document, deploy.Revision)) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.admit(port, r, values); err != nil {
		return err
	}
	if err := e.change(func(d *document) {
		d.wantAtLeast(r, r.Config.Replicas)
		if !d.isLive(r.ID) {
			part(d, r)
		}
	}); err != nil {
		return err
	}
	return e.raise(r.ID)
}

// awaitGone waits until a revision that is being stopped has ended.
func (e *environment) awaitGone(ctx context.Context, id string) error {
	return e.await(ctx, func() (bool, error) {
		r, runs := e.runs[id]
		return !runs || !r.stopping, nil
	})
}

// admit makes sure that a revision may run here beside what runs already. mu
// is held, as in all below.
func (e *environment) admit(port int, r deploy.Revision, values map[string]string) error {
	if e.closed {
		return e.errClosed()
	}
	if err := e.open(port); err != nil {
		return err
	}
	if d := e.doc; d.Share > 0 && d.Candidate != nil && !d.isCandidate(r.ID) && !d.isLive(r.ID) && !r.IsBaselineOf(e.doc.live()) {
		return deploy.Hinted(fmt.Errorf("%s already gives %s of its users to %s", e.key, d.Share, d.Candidate),
			"slipway settle --environment %s finishes that first", e.key.name)
	}
	return e.learn(r, values)
}

// candidate makes a revision the candidate.
func (d *document) candidate(r deploy.Revision) {
	if !d.isCandidate(r.ID) {
		d.Candidate, d.Share = &r, 0
		d.Serving = nil
		d.BaselineShare = 0
	}
}

// baseline makes a revision the baseline.
func (d *document) baseline(r deploy.Revision) {
	if !d.isBaseline(r.ID) {
		d.Baseline, d.BaselineShare = &r, 0
	}
}

// change updates the document, unless that would change nothing.
func (e *environment) change(f func(*document)) error {
	next := e.doc.clone()
	f(&next)
	if same(next, e.doc) {
		return nil
	}
	return e.update(f)
}

// raise starts what the document wants more of a revision, and gives those
// that were given up another chance.
func (e *environment) raise(id string) error {
	w, wanted := e.doc.find(id)
	if !wanted {
		return nil
	}
	err := e.scale(w)
	for _, x := range e.runs[id].staying() {
		x.again()
	}
	e.apply()
	e.notify()
	return err
}

// complete reports whether enough replicas of a revision can serve, or an
// error once that is out of the question.
func (e *environment) complete(r deploy.Revision, replicas int) (bool, error) {
	if e.closed {
		return false, e.errClosed()
	}
	if replicas == 0 {
		return true, nil
	}
	run, runs := e.runs[r.ID]
	if !runs || run.stopping {
		return false, fmt.Errorf("%s was stopped while it was being started", r)
	}
	if x := run.worst(); x != nil && x.doom != nil {
		return false, x.doomed()
	}
	return len(run.ready()) >= replicas, nil
}

// overdue turns the end of the time to start into what is known of the replica
// that fared worst.
func (e *environment) overdue(err error, r deploy.Revision) error {
	if !errors.Is(err, errTimeUp) {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	run, runs := e.runs[r.ID]
	if !runs || run.worst() == nil {
		return &deploy.Doomed{
			Revision: r, Hint: moreTime,
			Evidence: deploy.Evidence{Reason: fmt.Sprintf("was not started within %s: %s", timeout(r), err)},
		}
	}
	return run.worst().late()
}

// errNotStarted refuses traffic for what does not run.
func (e *environment) errNotStarted(r deploy.Revision) error {
	return fmt.Errorf("%s is not started in %s, so it can get no users", r, e.key)
}

// running finds a started revision.
func (e *environment) running(r deploy.Revision) (wanted, error) {
	run, runs := e.runs[r.ID]
	w, wanted := e.doc.find(r.ID)
	if e.closed {
		return w, e.errClosed()
	}
	if !runs || run.stopping || !wanted {
		return w, e.errNotStarted(r)
	}
	return w, nil
}

// makeLive gives a revision all users, and all of its replicas.
func (e *environment) makeLive(port int, r deploy.Revision) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	w, err := e.running(r)
	if err != nil {
		return err
	}
	if err := e.open(port); err != nil {
		return err
	}
	live := w.Revision
	back := e.doc.Record.Unfinished() && e.doc.Record.Previous.ID == live.ID
	if err := e.move(back, func(d *document) {
		if d.isCandidate(live.ID) {
			d.Candidate = nil
		}
		d.Live, d.Share, d.Serving = &live, 0, nil
		d.BaselineShare = 0
		d.wantAtLeast(live, live.Config.Replicas)
	}); err != nil {
		return err
	}
	if err := e.scale(wanted{live, live.Config.Replicas}); err != nil {
		e.log.Warn("start what is missing", "revision", live.String(), "error", err)
	}
	e.apply()
	e.notify()
	return nil
}

// split gives the candidate its share, and the baseline its own.
func (e *environment) split(port int, r deploy.Revision, share, baseline deploy.Percent) error {
	const hair = 1e-9 // thirds do not add up
	for _, p := range []deploy.Percent{share, baseline, share + baseline - hair} {
		if !(p >= -hair && p <= 100) {
			return deploy.Usage("use shares between 0% and 100%, together too", "%v is not a share of the users", float64(p))
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	w, err := e.running(r)
	switch {
	case err != nil:
		return err
	case e.doc.Live == nil:
		return fmt.Errorf("nothing is live in %s yet, so %s cannot share users with it", e.key, r)
	case e.doc.isLive(r.ID):
		return fmt.Errorf("%s is live in %s already, so it cannot get a share as candidate", r, e.key)
	case baseline > 0 && e.doc.Baseline == nil:
		return fmt.Errorf("no baseline is started in %s, so it can get no users", e.key)
	}
	if err := e.open(port); err != nil {
		return err
	}
	if err := e.move(share < e.doc.Share, func(d *document) {
		d.candidate(w.Revision)
		d.Share, d.Serving = share, nil
		d.BaselineShare = baseline
	}); err != nil {
		return err
	}
	e.notify()
	return nil
}

// move changes the document and puts the traffic in force that follows from it.
// On the way forward the disk comes first, so that nothing moves that would be
// forgotten. On the way back the users come first: they must not wait for a
// disk, slow or full. Should the process be killed in between, the journal is
// unfinished still, and settle moves them again.
func (e *environment) move(back bool, f func(*document)) error {
	if back {
		next := e.doc.clone()
		f(&next)
		e.doc = next
		e.background.Go(e.remember)
	} else if err := e.change(f); err != nil {
		return err
	}
	e.moves++
	e.apply()
	return nil
}

// stop takes a revision out of traffic, waits for what is under way, and
// removes it. Once begun it goes on when ctx ends.
func (e *environment) stop(ctx context.Context, r deploy.Revision) error {
	e.mu.Lock()
	run, runs := e.runs[r.ID]
	err := e.change(func(d *document) { d.drop(r.ID) })
	if err == nil && runs && !run.stopping && !e.closed {
		run.stopping = true
		e.moves++
		e.apply()
		e.notify()
		e.background.Go(func() { e.finish(run) })
	}
	e.mu.Unlock()
	if err != nil || !runs {
		return err
	}
	select {
	case <-run.gone:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("interrupted while requests to %s finish: %w", r, context.Cause(ctx))
	}
}

// finish drains and ends a run that is in no table any more.
func (e *environment) finish(r *run) {
	e.mu.Lock()
	ids := backendIDs(r.replicas)
	e.mu.Unlock()
	e.drain(r.revision, ids)
	r.end()
	e.mu.Lock()
	delete(e.runs, r.revision.ID)
	e.router.Forget(r.revision.ID)
	e.apply()
	close(r.gone)
	e.notify()
	e.mu.Unlock()
	e.tidy()
}

// drain waits for requests under way, as long as the revision allows.
func (e *environment) drain(r deploy.Revision, backends []string) {
	ctx, cancel := context.WithTimeout(context.Background(), r.Config.Drain)
	defer cancel()
	if err := e.router.Idle(ctx, backends); err != nil {
		e.log.Warn("drain", "revision", r.String(), "error", err)
	}
}

// backendIDs are the names by which the proxy knows replicas.
func backendIDs(replicas []*replica) []string {
	ids := make([]string, len(replicas))
	for i, x := range replicas {
		ids[i] = x.name
	}
	return ids
}
