package report

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/slipway-ci/slipway/deploy"
)

// Runner is what a Console needs of the GitHub runner that it prints on.
type Runner interface {
	// Group begins a log group, EndGroup ends it.
	Group(title string)
	EndGroup()
	// Error and Warning annotate the run.
	Error(title, message string)
	Warning(title, message string)
}

// ConsoleOptions say where and how a Console prints. Out alone is required.
type ConsoleOptions struct {
	Out io.Writer
	// Terminal: Out can move its cursor, so one line shows live progress.
	Terminal bool
	// Width is the number of columns; 0 means 80.
	Width int
	// NoColor leaves out colours on a terminal, as the environment variable
	// NO_COLOR asks for. Elsewhere there are none.
	NoColor bool
	// Runner folds the log and annotates; nil off a runner. It has to write to
	// the same place as Out.
	Runner Runner
	// Requests counts those that were made to clusters, by verb and resource; nil
	// where none are.
	Requests func() map[string]int
	Scrub    Scrub
}

// Console prints the run as a story: plain lines in a log, groups and
// annotations on a GitHub runner, and one live line of progress on a terminal.
type Console struct {
	o        ConsoleOptions
	timeline Timeline

	mu sync.Mutex
	// live is whether the live line is on the screen.
	live bool
	// group is the title of a log group that is still to be opened; open is
	// whether one is.
	group string
	open  bool
	// step is a step whose end was told. Whether it ended well shows with the
	// next event.
	step *deploy.Event
	// at is the environment whose title was the last one that was printed.
	at string
	// gap is whether the last line was empty.
	gap bool
	// blamed is whether an error was annotated.
	blamed bool
	// showed is when progress was last printed where there is no live line.
	showed time.Time
}

var _ Flusher = (*Console)(nil)

// NewConsole makes a Console.
func NewConsole(o ConsoleOptions) *Console {
	if o.Width <= 0 {
		o.Width = 80
	}
	return &Console{o: o}
}

// String names it.
func (c *Console) String() string { return "the console" }

// progressEvery is how often progress is printed where there is no live line.
const progressEvery = 30 * time.Second

// Report prints an event. Its error is that of the writer.
func (c *Console) Report(_ context.Context, e deploy.Event) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	e = c.o.Scrub.event(e)
	c.timeline.Add(e)
	p := &page{c: c}
	c.tell(p, e)
	return p.flush()
}

// Flush erases the live line and closes an open group.
func (c *Console) Flush(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &page{c: c}
	c.closeGroup(p)
	return p.flush()
}

// tellers print the kinds of events.
var tellers = map[deploy.EventKind]func(*Console, *page, deploy.Event){
	deploy.RunStarted:     (*Console).runStarted,
	deploy.StepStarted:    (*Console).stepStarted,
	deploy.StepEnded:      (*Console).stepEnded,
	deploy.Building:       (*Console).building,
	deploy.ImageReady:     (*Console).imageReady,
	deploy.RolloutStarted: (*Console).rolloutStarted,
	deploy.TaskStarted:    (*Console).taskStarted,
	deploy.TaskSaid:       (*Console).taskSaid,
	deploy.TaskEnded:      (*Console).taskEnded,
	deploy.StageStarted:   (*Console).stageStarted,
	deploy.Observed:       (*Console).observed,
	deploy.Checked:        (*Console).checked,
	deploy.StagePassed:    (*Console).stagePassed,
	deploy.Reverting:      (*Console).reverting,
	deploy.TrafficBack:    (*Console).trafficBack,
	deploy.RolloutEnded:   (*Console).rolloutEnded,
	deploy.SteppedAside:   (*Console).steppedAside,
	deploy.Removed:        (*Console).removed,
	deploy.TagMoved:       (*Console).notice,
	deploy.Drifted:        (*Console).drifted,
	deploy.Notice:         (*Console).notice,
	deploy.Warning:        (*Console).warning,
	deploy.RunEnded:       (*Console).runEnded,
}

func (c *Console) tell(p *page, e deploy.Event) {
	switch e.Kind {
	case deploy.Observed, deploy.Warning, deploy.Queued:
	default:
		c.settleStep(p, e)
		if e.Environment != "" {
			c.enter(p, e.Environment)
		}
	}
	if teller, ok := tellers[e.Kind]; ok {
		teller(c, p, e)
	}
}

func (c *Console) stepEnded(_ *page, e deploy.Event) { c.step = &e }

func (c *Console) imageReady(p *page, e deploy.Event) {
	p.line("    %s", p.dim(oneLine(e.Message, 200)))
}

func (c *Console) stageStarted(p *page, e deploy.Event) { p.progress = c.progressLine(e) }

func (c *Console) reverting(p *page, e deploy.Event) {
	p.line("  %s %s", p.cross(), "going back: "+oneLine(e.Message, 400))
	if env := c.timeline.story.Environment(e.Environment); env != nil {
		for _, line := range chart(env) {
			p.line("    %s", oneLine(line, 200))
		}
	}
}

func (c *Console) trafficBack(p *page, e deploy.Event) {
	p.line("  %s %s", p.yellow("↩"), oneLine(e.Message, 400))
}

func (c *Console) steppedAside(p *page, e deploy.Event) {
	p.line("  %s %s", p.green("="), "left to a newer run: "+oneLine(e.Message, 400))
}

func (c *Console) removed(p *page, e deploy.Event) {
	p.line("  %s %s", p.green("✓"), "removed: "+oneLine(e.Message, 400))
}

func (c *Console) notice(p *page, e deploy.Event) { p.line("    %s", oneLine(e.Message, 1000)) }

func (c *Console) runStarted(p *page, e deploy.Event) {
	if e.Run == nil {
		p.line("%s", oneLine(e.Message, 200))
		return
	}
	r := *e.Run
	p.line("%s", p.bold(oneLine(title(Run(r)), 200)))
	if r.URL != "" {
		p.line("%s", p.dim(oneLine(r.URL, 300)))
	}
	p.line("")
}

// title names a run: what, of which commit, by whom.
func title(r Run) string {
	s := r.App + ": " + r.Operation
	if r.Commit != "" {
		s += " of " + r.Commit[:min(10, len(r.Commit))]
	}
	if name := refName(r.Ref); name != "" {
		s += " on " + name
	}
	if r.Who != "" {
		s += " by " + r.Who
	}
	return s
}

func refName(ref string) string {
	for _, prefix := range []string{"refs/heads/", "refs/tags/", "refs/"} {
		if name, ok := strings.CutPrefix(ref, prefix); ok {
			return name
		}
	}
	return ref
}

func (c *Console) stepStarted(p *page, e deploy.Event) {
	c.at, c.showed = "", e.At
	c.wantGroup(p, e.Message)
	p.progress = "  " + p.dim("○ "+oneLine(e.Message, 60)+" …")
}

// settleStep prints how the last step ended. An environment that it deployed
// to has said so itself.
func (c *Console) settleStep(p *page, next deploy.Event) {
	step := c.step
	if step == nil {
		return
	}
	c.step = nil
	c.closeGroup(p)
	if c.at != "" {
		return
	}
	mark := p.green("✓")
	if next.Kind == deploy.RunEnded && !good(next.Outcome) && !next.Asked {
		mark = p.cross()
	}
	p.line("  %s %s", mark, columns(oneLine(step.Message, 60), took(step.Took), ""))
}

// enter prints the title of an environment, unless it has been.
func (c *Console) enter(p *page, environment string) {
	if c.at == environment {
		return
	}
	c.at = environment
	url := ""
	if env := c.timeline.story.Environment(environment); env != nil {
		url = oneLine(env.URL, 200)
	}
	c.wantGroup(p, environment)
	if c.o.Runner == nil {
		p.line("")
		p.line("%s  %s", p.bold(oneLine(environment, 60)), p.dim(url))
		return
	}
	if url != "" {
		p.line("  %s", url)
	}
}

func (c *Console) rolloutStarted(p *page, e deploy.Event) {
	c.showed = e.At
	p.line("  %s", oneLine(c.change(e), 400))
}

// change says what replaces what, and how.
func (c *Console) change(e deploy.Event) string {
	if e.Plan == nil || e.Plan.Candidate.IsZero() {
		return e.Message
	}
	from, to := e.Plan.Live, e.Plan.Candidate
	switch {
	case from.IsZero():
		return fmt.Sprintf("%s is the first version here", to)
	case from.Image.Version == to.Image.Version:
		return fmt.Sprintf("%s replaces %s by %s", to, from, e.Plan.Strategy.Kind)
	}
	return fmt.Sprintf("%s replaces %s by %s", to, from.Image.Version, e.Plan.Strategy.Kind)
}

func (c *Console) stage(name string) (*Environment, *Stage) {
	env := c.timeline.story.Environment(name)
	if env == nil {
		return nil, nil
	}
	stage := env.current()
	return env, stage
}

func (c *Console) stagePassed(p *page, e deploy.Event) {
	env, s := c.stage(e.Environment)
	if s == nil {
		return
	}
	head := fmt.Sprintf("%d/%d %s", s.Number, max(env.planned(), s.Number), oneLine(s.Name, 200))
	p.line("  %s %s", p.green("✓"), columns(head, took(s.Took()), counts(s.Observation)))
	if o := s.Observation; o != nil && o.Judge != nil && o.Hold > 0 {
		p.line("    %s", oneLine(o.Verdict, 400))
	}
	c.showed = e.At
}

func (c *Console) checked(p *page, e deploy.Event) {
	if e.Check == nil {
		return
	}
	check := *e.Check
	if check.Passed {
		p.line("    %s %s", p.green("✓"), columns("check "+oneLine(check.Name, 60), took(check.Took), ""))
		return
	}
	tries := ""
	if check.Attempts > 1 {
		tries = fmt.Sprintf("%d attempts", check.Attempts)
	}
	p.line("    %s %s", p.cross(), columns("check "+oneLine(check.Name, 60), took(check.Took), tries))
	p.quote(strings.Split(check.Detail, "\n"))
}

func (c *Console) observed(p *page, e deploy.Event) {
	if c.o.Terminal {
		p.progress = c.progressLine(e)
		return
	}
	if e.Observation == nil || e.At.Sub(c.showed) < progressEvery {
		return
	}
	c.showed = e.At
	_, s := c.stage(e.Environment)
	if s == nil || s.Observation == nil {
		return
	}
	p.line("    %s", columns(fmt.Sprintf("%s of the users, %s", s.Observation.Share, elapsed(s.Observation)), "", counts(s.Observation)))
}

// progressLine is the live line: share, bar, time, counts.
func (c *Console) progressLine(e deploy.Event) string {
	env, s := c.stage(e.Environment)
	if s == nil {
		return ""
	}
	p := &page{c: c}
	share := s.Share
	if s.Observation != nil {
		share = s.Observation.Share
	}
	line := fmt.Sprintf("  %s %d/%d %4s %s", p.yellow("◆"), s.Number, max(env.planned(), s.Number), share, bar(share))
	if s.Observation == nil {
		return line + "  " + oneLine(s.Name, 100)
	}
	return line + "  " + elapsed(s.Observation) + "  " + counts(s.Observation)
}

// bar is a share in ten blocks.
func bar(share deploy.Percent) string {
	full := min(10, max(0, int(share/10+0.5)))
	return strings.Repeat("█", full) + strings.Repeat("░", 10-full)
}

func elapsed(o *Observation) string {
	if o.Hold == 0 {
		return took(o.Elapsed.Duration())
	}
	return fmt.Sprintf("%s of %s", took(o.Elapsed.Duration()), took(o.Hold.Duration()))
}

// counts say what the candidate's users got.
func counts(o *Observation) string {
	if o == nil {
		return ""
	}
	ready := fmt.Sprintf("%d/%d ready", o.Ready, o.Replicas)
	if o.Candidate.Requests == 0 {
		return ready
	}
	return fmt.Sprintf("%s, %s, %s", plural(o.Candidate.Requests, "request"), plural(o.Candidate.Errors, "error"), ready)
}

func plural(n uint64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func (c *Console) rolloutEnded(p *page, e deploy.Event) {
	c.closeGroup(p)
	where := ""
	if c.o.Runner != nil {
		where = e.Environment + " "
	}
	story := &c.timeline.story
	env := story.Environment(e.Environment)
	if env == nil { // an event that names none
		env = &Environment{}
	}
	text := fmt.Sprintf("%s%s: %s", where, e.Outcome, e.Message)
	if env.Revert != nil && env.Revert.Reason == e.Message { // it has been said
		text = fmt.Sprintf("%s%s: users have %s", where, e.Outcome, live(story, env))
	}
	p.line("  %s %s", p.mark(e.Outcome), columns(oneLine(text, 400), took(e.Took), ""))
	if good(e.Outcome) || e.Asked {
		return
	}
	p.evidence(e.Evidence)
	c.blame(p, e.Outcome, e.Environment+" "+string(e.Outcome), e.Message+". Users have "+live(story, env), e.Hint)
}

func (p *page) evidence(e *deploy.Evidence) {
	if e == nil {
		return
	}
	what := e.Reason
	if e.Replica != "" {
		what = "replica " + e.Replica + " " + e.Reason
	}
	p.line("    %s", oneLine(what, 400))
	p.quote(e.Log)
	p.quote(e.Events)
}

// blame annotates the run: with a warning where a person must decide, else
// with an error.
func (c *Console) blame(p *page, o deploy.Outcome, title, message, hint string) {
	if c.o.Runner == nil {
		return
	}
	c.blamed = true
	p.flushed()
	annotate := c.o.Runner.Error
	if o == deploy.Held {
		annotate = c.o.Runner.Warning
	}
	annotate(c.clean(title), c.clean(withHint(message, hint)))
}

func withHint(message, hint string) string {
	if hint == "" {
		return message
	}
	return message + ". Next: " + hint
}

func (c *Console) warning(p *page, e deploy.Event) {
	if c.o.Runner != nil {
		p.flushed()
		c.o.Runner.Warning(c.clean(orElse(e.Environment, "Slipway")), c.clean(withHint(e.Message, e.Hint)))
		return
	}
	p.line("  %s %s", p.yellow("!"), oneLine(e.Message, 1000))
	if e.Hint != "" {
		head, lines := toCopy(e.Hint)
		p.line("    %s", oneLine("next: "+head, 1000))
		copied(p, lines)
	}
}

// show prints a fact, and below it what is to be copied.
func (f fact) show(p *page) {
	text, lines := f.text, []string(nil)
	if f.label == "Next" {
		text, lines = toCopy(f.text)
	}
	text = oneLine(text, 1000)
	if f.command != "" {
		text += ": " + oneLine(f.command, 200)
	}
	p.line("  %-9s %s", strings.ToLower(f.label)+":", text)
	copied(p, lines)
}

// maxCopied bounds how many lines to copy are shown.
const maxCopied = 200

// copied shows lines that people copy, such as objects to apply: as they are, at the
// left margin.
func copied(p *page, lines []string) {
	for _, line := range lines[:min(len(lines), maxCopied)] {
		p.line("%s", logLine(line))
	}
}

func (c *Console) clean(s string) string { return c.o.Scrub.apply(oneLine(c.o.Scrub.apply(s), 4000)) }

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

func (c *Console) runEnded(p *page, e deploy.Event) {
	c.closeGroup(p)
	p.line("")
	story := &c.timeline.story
	head := string(ending(story)) + ": " + happened(story)
	p.line("%s %s", p.mark(ending(story)), p.bold(columns(oneLine(head, 400), took(story.Took.Duration()), "")))
	for _, f := range glance(story) {
		f.show(p)
	}
	if asked := clusterOf(c.o.Requests); asked != nil {
		p.line("  %-9s %s", "cluster:", asked)
	}
	if !good(e.Outcome) && !e.Asked && !c.blamed {
		c.blame(p, e.Outcome, "Slipway: "+string(e.Outcome), e.Message, e.Hint)
	}
}

// wantGroup opens a log group before the next line, in place of the one that
// is open, so that no group stays empty.
func (c *Console) wantGroup(p *page, title string) {
	c.closeGroup(p)
	if c.o.Runner != nil {
		c.group = title
	}
}

func (c *Console) closeGroup(p *page) {
	c.group = ""
	if c.open {
		p.flushed()
		c.o.Runner.EndGroup()
		c.open = false
	}
}

// took prints a duration as people say it.
func took(d time.Duration) string {
	switch {
	case d <= 0:
		return ""
	case d < time.Second:
		return fmt.Sprintf("%dms", max(1, d.Milliseconds()))
	case d < time.Minute:
		return fmt.Sprintf("%.1fs", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// textColumn is as wide as what most stages do takes to say.
const textColumn = 60

// columns aligns a text, a duration and a remark. A text that is too wide moves
// the others to the right.
func columns(text, duration, remark string) string {
	if duration == "" && remark == "" {
		return text
	}
	s := text + strings.Repeat(" ", max(1, textColumn-utf8.RuneCountInString(text)))
	s += fmt.Sprintf("%7s", duration)
	if remark != "" {
		s += "   " + remark
	}
	return s
}
