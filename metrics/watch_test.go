package metrics

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// script is a source that says one thing after another, and then nothing.
type script struct {
	lock  sync.Mutex
	lines []said
	asked int
}

func (s *script) Measure(context.Context) (Reading, error) {
	s.lock.Lock()
	defer s.lock.Unlock()
	s.asked++
	if s.asked > len(s.lines) {
		return Reading{}, nil
	}
	return s.lines[s.asked-1].reading, s.lines[s.asked-1].err
}

// over waits until all has been said, and taken in.
func (s *script) over(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(patienceOfTests); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		s.lock.Lock()
		asked := s.asked
		s.lock.Unlock()
		if asked > len(s.lines)+1 {
			return
		}
	}
	t.Fatal("nobody asks")
}

func counts(name string, requests uint64) said {
	return said{reading: Reading{
		Measures: []analysis.Measure{{Name: name, Candidate: deploy.Traffic{Requests: requests}}},
		Gauges:   []analysis.Gauge{{Name: "cpu", Candidate: float64(requests)}},
	}}
}

func TestAWatcherGathers(t *testing.T) {
	temporary := &QueryError{Temporary: true, Err: errors.New("busy")}
	s := &script{lines: []said{{err: temporary}, counts("a", 1), counts("a", 2), counts("b", 4), {err: temporary}, counts("a", 8)}}
	w, err := Watch(context.Background(), s, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	s.over(t)
	w.Stop()
	r, err := w.Take()
	if err != nil || len(r.Measures) != 2 || r.Measures[0].Candidate.Requests != 11 || r.Measures[1].Candidate.Requests != 4 {
		t.Errorf("took %+v, %v", r.Measures, err)
	}
	if len(r.Gauges) != 1 || r.Gauges[0].Candidate != 8 {
		t.Errorf("took %+v", r.Gauges)
	}
	if r, _ := w.Take(); len(r.Measures)+len(r.Gauges) > 0 {
		t.Errorf("took %+v twice", r)
	}
}

func TestAWatcherTellsWhatFailsLast(t *testing.T) {
	missing := errors.New("no series")
	s := &script{lines: []said{{}, counts("a", 3)}}
	for range 10_000 {
		s.lines = append(s.lines, said{reading: Reading{Missing: []error{missing}}, err: &QueryError{Err: errors.New("gone")}})
	}
	w, err := Watch(context.Background(), s, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Stop()
	var sum uint64
	for deadline := time.Now().Add(patienceOfTests); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		r, err := w.Take()
		for _, m := range r.Measures {
			sum += m.Candidate.Requests
		}
		if err != nil && strings.Contains(err.Error(), "gone") && len(r.Missing) == 1 && sum == 3 {
			return
		}
	}
	t.Errorf("counted %d, and nobody told of the failure", sum)
}

func TestAWatcherDoesNotBeginWithAWrongQuery(t *testing.T) {
	wrong := &QueryError{Err: errors.New("parse error")}
	s := &script{lines: []said{{err: wrong}}}
	if w, err := Watch(context.Background(), s, time.Millisecond); !errors.Is(err, error(wrong)) || w != nil {
		t.Errorf("got %v", err)
	}
	// Beside a source that only failed for now, it still is one.
	both := Sources{said{err: &QueryError{Temporary: true, Err: errors.New("busy")}}, said{err: wrong}}
	if _, err := Watch(context.Background(), both, time.Millisecond); err == nil {
		t.Error("began with a wrong query")
	}
}

func TestAWatcherEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	w, err := Watch(ctx, &script{}, time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	select {
	case <-w.done:
	case <-time.After(patienceOfTests):
		t.Error("it goes on")
	}
}
