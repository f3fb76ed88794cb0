package report

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// Flusher is a Reporter that has something left to write when the run is over.
type Flusher interface {
	deploy.Reporter
	// Flush writes it. It is called once, after the last event.
	Flush(ctx context.Context) error
}

// Slow is a Reporter that waits for somebody else, such as GitHub. The Hub
// gives it a goroutine and a queue of its own, so that a deployment does not
// wait with it.
type Slow interface {
	Flusher
	// Slow marks it.
	Slow()
}

const (
	// maxQueue is how many events wait for a slow reporter before those that
	// only show progress are dropped.
	maxQueue = 256
	// maxWarnings is how many different errors of one reporter are told.
	maxWarnings = 5
	// stopLimit bounds the wait for a reporter that was told to stop.
	stopLimit = 2 * time.Second
)

// Hub hands each event to all reporters. Its Report never fails: an error of a
// reporter is logged and told to the other reporters as a Warning, once for
// each cause. It may be used from several goroutines.
type Hub struct {
	log    *slog.Logger
	quick  []deploy.Reporter
	slow   []*worker
	cancel context.CancelFunc

	mu     sync.Mutex // one event at a time reaches the quick ones
	told   map[string]bool
	counts map[string]int
	closed bool
}

var _ deploy.Reporter = (*Hub)(nil)

// NewHub starts the goroutines of those reporters that are Slow; Close ends
// them. The others are called in the order given. A nil log drops.
func NewHub(log *slog.Logger, reporters ...deploy.Reporter) *Hub {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ctx, cancel := context.WithCancel(context.Background())
	h := &Hub{log: log, cancel: cancel, told: map[string]bool{}, counts: map[string]int{}}
	for _, r := range reporters {
		slow, ok := r.(Slow)
		if !ok {
			h.quick = append(h.quick, r)
			continue
		}
		h.slow = append(h.slow, newWorker(slow))
	}
	for _, w := range h.slow {
		go w.run(ctx, h.failed)
	}
	return h
}

// Report hands an event on. It waits only for the reporters that are quick,
// and always returns nil. After Close it does nothing.
func (h *Hub) Report(ctx context.Context, e deploy.Event) error {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	h.deliver(ctx, item{event: e}, nil)
	return nil
}

// item is an event on its way. One that the hub made itself does not lead to
// further warnings when it cannot be reported.
type item struct {
	event deploy.Event
	own   bool
}

// deliver gives an item to everybody except the reporter that it is about.
func (h *Hub) deliver(ctx context.Context, it item, except deploy.Reporter) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	h.hand(ctx, it, except)
}

// hand is deliver for those that hold mu.
func (h *Hub) hand(ctx context.Context, it item, except deploy.Reporter) {
	for _, w := range h.slow {
		if w.reporter != except {
			w.put(it)
		}
	}
	for _, r := range h.quick {
		if r == except {
			continue
		}
		if err := guarded(func() error { return r.Report(ctx, it.event) }); err != nil {
			h.warn(ctx, r, err, it.own)
		}
	}
}

// guarded makes an error of a panic: a report that cannot be written must not
// end a deployment halfway.
func guarded(report func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("it broke: %v", p)
		}
	}()
	return report()
}

// failed is what workers call.
func (h *Hub) failed(ctx context.Context, r deploy.Reporter, err error, own bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.warn(ctx, r, err, own)
}

// remark is what a reporter has found out and the others should tell. It
// travels as an error, and is none: nothing has failed to be reported.
type remark struct {
	// kind is deploy.Notice or deploy.Warning.
	kind deploy.EventKind
	text string
	hint string
}

// Error is the remark in one sentence.
func (r *remark) Error() string { return r.text }

// warn makes a warning of each error that is joined in err. Callers hold mu.
func (h *Hub) warn(ctx context.Context, r deploy.Reporter, err error, own bool) {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		h.warnOnce(ctx, r, err, own)
		return
	}
	for _, one := range joined.Unwrap() {
		h.warn(ctx, r, one, own)
	}
}

// warnOnce makes a warning of an error, once for each reporter and cause, and
// no more than a few for a reporter.
func (h *Hub) warnOnce(ctx context.Context, r deploy.Reporter, err error, own bool) {
	name := nameOf(r)
	key := name + ": " + err.Error()
	if h.told[key] || h.counts[name] >= maxWarnings {
		return
	}
	h.told[key] = true
	h.counts[name]++
	if _, ok := errors.AsType[*remark](err); !ok {
		h.log.Warn("could not report", "to", name, "error", err)
	}
	if own || h.closed {
		return
	}
	h.hand(ctx, item{own: true, event: asEvent(name, err)}, r)
}

// asEvent is what the other reporters are told of an error.
func asEvent(name string, err error) deploy.Event {
	e := deploy.Event{
		At: time.Now(), Kind: deploy.Warning,
		Message: fmt.Sprintf("could not report to %s: %v", name, err), Hint: deploy.HintOf(err),
	}
	if r, ok := errors.AsType[*remark](err); ok {
		e.Kind, e.Message, e.Hint = r.kind, r.text, r.hint
		if r.kind == deploy.Notice && r.hint != "" {
			e.Message, e.Hint = r.text+"; "+r.hint, ""
		}
	}
	return e
}

// nameOf is what a reporter calls itself.
func nameOf(r deploy.Reporter) string {
	if s, ok := r.(fmt.Stringer); ok {
		return s.String()
	}
	return strings.TrimPrefix(fmt.Sprintf("%T", r), "*")
}

// Close lets the slow reporters finish within ctx, then the others write what
// they have left, and waits for every goroutine. What could not be reported in
// time is in its error, and by then in the reports that could be written.
func (h *Hub) Close(ctx context.Context) error {
	for _, w := range h.slow {
		w.finish()
	}
	var errs []error
	for _, w := range h.slow {
		if !w.ended(ctx) {
			errs = append(errs, h.late(ctx, w))
		}
	}
	h.cancel()
	errs = append(errs, h.join())
	h.flushQuick(context.WithoutCancel(ctx))
	return errors.Join(errs...)
}

// late tells that a reporter did not get done.
func (h *Hub) late(ctx context.Context, w *worker) error {
	err := fmt.Errorf("gave up with %d events unreported, for the time was over", w.waiting())
	h.failed(context.WithoutCancel(ctx), w.reporter, err, false)
	return fmt.Errorf("%s: %w", nameOf(w.reporter), err)
}

// join waits for the goroutines, whose context is cancelled.
func (h *Hub) join() error {
	limit := time.NewTimer(stopLimit)
	defer limit.Stop()
	for _, w := range h.slow {
		select {
		case <-w.done:
		case <-limit.C:
			return fmt.Errorf("%s: did not stop within %s", nameOf(w.reporter), stopLimit)
		}
	}
	return nil
}

func (h *Hub) flushQuick(ctx context.Context) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return
	}
	for _, r := range h.quick {
		f, ok := r.(Flusher)
		if !ok {
			continue
		}
		if err := guarded(func() error { return f.Flush(ctx) }); err != nil {
			h.warn(ctx, r, err, false)
		}
	}
	h.closed = true
}
