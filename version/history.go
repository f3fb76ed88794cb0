package version

import (
	"container/heap"
	"context"
	"fmt"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"github.com/slipway-ci/slipway/deploy"
)

const (
	// maxCommits bounds the walk, and with it time and memory.
	maxCommits = 250_000
	// slop is by how much clocks of committers may differ: a commit is looked
	// for among those up to this much older. Git itself allows a day.
	slop = int64(24 * time.Hour / time.Second)
)

// history is the graph of commits, read as far as needed and youngest first, so
// that the distance to a recent tag does not cost the whole of it.
type history struct {
	repo    *repository
	shallow map[plumbing.Hash]bool
	nodes   map[plumbing.Hash]*node
	// limit is how many commits are read at most.
	limit int
}

// node is one commit.
type node struct {
	hash    plumbing.Hash
	parents []plumbing.Hash
	// change is what its message says.
	change Change
	// when it was committed, in seconds since 1970.
	when int64
	// cut means that its parents are not in this clone.
	cut bool
	// reached says from where a walk came to it.
	reached reach
	queued  bool
}

// reach is a set of starting points.
type reach uint8

const (
	fromHead reach = 1 << iota
	fromBase
)

func (r *repository) history() (*history, error) {
	cuts, err := r.store.Shallow()
	if err != nil {
		return nil, fmt.Errorf("read where the history is cut: %w", err)
	}
	h := &history{repo: r, shallow: map[plumbing.Hash]bool{}, nodes: map[plumbing.Hash]*node{}, limit: maxCommits}
	for _, c := range cuts {
		h.shallow[c] = true
	}
	return h, nil
}

// node loads a commit once.
func (h *history) node(ctx context.Context, hash plumbing.Hash) (*node, error) {
	if n, ok := h.nodes[hash]; ok {
		return n, nil
	}
	if len(h.nodes) >= h.limit {
		return nil, deploy.Hinted(ErrTooLong, "tag a commit with a version such as v0.1.0, or give one: --version 1.4.2")
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("interrupted while walking the history: %w", err)
	}
	c, err := object.GetCommit(h.repo.store, hash)
	if err != nil {
		return nil, fmt.Errorf("commit %s: %w", hash, err)
	}
	n := &node{hash: hash, when: c.Committer.When.Unix(), parents: c.ParentHashes, change: ChangeOf(c.Message)}
	if h.shallow[hash] {
		n.parents, n.cut = nil, true
	}
	h.nodes[hash] = n
	return n, nil
}

// highest is the highest tag that the head or one of its ancestors has; its
// zero value if none has.
func (h *history) highest(ctx context.Context, head plumbing.Hash, tags []tag) (tag, error) {
	h.forget()
	w := h.walk()
	if err := w.reach(ctx, head, fromHead); err != nil {
		return tag{}, err
	}
	for _, t := range tags {
		found, err := w.finds(ctx, t.commit)
		if err != nil || found {
			return t, err
		}
	}
	return tag{}, nil
}

// forget makes ready for another walk.
func (h *history) forget() {
	for _, n := range h.nodes {
		n.reached, n.queued = 0, false
	}
}

// distance counts the commits that head has and base has not, all of head's
// where base is zero, and says which of them weighs most. It is ErrShallow where
// some of them are not here.
func (h *history) distance(ctx context.Context, head, base plumbing.Hash) (int, Change, error) {
	h.forget()
	w := h.walk()
	if err := w.reach(ctx, head, fromHead); err != nil {
		return 0, 0, err
	}
	if !base.IsZero() {
		if err := w.reach(ctx, base, fromBase); err != nil {
			return 0, 0, err
		}
	}
	for !w.settled() {
		if err := w.step(ctx); err != nil {
			return 0, 0, err
		}
	}
	return w.count()
}

// walk goes through the ancestors of what it is told to reach, youngest first.
type walk struct {
	*history
	queue queue
	// open is how many of the queue are reached from the head alone, oldest the
	// time of the oldest commit that ever was.
	open   int
	oldest int64
}

func (h *history) walk() *walk {
	return &walk{history: h, oldest: time.Now().Unix() + slop}
}

// reach notes from where a commit was reached, and queues it if that is new.
func (w *walk) reach(ctx context.Context, hash plumbing.Hash, from reach) error {
	n, err := w.node(ctx, hash)
	if err != nil {
		return err
	}
	if n.reached|from == n.reached {
		return nil
	}
	if n.queued && n.reached == fromHead {
		w.open--
	}
	n.reached |= from
	if n.reached == fromHead {
		w.oldest = min(w.oldest, n.when)
		w.open++
	}
	if !n.queued {
		n.queued = true
		heap.Push(&w.queue, n)
	}
	return nil
}

// step takes the youngest commit and reaches its parents.
func (w *walk) step(ctx context.Context) error {
	n := heap.Pop(&w.queue).(*node)
	n.queued = false
	if n.reached == fromHead {
		w.open--
	}
	for _, p := range n.parents {
		if err := w.reach(ctx, p, n.reached); err != nil {
			return err
		}
	}
	return nil
}

// finds walks until the commit is reached, or until everything left is too old
// to be its descendant.
func (w *walk) finds(ctx context.Context, hash plumbing.Hash) (bool, error) {
	target, err := w.node(ctx, hash)
	if err != nil {
		return false, err
	}
	for target.reached == 0 && len(w.queue) > 0 && w.queue[0].when+slop >= target.when {
		if err := w.step(ctx); err != nil {
			return false, err
		}
	}
	return target.reached != 0, nil
}

// settled means that walking on changes no answer: all that is left is reached
// from the base, and too old to be a descendant of what is not.
func (w *walk) settled() bool {
	return len(w.queue) == 0 || w.open == 0 && w.queue[0].when+slop < w.oldest
}

func (w *walk) count() (count int, change Change, err error) {
	for _, n := range w.nodes {
		if n.reached != fromHead {
			continue
		}
		if n.cut {
			return 0, 0, deploy.Hinted(ErrShallow,
				"check out the whole history with its tags (actions/checkout: fetch-depth: 0; by hand: "+
					"git fetch --unshallow --tags), or give the version: --version 1.4.2")
		}
		count++
		change = max(change, n.change)
	}
	return count, change, nil
}

// queue is a heap of commits, the youngest first.
type queue []*node

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].when > q[j].when }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push is for container/heap.
func (q *queue) Push(x any) { *q = append(*q, x.(*node)) }

// Pop is for container/heap.
func (q *queue) Pop() any {
	last := len(*q) - 1
	n := (*q)[last]
	*q = (*q)[:last]
	return n
}
