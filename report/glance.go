package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// fact is one line of what a reader has to know first. Its texts are as they
// came: whoever shows them makes them safe for where they are shown.
type fact struct {
	label, text string
	// command stands for itself at the end of the text; empty where there is none.
	command string
}

// toCopy divides what to do next: a first line that ends in a colon says what the lines
// below it are for, which people copy. Every other text is one piece.
func toCopy(hint string) (head string, lines []string) {
	head, rest, _ := strings.Cut(hint, ":\n")
	if rest == "" {
		return hint, nil
	}
	return head + ":", strings.Split(strings.TrimRight(rest, "\n"), "\n")
}

// glance is what people ask first when a deployment is over or goes wrong: why,
// what runs now, what users felt, and what to do.
func glance(s *Story) []fact {
	facts := []fact{
		{label: "Why", text: why(s)},
		{label: "Live now", text: liveNow(s)},
		{label: "Users", text: felt(subject(s))},
	}
	facts = append(facts, next(s))
	var known []fact
	for _, f := range facts {
		if f.text != "" || f.command != "" {
			known = append(known, f)
		}
	}
	return known
}

// subject is the environment that the outcome is about: the last one that did
// not end well, else the last one that the run came to; nil before the first.
func subject(s *Story) *Environment {
	for i := len(s.Environments) - 1; i >= 0; i-- {
		if o := s.Environments[i].Outcome; o != "" && !good(o) {
			return &s.Environments[i]
		}
	}
	for i := len(s.Environments) - 1; i >= 0; i-- {
		if s.Environments[i].reached() {
			return &s.Environments[i]
		}
	}
	return nil
}

// ending is the outcome for people: that of the environment where it is worse
// than the run's, as when settle has successfully taken something back.
func ending(s *Story) deploy.Outcome {
	if e := subject(s); e != nil && e.Outcome != "" && good(s.Outcome) && !good(e.Outcome) {
		return e.Outcome
	}
	return s.Outcome
}

// why is the reason of an end that was not meant.
func why(s *Story) string {
	e := subject(s)
	switch {
	case e != nil && e.Reason != "" && e.Outcome != "" && !good(e.Outcome):
		return e.Reason
	case e != nil && e.Outcome == "" && e.Revert != nil:
		return e.Revert.Reason
	case s.Outcome != "" && !good(s.Outcome):
		return s.Message
	}
	return ""
}

// maxListed bounds how many environments a sentence lists.
const maxListed = 20

// liveNow says for each environment what its users have.
func liveNow(s *Story) string {
	var parts []string
	for i := range s.Environments {
		if text := live(s, &s.Environments[i]); text != "" {
			parts = append(parts, text)
		}
	}
	if more := len(parts) - maxListed; more > 0 {
		parts = append(parts[:maxListed], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(parts, "; ")
}

// live says what the users of an environment have; empty where nothing was
// done or asked.
func live(s *Story, e *Environment) string {
	in := " in " + e.Name
	if e.Removed != "" {
		return "nothing" + in
	}
	switch e.Outcome {
	case deploy.Promoted:
		return candidate(e) + in
	case deploy.Unchanged:
		return orElse(s.Version(), "the same version as before") + in
	case deploy.Failed, deploy.Reverted:
		return previous(e) + in
	case deploy.Unknown:
		if e.Candidate == nil {
			return "not certain" + in
		}
		return "not certain" + in + ": " + previous(e) + ", " + candidate(e) + " or both"
	}
	switch {
	case !e.began() && e.Outcome == "":
		return ""
	case e.Share == 0:
		return previous(e) + in
	case e.Share == 100:
		return candidate(e) + in
	}
	return previous(e) + in + ", with " + e.Share.String() + " of the users on " + candidate(e)
}

func candidate(e *Environment) string {
	if e.Candidate == nil {
		return "the new version"
	}
	return e.Candidate.Version
}

// previous is what was live before, as far as it is known.
func previous(e *Environment) string {
	switch {
	case e.Previous != nil:
		return e.Previous.Version
	case e.Candidate != nil && (e.began() || len(e.acts) > 0):
		return "nothing"
	}
	return "the same version as before"
}

// felt says what the users of an environment got from the new version.
func felt(e *Environment) string {
	if e == nil || e.Candidate == nil {
		return ""
	}
	if !e.began() { // another run did: what they got before is not known
		return strings.TrimPrefix(wayBack(e), "; ")
	}
	reached, uncounted := false, false
	var new, old Traffic
	for _, stage := range e.Stages {
		reached = reached || stage.Share > 0
		if o := stage.Observation; o != nil {
			new.add(o.Candidate)
			old.add(o.Live)
			uncounted = o.Uncounted
		}
	}
	// What failed did so before anybody was moved, also in a stage that was about
	// to: where users were reached, it is reverted.
	if !reached || e.Outcome == deploy.Failed {
		return "none was sent to " + candidate(e)
	}
	text := answered(e, new, uncounted)
	if e.Previous != nil && old.Errors > 0 {
		text += ", and " + old.in(previous(e), "meanwhile")
	}
	if e.Strategy == deploy.Recreate && e.Previous != nil {
		text += "; nobody was served while one version stopped and the other started"
	}
	return text + wayBack(e)
}

// answered says how the requests to the new version fared, if they were counted.
func answered(e *Environment, new Traffic, uncounted bool) string {
	switch {
	case new.Requests > 0:
		return new.in(candidate(e), "while it was watched")
	case uncounted:
		return "requests to " + candidate(e) + " are not counted by " + e.Name + " itself"
	}
	return "no request reached " + candidate(e) + " while it was watched"
}

// wayBack says how long it took until users were safe again.
func wayBack(e *Environment) string {
	if e.Revert == nil || e.Revert.TrafficBack == nil {
		return ""
	}
	back := took(max(e.Revert.TrafficBack.Duration(), time.Millisecond))
	return fmt.Sprintf("; all were back on %s %s after the decision", previous(e), back)
}

func (t *Traffic) add(more Traffic) {
	t.Requests += more.Requests
	t.Errors += more.Errors
	t.Lost += more.Lost
}

// in says how many requests to a version failed.
func (t Traffic) in(version, when string) string {
	text := fmt.Sprintf("%d of %s to %s failed %s", t.Errors, plural(t.Requests, "request"), version, when)
	if t.Errors == 0 {
		text = fmt.Sprintf("none of %s to %s failed %s", plural(t.Requests, "request"), version, when)
	}
	if t.Lost > 0 {
		text += fmt.Sprintf(" (%d got no answer)", t.Lost)
	}
	return text
}

// next is what can be done now: what those who know the reason say, else what
// fits the outcome.
func next(s *Story) fact {
	f := fact{label: "Next", text: s.Hint}
	e := subject(s)
	if e == nil {
		return f
	}
	f.text = orElse(f.text, e.Hint)
	if f.text != "" || !plainName(e.Name) {
		return f
	}
	in := " --environment " + e.Name
	switch ending(s) {
	case deploy.Promoted:
		if number, preview := deploy.PullRequestOf(e.Name); preview {
			f.text = fmt.Sprintf("try it; it goes when pull request #%d is over", number)
			return f
		}
		if !e.WatchedUntil.IsZero() {
			f.text, f.command = "should it get worse, it is taken back by the scheduled run; by hand with", "slipway abort"+in
			return f
		}
		if e.Previous != nil {
			f.text, f.command = "should it be worse after all, go back with", "slipway rollback"+in
		}
	case deploy.Failed, deploy.Reverted:
		f.text = "nothing has to be cleared away: fix it and release again"
		if !e.began() {
			f.text = "nothing has to be cleared away: release again"
		}
	case deploy.Held:
		f.text, f.command = "go on with resume, or go back with abort", "slipway resume"+in
	case deploy.Unknown:
		f.text, f.command = "look at slipway status; this tries the way back again", "slipway settle"+in
	}
	return f
}

// headline is what happened, with a sign, in words that need no knowledge of
// Slipway.
func headline(s *Story) string {
	signs := map[deploy.Outcome]string{
		deploy.Promoted: "✅", deploy.Unchanged: "✅", deploy.Failed: "❌",
		deploy.Reverted: "↩️", deploy.Held: "✋", deploy.Unknown: "⚠️",
	}
	return orElse(signs[ending(s)], "🚢") + " " + happened(s)
}

func happened(s *Story) string {
	what := strings.TrimSpace(s.Run.App + " " + s.Version())
	var last Environment
	if e := subject(s); e != nil {
		last = *e
	}
	where := orElse(last.Name, "its environment")
	if text := drifted(s); text != "" && (good(ending(s)) || ending(s) == deploy.Held) {
		return text
	}
	switch ending(s) {
	case deploy.Promoted:
		return what + " is live in " + where + last.watched()
	case deploy.Unchanged:
		return unchanged(s, what)
	case deploy.Failed:
		return failed(orElse(s.Run.Operation, "run")+" of "+what, last)
	case deploy.Reverted:
		return reverted(what, last)
	case deploy.Held:
		return fmt.Sprintf("%s waits in %s: a person must decide", what, where)
	case deploy.Unknown:
		return fmt.Sprintf("%s: it is not certain what runs in %s", what, where)
	}
	return strings.TrimSuffix(what+" is on its way to "+last.Name, " to ")
}

// watched says until when scheduled runs look at the version; empty where none
// does.
func (e *Environment) watched() string {
	if e.WatchedUntil.IsZero() {
		return ""
	}
	return ", watched until " + e.WatchedUntil.UTC().Format("2006-01-02 15:04 UTC")
}

// failed tells a run that failed in an environment from one that failed before
// the first, or after one that had ended well.
func failed(what string, e Environment) string {
	switch {
	case e.Name == "":
		return what + " failed: nothing changed for users"
	case good(e.Outcome):
		return what + " failed after " + e.Name + ": nothing changed for other users"
	}
	return what + " in " + e.Name + " failed: nothing changed for users"
}

func unchanged(s *Story, what string) string {
	if s.Image != nil && len(s.Environments) == 0 {
		return what + " is built"
	}
	if text := merging(s); text != "" {
		return what + ": " + text
	}
	if names := removed(s); len(names) > 0 {
		return s.Run.App + ": removed " + strings.Join(names[:min(maxListed, len(names))], ", ")
	}
	return s.Run.App + ": " + orElse(s.Message, "nothing had to change")
}

// removed are the environments that are no more.
func removed(s *Story) []string {
	var names []string
	for _, e := range s.Environments {
		if e.Removed != "" {
			names = append(names, e.Name)
		}
	}
	return names
}

func reverted(what string, e Environment) string {
	where := orElse(e.Name, "its environment")
	switch {
	case e.Previous != nil:
		return fmt.Sprintf("%s was taken back: %s runs %s again", what, where, e.Previous.Version)
	case e.Candidate != nil:
		return fmt.Sprintf("%s was taken back: nothing runs in %s, for it was the first", what, where)
	}
	return fmt.Sprintf("%s was taken back from %s", what, where)
}
