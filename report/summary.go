package report

import (
	"context"
	"fmt"
	"strings"

	"github.com/slipway-ci/slipway/deploy"
)

// maxSummary is GitHub's limit for the job summary of a step in bytes, with
// room for a line feed.
const maxSummary = 1<<20 - 16

// SummaryOptions say where a Summary goes. Write is required.
type SummaryOptions struct {
	// Write takes the Markdown, at most 1 MiB of it. It is called once.
	Write func(markdown string) error
	// Calls counts the requests that were made to GitHub; nil where none are.
	Calls func() int
	Scrub Scrub
}

// Summary writes the job summary when the run is over.
type Summary struct {
	o        SummaryOptions
	timeline Timeline
}

var _ Flusher = (*Summary)(nil)

// NewSummary makes a Summary.
func NewSummary(o SummaryOptions) *Summary { return &Summary{o: o} }

// String names it.
func (s *Summary) String() string { return "the job summary" }

// Report remembers an event.
func (s *Summary) Report(_ context.Context, e deploy.Event) error {
	s.timeline.Add(e)
	return nil
}

// Flush writes the summary; of a run in which nothing happened it writes
// nothing.
func (s *Summary) Flush(context.Context) error {
	story := s.timeline.Story(s.o.Scrub)
	if len(story.Events) == 0 || story.idle() {
		return nil
	}
	story.asked(s.o.Calls)
	if err := s.o.Write(s.o.Scrub.apply(SummaryMarkdown(story))); err != nil {
		return fmt.Errorf("write it: %w", err)
	}
	return nil
}

// SummaryMarkdown renders a story for the job summary, in at most 1 MiB.
func SummaryMarkdown(s Story) string {
	sections := []string{
		"## " + inline(headline(&s), 300) + "\n",
		atAGlance(&s),
		environmentTable(&s),
		driftTables(&s),
		evidences(&s),
		warnings(&s),
	}
	sections = append(sections, planSections(&s)...)
	return assemble(maxSummary, append(sections,
		titled("Notices", notices(&s)),
		titled("Timeline", gantt(&s)),
		shares(&s),
		charts(&s),
		verdicts(&s),
		titled("Checks", checkTable(&s)),
		about(&s),
	)...)
}

// titled puts a heading above a section that is there.
func titled(title, section string) string {
	if section == "" {
		return ""
	}
	return "### " + title + "\n\n" + section
}

// notices are what is good to know of the run and where it has been.
func notices(s *Story) string {
	var parts []string
	if n := len(s.Notices); n > 0 {
		parts = append(parts, fence(s.Notices[:min(maxRows, n)]))
	}
	for i := range s.Environments {
		e := &s.Environments[i]
		if n := len(e.Notices); n > 0 && !e.onlyPlanned() {
			parts = append(parts, inline(e.Name, 60)+":\n\n"+fence(e.Notices[:min(maxRows, n)]))
		}
	}
	return strings.Join(parts, "\n")
}

// NothingToDo is a job summary for an event that is nobody's business.
func NothingToDo(why string) string { return "**Nothing to do:** " + inline(why, 400) }
