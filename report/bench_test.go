package report

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// manyEvents are n events of a rollout that is watched for long.
func manyEvents(n int) []deploy.Event {
	t := newTale().begin().rollout("production", "1.4.2", "1.5.0").start("production", 2)
	for len(t.events) < n {
		if len(t.events)%2 == 0 {
			t.observe("production", 2, time.Second, uint64(len(t.events)), 0)
			continue
		}
		t.tell(0, deploy.Event{Kind: deploy.Notice, Environment: "production", Message: "the judge has seen another sample: not worse"})
	}
	return t.events
}

func BenchmarkTimeline(b *testing.B) {
	events := manyEvents(2000)
	b.ReportAllocs()
	for b.Loop() {
		var t Timeline
		for _, e := range events {
			t.Add(e)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
}

func BenchmarkStory(b *testing.B) {
	var t Timeline
	for _, e := range manyEvents(2000) {
		t.Add(e)
	}
	b.ReportAllocs()
	for b.Loop() {
		_ = t.Story(hide)
	}
}

func BenchmarkHubReport(b *testing.B) {
	events := manyEvents(2000)
	b.ReportAllocs()
	for b.Loop() {
		slow := &sluggish{gate: make(chan struct{})}
		close(slow.gate)
		h := NewHub(nil, NewConsole(ConsoleOptions{Out: io.Discard, Terminal: true, Scrub: hide}),
			NewSummary(SummaryOptions{Write: func(string) error { return nil }, Scrub: hide}), slow)
		for _, e := range events {
			_ = h.Report(context.Background(), e)
		}
		if err := h.Close(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(events)), "ns/event")
}

func BenchmarkSummaryMarkdown(b *testing.B) {
	story := told(tellReverted())
	b.ReportAllocs()
	for b.Loop() {
		_ = SummaryMarkdown(story)
	}
}
