package daemon

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/slipway-ci/slipway/deploy"
)

// turn is one Roll under way.
type turn struct {
	revision deploy.Revision
	live     *deploy.Revision
	batch    deploy.Batch
	// back is whether users leave the candidate: then its replicas are not
	// waited for.
	back bool
	// grown is whether live replicas had to be started.
	grown bool
	// moves tells whether another act moves traffic meanwhile.
	moves int
}

// roll brings about a batch: it moves what traffic it can, starts what is
// missing, moves the rest of the traffic, and ends what is too many.
func (e *environment) roll(ctx context.Context, port int, r deploy.Revision, values map[string]string, b deploy.Batch) error {
	if err := checkBatch(b); err != nil {
		return err
	}
	ctx, cancel := startTime(ctx, r)
	defer cancel()
	defer e.images.pin(r.Image.Digest)()
	if err := e.prepare(ctx, r, b.Candidate); err != nil {
		return err
	}
	t, err := e.rollBegin(port, r, values, b)
	if err != nil {
		return err
	}
	if err := e.awaitBatch(ctx, t); err != nil {
		return err
	}
	ended, err := e.rollEnd(t)
	if err != nil {
		return err
	}
	return e.awaitEnded(ctx, ended)
}

// checkBatch refuses numbers that contradict each other.
func checkBatch(b deploy.Batch) error {
	if b.Candidate < 0 || b.Live < 0 || b.Serving < 0 || b.Serving > b.Candidate || b.Serving > b.Total || b.Total < 1 {
		return fmt.Errorf("a batch of %d candidate replicas, %d of them serving, with %d live ones to a total of %d cannot be",
			b.Candidate, b.Serving, b.Live, b.Total)
	}
	return nil
}

// rollBegin moves the traffic that can be moved at once, and starts what is
// missing.
func (e *environment) rollBegin(port int, r deploy.Revision, values map[string]string, b deploy.Batch) (turn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.doc.isLive(r.ID) {
		return turn{}, fmt.Errorf("%s is live in %s already, so it cannot replace itself", r, e.key)
	}
	if err := e.admit(port, r, values); err != nil {
		return turn{}, err
	}
	t := turn{
		revision: r, live: e.doc.Live, batch: b,
		back:  e.doc.isCandidate(r.ID) && e.doc.Share > b.Share(),
		grown: e.doc.Live != nil && b.Live > len(e.replicas(e.doc.Live.ID)),
	}
	share, now := e.atOnce(r, b)
	if err := e.move(t.back, func(d *document) { t.intend(d, share, now) }); err != nil {
		return turn{}, err
	}
	t.moves = e.moves
	return t, e.fill(t)
}

// intend raises the numbers of replicas, and moves the traffic that can be
// moved at once; nil moves none.
func (t turn) intend(d *document, share deploy.Percent, now *serving) {
	if t.batch.Candidate > 0 {
		d.candidate(t.revision)
		d.wantAtLeast(t.revision, t.batch.Candidate)
	}
	if t.live != nil && t.batch.Live > 0 {
		d.wantAtLeast(*t.live, t.batch.Live)
	}
	if now != nil && d.isCandidate(t.revision.ID) {
		d.Share, d.Serving = share, now
	}
}

// fill starts what is missing, after the traffic has moved.
func (e *environment) fill(t turn) error {
	e.apply()
	if err := e.raise(t.revision.ID); err != nil {
		return err
	}
	if !t.grown {
		return nil
	}
	return e.raise(t.live.ID)
}

// atOnce is how traffic can be spread over what is ready now, on the way to
// the batch; nil when nothing is ready.
func (e *environment) atOnce(r deploy.Revision, b deploy.Batch) (deploy.Percent, *serving) {
	s := serving{Candidate: min(b.Serving, e.readyOf(r.ID))}
	if e.doc.Live != nil {
		s.Live = min(b.Total-s.Candidate, e.readyOf(e.doc.Live.ID))
	}
	if s.Candidate+s.Live == 0 {
		return 0, nil
	}
	return deploy.Percent(100 * float64(s.Candidate) / float64(s.Candidate+s.Live)), &s
}

// replicas are those of a revision that are not about to be ended.
func (e *environment) replicas(id string) []*replica {
	if run, runs := e.runs[id]; runs && !run.stopping {
		return run.staying()
	}
	return nil
}

// readyOf counts a revision's replicas that can serve.
func (e *environment) readyOf(id string) int {
	if run, runs := e.runs[id]; runs && !run.stopping {
		return len(run.ready())
	}
	return 0
}

// awaitBatch waits until the replicas of a batch can serve: the candidate's,
// unless users are leaving it, and those live ones that were just started. Old
// ones that are broken must not keep a new version from replacing them.
func (e *environment) awaitBatch(ctx context.Context, t turn) error {
	if !t.back {
		err := e.await(ctx, func() (bool, error) { return e.complete(t.revision, t.batch.Candidate) })
		if err != nil {
			return e.overdue(err, t.revision)
		}
	}
	if t.live == nil {
		return nil
	}
	err := e.await(ctx, func() (bool, error) { return e.proven(t) })
	return e.overdue(err, *t.live)
}

// proven reports whether every live replica has been ready, or an error once
// one that was just started never will be.
func (e *environment) proven(t turn) (bool, error) {
	if e.closed {
		return false, e.errClosed()
	}
	for _, x := range e.replicas(t.live.ID) {
		switch {
		case x.proven, x.doom != nil && !t.grown:
		case x.doom != nil:
			return false, x.doomed()
		default:
			return false, nil
		}
	}
	return true, nil
}

// rollEnd moves traffic to what the batch says and begins to end what is too
// many. It gives back the replicas that are being ended.
func (e *environment) rollEnd(t turn) ([]*replica, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.moves != t.moves {
		return nil, fmt.Errorf("another act has moved the traffic of %s while replicas were started", e.key)
	}
	if err := e.change(t.reach); err != nil {
		return nil, err
	}
	ended := e.retire(t.revision.ID, t.batch.Candidate)
	if t.live != nil {
		ended = append(ended, e.retire(t.live.ID, t.batch.Live)...)
	}
	e.apply()
	e.notify()
	e.background.Go(func() { e.dismiss(ended) })
	return ended, nil
}

// reach is what the document says when the batch is reached.
func (t turn) reach(d *document) {
	b := t.batch
	if d.isCandidate(t.revision.ID) {
		d.want(t.revision, b.Candidate)
		d.Share = b.Share()
		d.Serving = &serving{Candidate: b.Serving, Live: min(b.Live, b.Total-b.Serving)}
	}
	if t.live == nil {
		return
	}
	if _, runs := d.find(t.live.ID); runs {
		d.want(*t.live, b.Live)
	}
}

// retire takes the replicas of a revision that are too many out of its table.
func (e *environment) retire(id string, keep int) []*replica {
	run, runs := e.runs[id]
	if !runs {
		return nil
	}
	surplus := run.surplus(keep)
	for _, x := range surplus {
		x.retiring = true
	}
	return surplus
}

// dismiss drains and ends replicas that are in no table any more.
func (e *environment) dismiss(replicas []*replica) {
	var group sync.WaitGroup
	for _, x := range replicas {
		group.Go(func() {
			e.drain(x.run.revision, []string{x.name})
			x.cancel()
			<-x.done
			e.mu.Lock()
			defer e.mu.Unlock()
			x.run.replicas = x.run.filter(func(other *replica) bool { return other != x })
			e.notify()
		})
	}
	group.Wait()
}

// awaitEnded waits until replicas are gone.
func (e *environment) awaitEnded(ctx context.Context, replicas []*replica) error {
	err := e.await(ctx, func() (bool, error) {
		return !slices.ContainsFunc(replicas, func(x *replica) bool { return slices.Contains(x.run.replicas, x) }), nil
	})
	if err != nil {
		return fmt.Errorf("interrupted while requests to %d replicas finish: %w", len(replicas), err)
	}
	return nil
}
