package action

import (
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/slipway-ci/slipway/deploy"
)

// maxSummary is GitHub's limit for the job summary of one step.
const maxSummary = 1 << 20

// SetOutput sets an output of the step. Without a runner it does nothing.
func (r *Runner) SetOutput(name, value string) error {
	return r.appendVariable("GITHUB_OUTPUT", name, value)
}

// SetState keeps a value for the post-entrypoint of the same step; see State.
func (r *Runner) SetState(name, value string) error {
	return r.appendVariable("GITHUB_STATE", name, value)
}

// State is what SetState kept in the main entrypoint of this step.
func (r *Runner) State(name string) string { return r.getenv("STATE_" + name) }

// Summary appends Markdown to the job summary. More than GitHub's limit of
// 1 MiB is an error, for GitHub would drop all of it. Without a runner it does
// nothing.
func (r *Runner) Summary(markdown string) error {
	if !r.Present() {
		return nil
	}
	markdown = r.masker.String(markdown)
	if len(markdown) > maxSummary {
		return fmt.Errorf("write the job summary: %d bytes are more than GitHub takes (%d)", len(markdown), maxSummary)
	}
	return r.appendFile("GITHUB_STEP_SUMMARY", markdown+"\n")
}

func (r *Runner) appendVariable(file, name, value string) error {
	if !r.Present() {
		return nil
	}
	if name == "" || strings.ContainsAny(name, "=\r\n<") {
		return fmt.Errorf("write %s: %q cannot be a name", file, name)
	}
	value = r.masker.String(value)
	delimiter := delimiterFor(value)
	return r.appendFile(file, name+"<<"+delimiter+"\n"+value+"\n"+delimiter+"\n")
}

// delimiterFor makes an end mark that nobody can guess and that the value does
// not contain: with a known one, a value could end its own entry and begin
// another.
func delimiterFor(value string) string {
	for {
		delimiter := "slipway-" + rand.Text()
		if !strings.Contains(value, delimiter) {
			return delimiter
		}
	}
}

func (r *Runner) appendFile(variable, content string) error {
	path := r.getenv(variable)
	if path == "" {
		return deploy.Hinted(fmt.Errorf("write %s: the runner did not set it", variable),
			"update the runner: it has to support environment files")
	}
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("write %s: %w", variable, err)
	}
	_, err = f.WriteString(content)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", variable, err)
	}
	return nil
}
