package report

import (
	"context"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
)

// told is the story of events, with the secret hidden.
func told(events []deploy.Event) Story {
	var t Timeline
	for _, e := range events {
		t.Add(e)
	}
	return t.Story(hide)
}

func TestSummaryAndComment(t *testing.T) {
	for name, events := range stories() {
		t.Run(name, func(t *testing.T) {
			var summary string
			s := NewSummary(SummaryOptions{Scrub: hide, Write: func(markdown string) error { summary += markdown; return nil }})
			for _, e := range events {
				if err := s.Report(context.Background(), e); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Flush(context.Background()); err != nil {
				t.Fatal(err)
			}
			comment := CommentMarkdown(told(events))
			golden(t, name+"/summary.md", summary)
			golden(t, name+"/comment.md", comment)
			checkSafe(t, summary+comment)
			if !strings.HasPrefix(comment, "<!-- slipway:hello -->\n") {
				t.Error("the comment does not begin with its mark")
			}
		})
	}
}
