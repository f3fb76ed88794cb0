package report

import (
	"context"
	"sync"

	"github.com/slipway-ci/slipway/deploy"
)

// worker owns the goroutine and the queue of one slow reporter.
type worker struct {
	reporter Slow
	done     chan struct{}
	wake     chan struct{}

	mu     sync.Mutex
	queue  []item
	ending bool
}

func newWorker(r Slow) *worker {
	return &worker{reporter: r, done: make(chan struct{}), wake: make(chan struct{}, 1)}
}

// put queues an item. An observation replaces one of the same stage that still
// waits. When the queue is full, what only shows progress is dropped; what
// happened is kept in any case.
func (w *worker) put(it item) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ending {
		return
	}
	if it.event.Kind == deploy.Observed && w.replace(it) {
		return
	}
	if len(w.queue) >= maxQueue && progress(it.event.Kind) {
		return
	}
	w.queue = append(w.queue, it)
	w.signal()
}

func (w *worker) replace(it item) bool {
	for i := len(w.queue) - 1; i >= 0; i-- {
		q := &w.queue[i].event
		if q.Environment != it.event.Environment {
			continue
		}
		if q.Kind != deploy.Observed {
			return false
		}
		*q = it.event
		return true
	}
	return false
}

// progress are the kinds that a report can do without.
func progress(k deploy.EventKind) bool {
	switch k {
	case deploy.Observed, deploy.TaskSaid, deploy.Notice, deploy.StepStarted, deploy.StepEnded:
		return true
	}
	return false
}

func (w *worker) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// finish lets the goroutine end once the queue is empty.
func (w *worker) finish() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ending = true
	w.signal()
}

func (w *worker) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.queue)
}

// take is the next item, and whether the end was reached.
func (w *worker) take() (it item, ok, end bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return item{}, false, w.ending
	}
	it, w.queue = w.queue[0], w.queue[1:]
	return it, true, false
}

// run reports until finish was called and the queue is empty, or ctx ends.
func (w *worker) run(ctx context.Context, failed func(context.Context, deploy.Reporter, error, bool)) {
	defer close(w.done)
	for ctx.Err() == nil {
		it, ok, end := w.take()
		switch {
		case ok:
			if err := guarded(func() error { return w.reporter.Report(ctx, it.event) }); err != nil && ctx.Err() == nil {
				failed(ctx, w.reporter, err, it.own)
			}
		case end:
			if err := guarded(func() error { return w.reporter.Flush(ctx) }); err != nil && ctx.Err() == nil {
				failed(ctx, w.reporter, err, false)
			}
			return
		default:
			w.wait(ctx)
		}
	}
}

// ended waits until the goroutine has ended, and reports whether it did within
// ctx.
func (w *worker) ended(ctx context.Context) bool {
	select {
	case <-w.done:
		return true
	case <-ctx.Done():
	}
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

func (w *worker) wait(ctx context.Context) {
	select {
	case <-w.wake:
	case <-ctx.Done():
	}
}
