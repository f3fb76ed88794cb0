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
		ganttAxis(end(s).Sub(begin(s))) +
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

// begin is when the first stage began, or the first way back.
func begin(s *Story) time.Time {
	first := end(s)
	for i := range s.Environments {
		e := &s.Environments[i]
		if len(e.Stages) > 0 && e.Stages[0].Started.Before(first) {
			first = e.Stages[0].Started
		}
		if e.Revert != nil && e.Revert.At.Before(first) {
			first = e.Revert.At
		}
	}
	return first
}

// ganttTicks are the distances of times on the axis that Mermaid can draw.
var ganttTicks = []struct {
	every time.Duration
	name  string
}{
	{time.Second, "1second"},
	{2 * time.Second, "2second"},
	{5 * time.Second, "5second"},
	{10 * time.Second, "10second"},
	{15 * time.Second, "15second"},
	{30 * time.Second, "30second"},
	{time.Minute, "1minute"},
	{2 * time.Minute, "2minute"},
	{5 * time.Minute, "5minute"},
	{10 * time.Minute, "10minute"},
	{15 * time.Minute, "15minute"},
	{30 * time.Minute, "30minute"},
	{time.Hour, "1hour"},
	{2 * time.Hour, "2hour"},
	{6 * time.Hour, "6hour"},
	{12 * time.Hour, "12hour"},
	{24 * time.Hour, "1day"},
	{7 * 24 * time.Hour, "1week"},
}

// ganttAxis has few enough times that they stand beside one another on a phone.
func ganttAxis(span time.Duration) string {
	const most = 4
	tick := ganttTicks[len(ganttTicks)-1]
	for _, t := range ganttTicks {
		if span/t.every < most {
			tick = t
			break
		}
	}
	format := "%H:%M:%S"
	switch {
	case tick.every >= 12*time.Hour:
		format = "%m-%d %H:%M"
	case tick.every >= time.Minute:
		format = "%H:%M"
	}
	return "    axisFormat " + format + "\n    tickInterval " + tick.name + "\n"
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
