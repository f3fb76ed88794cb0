package report

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// listener remembers what it was told, and fails when it is told to.
type listener struct {
	name string
	mu   sync.Mutex
	told []deploy.Event
	// fail is asked at each event; nil never fails.
	fail    func(deploy.Event) error
	flushed int
}

func (l *listener) String() string { return l.name }

func (l *listener) Report(_ context.Context, e deploy.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = append(l.told, e)
	if l.fail == nil {
		return nil
	}
	return l.fail(e)
}

func (l *listener) Flush(context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.flushed++
	return nil
}

func (l *listener) events() []deploy.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]deploy.Event(nil), l.told...)
}

// sluggish is a listener that waits for a word before each event.
type sluggish struct {
	listener
	gate chan struct{}
}

func (*sluggish) Slow() {}

func (s *sluggish) Report(ctx context.Context, e deploy.Event) error {
	select {
	case <-s.gate:
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.listener.Report(ctx, e)
}

func warningsOf(events []deploy.Event) []string {
	var all []string
	for _, e := range events {
		if e.Kind == deploy.Warning {
			all = append(all, e.Message)
		}
	}
	return all
}

func closeHub(t *testing.T, h *Hub) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := h.Close(ctx); err != nil {
		t.Error(err)
	}
}

func TestEveryReporterIsToldEverythingInOrder(t *testing.T) {
	quick, slow := &listener{name: "quick"}, &sluggish{listener: listener{name: "slow"}, gate: make(chan struct{})}
	close(slow.gate)
	h := NewHub(nil, quick, slow)
	events := tellReverted()
	for _, e := range events {
		if err := h.Report(t.Context(), e); err != nil {
			t.Error(err)
		}
	}
	closeHub(t, h)
	for _, l := range []*listener{quick, &slow.listener} {
		var last time.Time
		kept := 0
		for _, e := range l.events() {
			if e.At.Before(last) {
				t.Errorf("%s: out of order", l.name)
			}
			last = e.At
			if e.Kind != deploy.Observed {
				kept++
			}
		}
		want := 0
		for _, e := range events {
			if e.Kind != deploy.Observed {
				want++
			}
		}
		if kept != want || l.flushed != 1 {
			t.Errorf("%s was told %d of %d events, and flushed %d times", l.name, kept, want, l.flushed)
		}
	}
	_ = h.Report(t.Context(), events[0])
	if n := len(quick.events()); n != len(events) {
		t.Errorf("told after the end: %d of %d", n, len(events))
	}
}

func TestAnErrorIsToldToTheOthersOnce(t *testing.T) {
	broken := &listener{name: "broken", fail: func(e deploy.Event) error {
		if e.Kind == deploy.StageStarted {
			return errors.Join(deploy.Hinted(errors.New("full"), "make room"), nil, errors.New("slow"))
		}
		return nil
	}}
	other := &listener{name: "other"}
	var log bytes.Buffer
	h := NewHub(slog.New(slog.NewTextHandler(&log, nil)), broken, other)
	for _, e := range tellPromoted() {
		_ = h.Report(t.Context(), e)
	}
	closeHub(t, h)
	got := warningsOf(other.events())
	if fmt.Sprint(got) != "[could not report to broken: full could not report to broken: slow]" {
		t.Errorf("told %q", got)
	}
	if warnings := warningsOf(broken.events()); len(warnings) > 0 {
		t.Errorf("it was told of itself: %q", warnings)
	}
	if n := strings.Count(log.String(), "could not report"); n != 2 {
		t.Errorf("logged %d times:\n%s", n, log.String())
	}
}

func TestTwoThatFailDoNotTellEachOtherForEver(t *testing.T) {
	n := 0
	fail := func(deploy.Event) error { n++; return fmt.Errorf("failure %d", n) }
	a, b := &listener{name: "a", fail: fail}, &listener{name: "b", fail: fail}
	h := NewHub(nil, a, b)
	for range 100 {
		_ = h.Report(t.Context(), deploy.Event{Kind: deploy.Notice, Message: "x"})
	}
	closeHub(t, h)
	if all := append(warningsOf(a.events()), warningsOf(b.events())...); len(all) > 2*maxWarnings || len(all) == 0 {
		t.Errorf("%d warnings: %q", len(all), all)
	}
}

func TestAPanicIsAnError(t *testing.T) {
	broken := &sluggish{listener: listener{name: "broken", fail: func(deploy.Event) error { panic("no map") }}, gate: make(chan struct{})}
	close(broken.gate)
	loud := &listener{name: "loud", fail: func(e deploy.Event) error {
		if e.Kind == deploy.RunEnded {
			panic(errors.New("nil"))
		}
		return nil
	}}
	other := &listener{name: "other"}
	h := NewHub(nil, broken, loud, other)
	for _, e := range tellUnchanged() {
		_ = h.Report(t.Context(), e)
	}
	closeHub(t, h)
	got := strings.Join(warningsOf(other.events()), "\n")
	for _, want := range []string{"could not report to broken: it broke: no map", "could not report to loud: it broke: nil"} {
		if strings.Count(got, want) != 1 {
			t.Errorf("no %q in %q", want, got)
		}
	}
}

func TestASlowReporterLosesProgressAndNothingElse(t *testing.T) {
	slow := &sluggish{listener: listener{name: "slow"}, gate: make(chan struct{})}
	h := NewHub(nil, slow)
	e := func(kind deploy.EventKind, n int) deploy.Event {
		return deploy.Event{Kind: kind, Environment: "production", Stage: n, Message: fmt.Sprint(n), At: time.Unix(int64(n), 0)}
	}
	_ = h.Report(t.Context(), e(deploy.RolloutStarted, 0))
	for i := range 1000 {
		_ = h.Report(t.Context(), e(deploy.Observed, i))
	}
	for i := range 1000 {
		_ = h.Report(t.Context(), e(deploy.Notice, i))
		_ = h.Report(t.Context(), e(deploy.StageStarted, i))
	}
	close(slow.gate)
	closeHub(t, h)
	count := map[deploy.EventKind]int{}
	for _, e := range slow.events() {
		count[e.Kind]++
	}
	if count[deploy.RolloutStarted] != 1 || count[deploy.StageStarted] != 1000 {
		t.Errorf("something that happened was lost: %v", count)
	}
	if count[deploy.Observed] != 1 || count[deploy.Notice] > maxQueue {
		t.Errorf("it had to wade through all progress: %v", count)
	}
}

func TestCloseDoesNotWaitForEver(t *testing.T) {
	slow, quick := &sluggish{listener: listener{name: "slow"}, gate: make(chan struct{})}, &listener{name: "quick"}
	h := NewHub(nil, slow, quick)
	for range 3 {
		_ = h.Report(t.Context(), deploy.Event{Kind: deploy.StageStarted})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := h.Close(ctx)
	if err == nil || !strings.HasPrefix(err.Error(), "slow: gave up with ") {
		t.Errorf("got %v", err)
	}
	if got := warningsOf(quick.events()); len(got) != 1 || !strings.HasPrefix(got[0], "could not report to slow: gave up with ") {
		t.Errorf("told %q", got)
	}
	if quick.flushed != 1 || slow.flushed != 0 {
		t.Errorf("flushed %d and %d times", quick.flushed, slow.flushed)
	}
	checkNoGoroutines(t)
	if err := h.Close(t.Context()); err != nil || quick.flushed != 1 {
		t.Errorf("closed again: %v, flushed %d times", err, quick.flushed)
	}
}

// stubborn does not heed its context.
type stubborn struct {
	listener
	began, end chan struct{}
}

func (*stubborn) Slow() {}

func (s *stubborn) Report(context.Context, deploy.Event) error {
	close(s.began)
	<-s.end
	return nil
}

func TestCloseGivesUpOnAReporterThatDoesNotStop(t *testing.T) {
	s := &stubborn{listener: listener{name: "stubborn"}, began: make(chan struct{}), end: make(chan struct{})}
	h := NewHub(nil, s)
	_ = h.Report(t.Context(), deploy.Event{Kind: deploy.StageStarted})
	<-s.began
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.Close(ctx); err == nil || !strings.Contains(err.Error(), "stubborn: did not stop within 2s") {
		t.Errorf("got %v", err)
	}
	close(s.end)
	checkNoGoroutines(t)
}

func TestTheHubMayBeUsedByMany(t *testing.T) {
	quick, slow := &listener{name: "quick"}, &sluggish{listener: listener{name: "slow"}, gate: make(chan struct{})}
	close(slow.gate)
	h := NewHub(nil, quick, slow, NewConsole(ConsoleOptions{Out: &bytes.Buffer{}, Terminal: true}))
	var many sync.WaitGroup
	for range 8 {
		many.Go(func() {
			for _, e := range tellReverted() {
				_ = h.Report(t.Context(), e)
			}
		})
	}
	many.Wait()
	closeHub(t, h)
	if got, want := len(quick.events()), 8*len(tellReverted()); got != want {
		t.Errorf("%d of %d events", got, want)
	}
}

func TestAReporterIsCalledByItsName(t *testing.T) {
	for want, r := range map[string]deploy.Reporter{
		"the console": NewConsole(ConsoleOptions{}), "the job summary": NewSummary(SummaryOptions{}),
		"the JSON report": NewJSON(JSONOptions{}), "GitHub deployments": NewDeployments(nil, DeploymentsOptions{}),
		"the pull request": NewComment(nil, CommentOptions{}), "report.nameless": &nameless{},
	} {
		if got := nameOf(r); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
}

type nameless struct{}

func (*nameless) Report(context.Context, deploy.Event) error { return nil }
