package report

import (
	"fmt"
	"html"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/slipway-ci/slipway/deploy"
)

// previewing is the operation of a run of a pull request: it plans what merging
// would do, and brings the commit to an environment of its own.
const previewing = "preview"

// onlyPlanned reports whether the run has said what would happen in the
// environment, and has not come there to do it.
func (e *Environment) onlyPlanned() bool { return !e.concerned() && e.Candidate != nil }

// planSections show what would happen in the environments that the run has only
// planned for, each folded away. They are empty where there is none.
func planSections(s *Story) []string {
	sections := []string{"### What would happen\n"}
	if s.Run.Operation == previewing {
		sections[0] = "### What merging would do\n"
	}
	for i := range s.Environments {
		if e := &s.Environments[i]; e.onlyPlanned() {
			sections = append(sections, details(markup(e.Name+": "+would(e), 300), fence(e.Notices[:min(maxRows, len(e.Notices))])))
		}
	}
	if len(sections) == 1 {
		return nil
	}
	return sections
}

// would is what would happen in an environment, in a few words.
func would(e *Environment) string {
	switch {
	case !e.changes():
		return "nothing would change"
	case e.Previous == nil:
		return candidate(e) + " would be the first version"
	}
	return fmt.Sprintf("%s would replace %s by %s in %s", candidate(e), e.Previous.Version, e.Strategy, plural(uint64(len(e.acts)), "stage"))
}

// changes reports whether the candidate is another revision than what is live.
func (e *Environment) changes() bool {
	return e.Previous == nil || e.Previous.Revision != e.Candidate.Revision
}

// merging says what merging would do, where the run has planned that and has
// done nothing else; empty where it has not.
func merging(s *Story) string {
	if s.Run.Operation != previewing {
		return ""
	}
	var names []string
	for i := range s.Environments {
		e := &s.Environments[i]
		switch {
		case !e.onlyPlanned():
			return ""
		case e.changes():
			names = append(names, e.Name)
		}
	}
	switch n := len(names); {
	case len(s.Environments) == 0:
		return ""
	case n == 0:
		return "merging would change nothing"
	case n > maxListed:
		return fmt.Sprintf("merging would change %d environments", n)
	case n == 1:
		return "merging would change " + names[0]
	default:
		return "merging would change " + strings.Join(names[:n-1], ", ") + " and " + names[n-1]
	}
}

// markup makes text safe within HTML, where a backslash means nothing. GitHub
// makes something of some characters together with what comes after them there,
// too: mentions, references, emoji, addresses, math.
func markup(s string, limit int) string {
	s = loose.ReplaceAllStringFunc(oneLine(s, limit), func(m string) string { return m[:len(m)-1] + zeroWidth + m[len(m)-1:] })
	var b strings.Builder
	for i, r := range s {
		b.WriteString(html.EscapeString(string(r)))
		if rest := s[i+utf8.RuneLen(r):]; strings.ContainsRune("@#$:", r) && rest != "" && rest[0] != ' ' {
			b.WriteString(zeroWidth)
		}
	}
	return b.String()
}

// command is something to do next: what for, the name of the operation, and
// its flags.
type command struct{ what, operation, flags string }

// commands are those that fit where the run is, for the environment that it is
// about.
func commands(s *Story) []command {
	e := subject(s)
	if e == nil || !e.concerned() || !plainName(e.Name) {
		return nil
	}
	in := " --environment " + e.Name
	number, preview := deploy.PullRequestOf(e.Name)
	switch {
	case e.Removed != "":
		return nil
	case preview:
		return []command{
			{"remove the preview before its pull request is over", "preview", fmt.Sprintf(" --pull-request %d --close", number)},
		}
	}
	return commandsIn(s, e, in)
}

// commandsIn are those for an environment that stays.
func commandsIn(s *Story, e *Environment, in string) []command {
	switch o := ending(s); {
	case o == deploy.Promoted && !e.WatchedUntil.IsZero():
		return []command{{"go back", "abort", in}, {"end the watch now", "resume", in}}
	case o == deploy.Promoted && e.Previous != nil:
		return []command{{"go back", "rollback", in}, {"see what was live before", "history", in}}
	case o == deploy.Failed, o == deploy.Reverted:
		return []command{{"see what is live", "status", in}, {"see what was deployed before", "history", in}}
	case o == deploy.Held:
		return []command{{"go on", "resume", in}, {"go back", "abort", in}}
	case o == deploy.Unknown:
		return []command{{"see what is there", "status", in}, {"try the way back again", "settle", in}}
	case o == "" && e.began() && e.Outcome == "":
		return []command{{"hold it where it is", "pause", in}, {"take it back", "abort", in}}
	}
	return nil
}

// byHand are the operations that the workflow takes when it is started by hand.
var byHand = []string{"rollback", "pause", "resume", "abort"}

// commandBlock is what can be copied to a shell: for where the target can be
// reached, and for where only GitHub can.
func commandBlock(s *Story) string {
	var lines []string
	for _, c := range commands(s) {
		lines = append(lines, "# "+c.what, "slipway "+c.operation+c.flags)
		if slices.Contains(byHand, c.operation) && dispatchable(s) {
			lines = append(lines, "# the same, by the workflow",
				fmt.Sprintf("gh workflow run %s --repo %s -f operation=%s -f environment=%s", s.Run.Workflow, s.Run.Repository, c.operation, subject(s).Name))
		}
	}
	if len(lines) == 0 {
		return ""
	}
	return "```sh\n" + strings.Join(lines, "\n") + "\n```\n"
}

// dispatchable reports whether it is known which workflow to start by hand, by
// names that can stand in a command.
func dispatchable(s *Story) bool {
	owner, name, ok := strings.Cut(s.Run.Repository, "/")
	return ok && plainName(owner) && plainName(name) && plainName(s.Run.Workflow)
}
