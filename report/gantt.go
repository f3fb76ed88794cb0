package report

import (
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/slipway-ci/slipway/deploy"
)

// ganttTime is how times are written, and ganttFormat the same for Mermaid.
const (
	ganttTime   = "2006-01-02 15:04:05.000"
	ganttFormat = "YYYY-MM-DD HH:mm:ss.SSS"
)

// gantt is the timeline of the stages as a Mermaid diagram; empty where no
// stage has begun.
func gantt(s *Story) string {
	var b strings.Builder
	for i := range s.Environments {
		b.WriteString(ganttSection(&s.Environments[i], end(s)))
	}
	if b.Len() == 0 {
		return ""
	}
	return "```mermaid\ngantt\n" +
		"    title " + ganttName(s.Run.App+" "+s.Version()) + "\n" +
		"    dateFormat " + ganttFormat + "\n" +
		"    axisFormat %H:%M:%S\n" +
		b.String() + "```\n"
}

// end is when the story ends: the last time that it knows.
func end(s *Story) time.Time {
	last := s.Ended
	if n := len(s.Events); n > 0 && s.Events[n-1].At.After(last) {
		last = s.Events[n-1].At
	}
	return last
}

func ganttSection(e *Environment, now time.Time) string {
	if len(e.Stages) == 0 && e.Revert == nil {
		return ""
	}
	var b strings.Builder
	b.WriteString("    section " + ganttName(e.Name) + "\n")
	for _, s := range e.Stages[:min(maxRows, len(e.Stages))] {
		tag := map[State]string{StatePassed: "done", StateFailed: "crit", StateRunning: "active"}[s.State]
		ended := s.Ended
		if ended.IsZero() {
			ended = now
		}
		if o := s.Observation; s.Ended.IsZero() && o != nil && s.Started.Add(o.Elapsed.Duration()).After(now) {
			ended = s.Started.Add(o.Elapsed.Duration())
		}
		b.WriteString(ganttTask(fmt.Sprintf("%d %s %s", s.Number, actName(s), s.Share), tag, s.Started, ended))
	}
	b.WriteString(ganttBack(e))
	return b.String()
}

// ganttBack is the way back: users first, then the rest.
func ganttBack(e *Environment) string {
	if e.Revert == nil {
		return ""
	}
	var text string
	at := e.Revert.At
	if back := e.Revert.TrafficBack; back != nil {
		at = at.Add(back.Duration())
		text = ganttTask("users back", "active", e.Revert.At, at)
	}
	switch {
	case e.Ended.IsZero():
	case e.Outcome == deploy.Unknown:
		text += ganttTask("way back", "crit", at, e.Ended)
	default:
		text += ganttTask("clear away", "done", at, e.Ended)
	}
	return text
}

// actName is one word for what a stage does.
func actName(s Stage) string {
	if s.Act != "" {
		return string(s.Act)
	}
	return "stage"
}

// ganttTask is one bar, at least a millisecond long.
func ganttTask(name, tag string, from, to time.Time) string {
	if !to.After(from) {
		to = from.Add(time.Millisecond)
	}
	return fmt.Sprintf("    %s :%s, %s, %s\n", ganttName(name), tag,
		from.UTC().Format(ganttTime), to.UTC().Format(ganttTime))
}

// ganttName keeps what cannot end a name or begin something else in Mermaid,
// which knows no way to quote ':', ',', '#', ';' or a comment.
func ganttName(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsLetter(r), unicode.IsDigit(r), strings.ContainsRune(" -_./%+", r):
			return r
		}
		return ' '
	}, oneLine(s, 60))
	for strings.Contains(s, "%%") {
		s = strings.ReplaceAll(s, "%%", "%")
	}
	return orElse(strings.Join(strings.Fields(s), " "), "unnamed")
}
