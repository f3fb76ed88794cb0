package report

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// zeroWidth parts characters that GitHub would join to a mention or a
// reference after it has rendered the Markdown, where a backslash is gone.
const zeroWidth = "\u200b"

var (
	// punctuation is what can begin Markdown or HTML within a line.
	punctuation = regexp.MustCompile("[\\\\`*_{}\\[\\]<>()+!|~&:#$^]")
	// bareLinks are recognised without any punctuation of Markdown.
	bareLinks = regexp.MustCompile(`(?i)www\.`)
	// references are GH-12.
	references = regexp.MustCompile(`(?i)\bgh-(\d)`)
)

// inline makes text safe within a line of Markdown: it formats, links and
// mentions nothing. It keeps at most limit characters of the text.
func inline(s string, limit int) string {
	s = punctuation.ReplaceAllString(oneLine(s, limit), `\$0`)
	s = bareLinks.ReplaceAllStringFunc(s, func(m string) string { return m[:3] + `\.` })
	s = references.ReplaceAllString(s, "GH-"+zeroWidth+"$1")
	s = strings.ReplaceAll(s, "@", "@"+zeroWidth)
	return strings.ReplaceAll(s, `\#`, `\#`+zeroWidth)
}

// code is text in a code span, also within a table.
func code(s string) string {
	s = oneLine(s, 200)
	if s == "" {
		return ""
	}
	ticks := strings.Repeat("`", longestRun(s, '`')+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return ticks + strings.ReplaceAll(s, "|", `\|`) + ticks
}

// fence is a block of lines that stand as they are. Its marks are longer than
// any run of backticks in it.
func fence(lines []string) string {
	body := make([]string, 0, len(lines))
	run := 2
	for _, line := range lines {
		line = logLine(line)
		run = max(run, longestRun(line, '`'))
		body = append(body, line)
	}
	ticks := strings.Repeat("`", run+1)
	return ticks + "text\n" + strings.Join(body, "\n") + "\n" + ticks + "\n"
}

func longestRun(s string, char rune) int {
	longest, run := 0, 0
	for _, r := range s {
		if r != char {
			run = 0
			continue
		}
		run++
		longest = max(longest, run)
	}
	return longest
}

// link is a Markdown link to a web address; what is none stays a text.
func link(text, address string) string {
	if u := webAddress(address); u != "" {
		return "[" + inline(text, 100) + "](<" + u + ">)"
	}
	return inline(text, 100)
}

// webAddress is the address if it is one of the web, and safe in a link.
func webAddress(s string) string {
	u, err := url.Parse(oneLine(s, 2000))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return ""
	}
	u.User = nil
	return strings.NewReplacer("<", "%3C", ">", "%3E", " ", "%20", "\\", "%5C", "\n", "").Replace(u.String())
}

// headline is what happened, in words that need no knowledge of Slipway.
func headline(s *Story) string {
	what := s.Run.App
	if v := s.Version(); v != "" {
		what += " " + v
	}
	last := lastEnvironment(s)
	switch s.Outcome {
	case deploy.Promoted:
		return fmt.Sprintf("✅ %s is live in %s", what, orElse(last.Name, "every environment"))
	case deploy.Unchanged:
		return fmt.Sprintf("✅ %s: nothing had to change", what)
	case deploy.Failed:
		if last.Name == "" {
			return fmt.Sprintf("❌ %s could not be delivered: nothing changed for users", what)
		}
		return fmt.Sprintf("❌ %s did not get into %s: nothing changed for its users", what, last.Name)
	case deploy.Reverted:
		if last.Previous != nil {
			return fmt.Sprintf("↩️ %s was taken back: %s runs %s again", what, last.Name, last.Previous.Version)
		}
		return fmt.Sprintf("↩️ %s was taken back from %s", what, orElse(last.Name, "its users"))
	case deploy.Held:
		return fmt.Sprintf("✋ %s waits in %s: a person must decide", what, orElse(last.Name, "its environment"))
	case deploy.Unknown:
		return fmt.Sprintf("⚠️ %s: it is not certain what runs in %s", what, orElse(last.Name, "its environment"))
	}
	if last.Name != "" {
		return fmt.Sprintf("🚢 %s is on its way to %s", what, last.Name)
	}
	return fmt.Sprintf("🚢 %s is on its way", what)
}

func lastEnvironment(s *Story) Environment {
	if n := len(s.Environments); n > 0 {
		return s.Environments[n-1]
	}
	return Environment{}
}

// about says what the run is: operation, commit, branch, person, image.
func about(s *Story) string {
	parts := []string{inline(orElse(s.Run.Operation, "run"), 40)}
	if commit := s.Run.Commit; commit != "" {
		short := commit[:min(10, len(commit))]
		parts = append(parts, "of "+linkOr(code(short), commitURL(s.Run)))
	}
	if name := refName(s.Run.Ref); name != "" {
		parts = append(parts, "on "+code(name))
	}
	if s.Run.Who != "" {
		parts = append(parts, "by "+code(s.Run.Who))
	}
	text := strings.Join(parts, " ")
	if s.Took > 0 {
		text += ", " + took(s.Took.Duration())
	}
	if u := webAddress(s.Run.URL); u != "" {
		text += " · [log](<" + u + ">)"
	}
	if s.Image != nil {
		text += "\n\n" + code(s.Image.Repository+"@"+s.Image.Digest)
	}
	return text + "\n"
}

func linkOr(text, address string) string {
	if address == "" {
		return text
	}
	return "[" + text + "](<" + address + ">)"
}

// commitURL is derived from the run's own: server/owner/name/actions/runs/ID.
func commitURL(r Run) string {
	base, _, ok := strings.Cut(r.URL, "/actions/runs/")
	if !ok {
		return ""
	}
	return webAddress(base + "/commit/" + r.Commit)
}

// environmentTable has one row for each environment.
func environmentTable(s *Story) string {
	if len(s.Environments) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("| Environment | State | Version | New version's share | Strategy | Took |\n")
	b.WriteString("|---|---|---|---:|---|---:|\n")
	for i := range s.Environments {
		e := &s.Environments[i]
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s | %s |\n",
			link(e.Name, e.URL), state(e), versions(e), e.Share, inline(string(e.Strategy), 20), took(e.Took.Duration()))
	}
	return b.String()
}

// state is an environment's, with a sign.
func state(e *Environment) string {
	signs := map[deploy.Outcome]string{
		deploy.Promoted: "✅ live", deploy.Unchanged: "✅ unchanged", deploy.Failed: "❌ failed, nothing changed",
		deploy.Reverted: "↩️ reverted", deploy.Held: "✋ held", deploy.Unknown: "⚠️ unknown",
	}
	if sign, ok := signs[e.Outcome]; ok {
		return sign
	}
	s := e.current()
	switch {
	case e.Revert != nil:
		return "↩️ going back"
	case s == nil:
		return "⏳ waiting"
	}
	return fmt.Sprintf("⏳ stage %d of %d", s.Number, max(e.planned(), s.Number))
}

func versions(e *Environment) string {
	switch {
	case e.Candidate == nil:
		return ""
	case e.Previous == nil:
		return code(e.Candidate.Version)
	case e.Previous.Version == e.Candidate.Version:
		return code(e.Candidate.Version) + ", revision " + code(e.Previous.Revision) + " → " + code(e.Candidate.Revision)
	}
	return code(e.Previous.Version) + " → " + code(e.Candidate.Version)
}

// troubles say for each environment that did not end well: why, what the way
// back looked like, and what the replica wrote last.
func troubles(s *Story) string {
	var b strings.Builder
	for i := range s.Environments {
		if e := &s.Environments[i]; e.Outcome != "" && !good(e.Outcome) {
			b.WriteString(trouble(e))
		}
	}
	if b.Len() == 0 && s.Outcome != "" && !good(s.Outcome) && s.Message != "" {
		b.WriteString("### Why\n\n" + inline(s.Message, 2000) + "\n")
	}
	return b.String()
}

func trouble(e *Environment) string {
	var b strings.Builder
	fmt.Fprintf(&b, "### Why %s %s\n\n%s\n", inline(e.Name, 60), e.Outcome, inline(e.Reason, 2000))
	if e.Revert != nil {
		if e.Revert.Reason != "" && e.Revert.Reason != e.Reason {
			fmt.Fprintf(&b, "\nIt was decided to go back because: %s\n", inline(e.Revert.Reason, 2000))
		}
		if back := e.Revert.TrafficBack; back != nil {
			fmt.Fprintf(&b, "\nAll users were back on the old version %s after the decision.\n", took(max(back.Duration(), time.Millisecond)))
		}
	}
	if o := lastObservation(e); o != nil && o.Candidate.Requests > 0 {
		fmt.Fprintf(&b, "\nThe new version had answered %s with %s.\n",
			plural(o.Candidate.Requests, "request"), plural(o.Candidate.Errors, "error"))
	}
	if e.Evidence != nil {
		b.WriteString(evidence(*e.Evidence))
	}
	return b.String()
}

func lastObservation(e *Environment) *Observation {
	for i := len(e.Stages) - 1; i >= 0; i-- {
		if o := e.Stages[i].Observation; o != nil {
			return o
		}
	}
	return nil
}

func evidence(e Evidence) string {
	what := e.Reason
	if e.Replica != "" {
		what = "Replica " + e.Replica + " " + e.Reason
	}
	text := "\n" + inline(what, 1000) + "\n"
	if len(e.Log) > 0 {
		text += "\nIts last lines:\n\n" + fence(e.Log[max(0, len(e.Log)-20):])
	}
	return text
}

// maxRows bounds tables.
const maxRows = 200

// checkTable lists all checks.
func checkTable(s *Story) string {
	var rows []string
	for i := range s.Environments {
		e := &s.Environments[i]
		for _, c := range e.Checks {
			rows = append(rows, checkRow(e.Name, "", c))
		}
		for _, stage := range e.Stages {
			for _, c := range stage.Checks {
				rows = append(rows, checkRow(e.Name, stageLabel(stage), c))
			}
		}
	}
	if len(rows) == 0 {
		return ""
	}
	text := "### Checks\n\n| Environment | Stage | Check | Result | Attempts | Took |\n|---|---|---|---|---:|---:|\n"
	text += strings.Join(rows[:min(maxRows, len(rows))], "")
	if more := len(rows) - maxRows; more > 0 {
		text += fmt.Sprintf("\n… and %d more.\n", more)
	}
	return text
}

func checkRow(environment, stage string, c Check) string {
	result := "✅ passed"
	if !c.Passed {
		result = "❌ " + inline(orElse(c.Detail, "failed"), 300)
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %d | %s |\n",
		inline(environment, 60), inline(stage, 60), inline(c.Name, 80), result, c.Attempts, took(c.Took.Duration()))
}

// stageLabel is a short name: 2: 10%.
func stageLabel(s Stage) string { return fmt.Sprintf("%d: %s", s.Number, s.Share) }

// shares shows how the new version's share grew, stage by stage.
func shares(s *Story) string {
	var b strings.Builder
	for i := range s.Environments {
		e := &s.Environments[i]
		for _, stage := range e.Stages {
			b.WriteString(shareRow(e.Name, stage))
		}
	}
	if b.Len() == 0 {
		return ""
	}
	return "| Environment | Stage | Share | | Requests | Errors | Took |\n|---|---|---:|---|---:|---:|---:|\n" + b.String()
}

func shareRow(environment string, s Stage) string {
	sign := map[State]string{StatePassed: "✅", StateFailed: "❌", StateRunning: "⏳"}[s.State]
	requests, errors := "", ""
	if o := s.Observation; o != nil {
		requests, errors = fmt.Sprint(o.Candidate.Requests), fmt.Sprint(o.Candidate.Errors)
	}
	return fmt.Sprintf("| %s | %s %d. %s | %s | `%s` | %s | %s | %s |\n",
		inline(environment, 60), sign, s.Number, inline(s.Name, 120), s.Share, bar(s.Share), requests, errors, took(s.Took()))
}

// warnings lists what asks for attention.
func warnings(s *Story) string {
	if len(s.Warnings) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString("### Warnings\n\n")
	for i, w := range s.Warnings {
		if i == maxRows {
			fmt.Fprintf(&b, "- … and %d more\n", len(s.Warnings)-maxRows)
			break
		}
		text := inline(w.Message, 1000)
		if w.Environment != "" {
			text = inline(w.Environment, 60) + ": " + text
		}
		if w.Hint != "" {
			text += " (" + inline(w.Hint, 500) + ")"
		}
		b.WriteString("- " + text + "\n")
	}
	return b.String()
}

// next says what can be done now.
func next(s *Story) string {
	hint := s.Hint
	last := lastEnvironment(s)
	hint = orElse(hint, last.Hint)
	commands := commandsFor(s, last)
	if hint == "" && len(commands) == 0 {
		return ""
	}
	text := "### What to do next\n\n"
	if hint != "" {
		text += inline(hint, 2000) + "\n"
	}
	if len(commands) > 0 {
		text += "\n" + strings.Replace(fence(commands), "text\n", "sh\n", 1)
	}
	return text
}

func commandsFor(s *Story, last Environment) []string {
	if last.Name == "" || !plainName(last.Name) {
		return nil
	}
	in := " --environment " + last.Name
	switch s.Outcome {
	case deploy.Promoted:
		if last.Previous == nil {
			return nil
		}
		return []string{"# if users tell you otherwise", "slipway rollback" + in}
	case deploy.Failed, deploy.Reverted:
		return []string{"slipway status", "slipway history" + in}
	case deploy.Held:
		commands := []string{"slipway status"}
		if v := s.Version(); plainName(v) {
			commands = append(commands, "slipway promote --version "+v+in)
		}
		return append(commands, "slipway rollback"+in)
	case deploy.Unknown:
		return []string{"slipway status", "slipway settle" + in}
	}
	return nil
}

var plain = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)

// plainName reports whether text can stand in a command without quotes.
func plainName(s string) bool { return len(s) <= 128 && plain.MatchString(s) }

// assemble joins sections, most important first as the caller orders them,
// while they fit into limit bytes. It says so when something is left out.
func assemble(limit int, sections ...string) string {
	const note = "\n_Shortened: the whole report is in the JSON file and in the log._\n"
	var b strings.Builder
	left := false
	for _, section := range sections {
		if section == "" {
			continue
		}
		if b.Len()+len(section)+1+len(note) > limit {
			left = true
			continue
		}
		if b.Len() > 0 {
			b.WriteString("\n")
		}
		b.WriteString(section)
	}
	if left {
		b.WriteString(note)
	}
	return b.String()
}
