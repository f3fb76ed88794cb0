package report

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/slipway-ci/slipway/deploy"
)

// zeroWidth parts characters that GitHub would join to a mention or a
// reference after it has rendered the Markdown, where a backslash is gone.
const zeroWidth = "\u200b"

// punctuation is what can begin Markdown or HTML within a line.
const punctuation = "\\`*_{}[]<>()+!|~&:#$^"

// loose are what GitHub makes links of without any punctuation of Markdown:
// addresses without a scheme, and references such as GH-12.
var loose = regexp.MustCompile(`(?i)(www)\.|\b(gh-)(\d)`)

// inline makes text safe within a line of Markdown: it formats, links and
// mentions nothing. It keeps at most limit characters of the text.
func inline(s string, limit int) string {
	var b strings.Builder
	for _, r := range oneLine(s, limit) {
		if r < utf8.RuneSelf && strings.ContainsRune(punctuation, r) {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
		if r == '@' || r == '#' {
			b.WriteString(zeroWidth)
		}
	}
	s = b.String()
	if lower := strings.ToLower(s); !strings.Contains(lower, "www.") && !strings.Contains(lower, "gh-") {
		return s
	}
	return loose.ReplaceAllStringFunc(s, func(m string) string {
		if address, ok := strings.CutSuffix(m, "."); ok {
			return address + `\.`
		}
		return m[:len(m)-1] + zeroWidth + m[len(m)-1:]
	})
}

// code is text in a code span.
func code(s string) string {
	s = oneLine(s, 200)
	if s == "" {
		return ""
	}
	ticks := strings.Repeat("`", longestRun(s, '`')+1)
	if strings.HasPrefix(s, "`") || strings.HasSuffix(s, "`") {
		s = " " + s + " "
	}
	return ticks + s + ticks
}

// codeCell is code within a table.
func codeCell(s string) string { return strings.ReplaceAll(code(s), "|", `\|`) }

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

// atAGlance is the first part of every Markdown report.
func atAGlance(s *Story) string {
	var b strings.Builder
	for _, f := range glance(s) {
		text := inline(f.text, 2000)
		if f.command != "" {
			text += ": " + code(f.command)
		}
		fmt.Fprintf(&b, "- **%s:** %s\n", f.label, text)
	}
	return b.String()
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
	if s.GitHub != nil {
		text += "\n\n" + plural(uint64(s.GitHub.Calls), "call") + " to GitHub"
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

// environmentTable has one row for each environment that anything was done to.
func environmentTable(s *Story) string {
	var rows []string
	for i := range s.Environments {
		if e := &s.Environments[i]; e.concerned() {
			rows = append(rows, environmentRow(s, e))
		}
	}
	if len(rows) == 0 {
		return ""
	}
	return "| Environment | State | Version | Share | Strategy | Took |\n|---|---|---|---:|---|---:|\n" +
		strings.Join(rows[:min(maxRows, len(rows))], "") + andMore(len(rows))
}

func environmentRow(s *Story, e *Environment) string {
	share := ""
	switch {
	case e.Outcome == deploy.Unknown:
		share = "?"
	case e.Candidate != nil && e.reached():
		share = e.Share.String()
	}
	return fmt.Sprintf("| %s | %s | %s | %s | %s | %s |\n",
		link(e.Name, e.URL), state(s, e), versions(e), share, inline(string(e.Strategy), 20), took(e.Took.Duration()))
}

// andMore says how many rows a table leaves out.
func andMore(rows int) string {
	if rows <= maxRows {
		return ""
	}
	return fmt.Sprintf("\n… and %d more.\n", rows-maxRows)
}

// state is an environment's, with a sign.
func state(s *Story, e *Environment) string {
	signs := map[deploy.Outcome]string{
		deploy.Promoted: "✅ live", deploy.Unchanged: "✅ unchanged", deploy.Failed: "❌ failed, nothing changed",
		deploy.Reverted: "↩️ reverted", deploy.Held: "✋ held", deploy.Unknown: "⚠️ unknown",
	}
	switch {
	case e.Removed != "":
		return "🧹 removed: " + inline(e.Removed, 200)
	case e.Aside != "":
		return "⏭️ left to a newer run: " + inline(e.Aside, 200)
	case e.waits() && s.Outcome != "":
		return "➖ not reached"
	case e.waits():
		return "⏳ waits for its turn"
	}
	if sign, ok := signs[e.Outcome]; ok {
		return sign + e.watched()
	}
	stage := e.current()
	switch {
	case e.Revert != nil:
		return "↩️ going back"
	case stage != nil:
		return fmt.Sprintf("⏳ stage %d of %d", stage.Number, max(e.planned(), stage.Number))
	}
	return "⏳ begins"
}

func versions(e *Environment) string {
	switch {
	case e.Candidate == nil:
		return ""
	case e.Previous == nil:
		return codeCell(e.Candidate.Version)
	case e.Previous.Version == e.Candidate.Version:
		return codeCell(e.Candidate.Version) + ", revision " + codeCell(e.Previous.Revision) + " → " + codeCell(e.Candidate.Revision)
	}
	return codeCell(e.Previous.Version) + " → " + codeCell(e.Candidate.Version)
}

// evidences show what is known of replicas that failed.
func evidences(s *Story) string {
	var b strings.Builder
	for i := range s.Environments {
		if e := &s.Environments[i]; e.Evidence != nil && !good(e.Outcome) {
			b.WriteString("### What was seen in " + inline(e.Name, 60) + "\n" + evidence(*e.Evidence))
		}
	}
	return b.String()
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
	if len(e.Events) > 0 {
		text += "\nWhat is said of it:\n\n" + fence(e.Events[max(0, len(e.Events)-10):])
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
	text := "| Check | Where | Result | Attempts | Took |\n|---|---|---|---:|---:|\n"
	return text + strings.Join(rows[:min(maxRows, len(rows))], "") + andMore(len(rows))
}

func checkRow(environment, stage string, c Check) string {
	where := inline(environment, 60)
	if stage != "" {
		where += ", " + inline(stage, 60)
	}
	result := "✅ passed"
	if !c.Passed {
		result = "❌ " + inline(orElse(c.Detail, "failed"), 300)
	}
	return fmt.Sprintf("| %s | %s | %s | %d | %s |\n",
		inline(c.Name, 80), where, result, c.Attempts, took(c.Took.Duration()))
}

// stageLabel is a short name: stage 2 (10%).
func stageLabel(s Stage) string { return fmt.Sprintf("stage %d (%s)", s.Number, s.Share) }

// shares shows how the new version's share grew, stage by stage: a table for each
// environment, of few columns, since a phone has room for no more.
func shares(s *Story) string {
	var parts []string
	left := maxRows
	for i := range s.Environments {
		e := &s.Environments[i]
		if len(e.Stages) == 0 {
			continue
		}
		shown := e.Stages[:min(left, len(e.Stages))]
		left -= len(shown)
		var b strings.Builder
		b.WriteString(inline(e.Name, 60) + ":\n\n| Stage | Share | Errors | Took |\n|---|---:|---:|---:|\n")
		for _, stage := range shown {
			b.WriteString(shareRow(stage))
		}
		if more := len(e.Stages) - len(shown); more > 0 {
			fmt.Fprintf(&b, "\n… and %d more.\n", more)
		}
		parts = append(parts, b.String())
	}
	return strings.Join(parts, "\n")
}

func shareRow(s Stage) string {
	sign := map[State]string{StatePassed: "✅", StateFailed: "❌", StateRunning: "⏳"}[s.State]
	errors := ""
	if o := s.Observation; o != nil && o.Candidate.Requests > 0 {
		errors = fmt.Sprintf("%d\u00a0of\u00a0%d", o.Candidate.Errors, o.Candidate.Requests)
	}
	return fmt.Sprintf("| %s %d. %s | %s | %s | %s |\n", sign, s.Number, inline(s.Name, 120), s.Share, errors, took(s.Took()))
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
