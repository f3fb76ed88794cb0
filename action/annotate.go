package action

import (
	"strconv"
	"strings"

	"github.com/sethvargo/go-githubactions"
)

// maxAnnotations is how many of a kind GitHub shows for a step.
const maxAnnotations = 10

// Level is how grave an annotation is.
type Level string

// The levels that GitHub knows.
const (
	LevelError   Level = "error"
	LevelWarning Level = "warning"
	LevelNotice  Level = "notice"
)

// Annotation is a message that GitHub shows at the run and, where it names a
// file, in the diff.
type Annotation struct {
	Level   Level
	Title   string
	Message string
	// File is relative to the repository; Line and Column count from 1, 0
	// leaves them out.
	File         string
	Line, Column int
}

// Annotate shows an annotation. GitHub drops all beyond 10 of a kind; those
// are printed as plain lines instead. Without a runner it does nothing.
func (r *Runner) Annotate(a Annotation) {
	if !r.Present() {
		return
	}
	message := r.masker.String(a.Message)
	if !r.count(a.Level) {
		r.commands.Infof("%s", defuse(string(a.Level)+": "+message))
		return
	}
	r.commands.IssueCommand(&githubactions.Command{
		Name: string(a.Level), Message: message, Properties: r.properties(a),
	})
}

// Error annotates with an error.
func (r *Runner) Error(title, message string) {
	r.Annotate(Annotation{Level: LevelError, Title: title, Message: message})
}

// Warning annotates with a warning.
func (r *Runner) Warning(title, message string) {
	r.Annotate(Annotation{Level: LevelWarning, Title: title, Message: message})
}

// Notice annotates with something good to know.
func (r *Runner) Notice(title, message string) {
	r.Annotate(Annotation{Level: LevelNotice, Title: title, Message: message})
}

// Group begins a log group that can be folded; it ends the one before.
// Without a runner it does nothing.
func (r *Runner) Group(title string) {
	if r.Present() {
		r.commands.Group(r.masker.String(title))
	}
}

// EndGroup ends the log group.
func (r *Runner) EndGroup() {
	if r.Present() {
		r.commands.EndGroup()
	}
}

// AddMask hides a value in all that this Runner and its Masker write, and asks
// the runner to hide it in the log. Without a runner, nothing is printed. Values
// shorter than 4 bytes are left to the Masker: the runner would hide them
// inside of every word.
func (r *Runner) AddMask(value string) {
	r.masker.Add(value)
	if r.Present() && len(strings.TrimSpace(value)) >= shortest {
		r.commands.AddMask(value)
	}
}

func (r *Runner) count(level Level) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.used[level]++
	return r.used[level] <= maxAnnotations
}

func (r *Runner) properties(a Annotation) githubactions.CommandProperties {
	p := githubactions.CommandProperties{}
	set := func(name, value string) {
		if value != "" && value != "0" {
			p[name] = r.masker.String(value)
		}
	}
	set("title", a.Title)
	set("file", a.File)
	set("line", strconv.Itoa(a.Line))
	set("col", strconv.Itoa(a.Column))
	return p
}

// defuse keeps text from being read as a workflow command: "::" at the
// beginning of a line, "##[" anywhere.
func defuse(s string) string {
	lines := strings.Split(strings.ReplaceAll(s, "\r", ""), "\n")
	for i, line := range lines {
		if strings.HasPrefix(strings.TrimSpace(line), "::") {
			line = "| " + line
		}
		lines[i] = strings.ReplaceAll(line, "##[", "## [")
	}
	return strings.Join(lines, "\n")
}
