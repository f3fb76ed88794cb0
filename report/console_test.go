package report

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// hooks print what the real runner's methods do, to the same place.
type hooks struct{ out *bytes.Buffer }

func escape(s string) string {
	return strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A").Replace(s)
}

func (h hooks) Group(title string) { fmt.Fprintf(h.out, "::group::%s\n", escape(title)) }
func (h hooks) EndGroup()          { fmt.Fprintln(h.out, "::endgroup::") }
func (h hooks) Error(title, message string) {
	fmt.Fprintf(h.out, "::error title=%s::%s\n", escape(title), escape(message))
}

func (h hooks) Warning(title, message string) {
	fmt.Fprintf(h.out, "::warning title=%s::%s\n", escape(title), escape(message))
}

// show renders the events of a story on a console.
func show(t *testing.T, events []deploy.Event, o ConsoleOptions) string {
	t.Helper()
	var out bytes.Buffer
	o.Out, o.Scrub = &out, hide
	if o.Runner != nil {
		o.Runner = hooks{&out}
	}
	c := NewConsole(o)
	for _, e := range events {
		if err := c.Report(context.Background(), e); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestConsole(t *testing.T) {
	for name, events := range stories() {
		t.Run(name, func(t *testing.T) {
			plainText := show(t, events, ConsoleOptions{})
			onRunner := show(t, events, ConsoleOptions{Runner: hooks{}})
			terminal := show(t, events, ConsoleOptions{Terminal: true, Width: 72})
			golden(t, name+"/plain.txt", plainText)
			golden(t, name+"/runner.txt", onRunner)
			golden(t, name+"/terminal.txt", strings.ReplaceAll(terminal, "\x1b", "␛"))
			checkSafe(t, plainText+onRunner+terminal)
			if strings.ContainsAny(plainText+onRunner, "\x1b\r\u202e") {
				t.Error("control characters outside of a terminal")
			}
			checkGroups(t, onRunner)
		})
	}
}

// checkGroups holds that groups are not nested nor empty, and that no line but
// our own is a command.
func checkGroups(t *testing.T, log string) {
	t.Helper()
	open, lines := false, 0
	for line := range strings.Lines(log) {
		trimmed := strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(trimmed, "::group::"):
			if open {
				t.Error("a group in a group")
			}
			open, lines = true, 0
		case trimmed == "::endgroup::":
			if !open || lines == 0 {
				t.Errorf("a group that is not open, or empty, in\n%s", log)
			}
			open = false
		case strings.HasPrefix(trimmed, "::error title="), strings.HasPrefix(trimmed, "::warning title="):
		case strings.HasPrefix(trimmed, "::"), strings.Contains(line, "##["):
			t.Errorf("a command was injected: %s", line)
		default:
			lines++
		}
	}
	if open {
		t.Error("a group is left open")
	}
}

func TestConsoleOnATerminalLeavesOnlyWholeLines(t *testing.T) {
	got := show(t, tellPromoted(), ConsoleOptions{Terminal: true, NoColor: true, Width: 60})
	if strings.Contains(got, "\x1b[3") {
		t.Error("colours in spite of NO_COLOR")
	}
	for line := range strings.SplitSeq(got, "\n") {
		if at := strings.LastIndex(line, "\r\x1b[2K"); at >= 0 {
			line = line[at+len("\r\x1b[2K"):]
		}
		if strings.Contains(line, "◆") && !strings.HasPrefix(line, "\r") {
			if n := len([]rune(line)); n > 59 {
				t.Errorf("the live line is %d wide: %s", n, line)
			}
		}
	}
	if !strings.HasSuffix(got, "\n") {
		t.Errorf("the live line is left on the screen: %q", got[max(0, len(got)-40):])
	}
}

func TestConsoleShowsProgressNowAndThenInALog(t *testing.T) {
	tale := newTale().begin().rollout("production", "1.4.2", "1.5.0").start("production", 2)
	for range 100 {
		tale.observe("production", 2, time.Second, 10, 0)
	}
	got := show(t, tale.events, ConsoleOptions{})
	if n := strings.Count(got, "of the users,"); n != 3 {
		t.Errorf("%d lines of progress in 100s:\n%s", n, got)
	}
}

// A Role in one line is none that anybody can apply.
func TestConsoleShowsWhatIsToBeCopiedAsItIs(t *testing.T) {
	hint := "have this applied:\nkind: Role\nrules:\n- verbs: [get]\n  resources: [pods]\n---\nkind: RoleBinding\n"
	tale := newTale().begin()
	tale.tell(0, deploy.Event{Kind: deploy.Warning, Environment: "production", Message: "a release would be refused", Hint: hint})
	tale.end("production", deploy.Event{Outcome: deploy.Failed, Message: "may not get pods", Hint: hint})
	got := show(t, tale.over(deploy.Failed, "may not get pods", hint).events, ConsoleOptions{})
	lines := "have this applied:\nkind: Role\nrules:\n- verbs: [get]\n  resources: [pods]\n---\nkind: RoleBinding\n"
	if n := strings.Count(got, lines); n != 2 {
		t.Errorf("the warning and the end show the lines %d times:\n%s", n, got)
	}
}

// full is a writer to a disk that is full.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestConsoleTellsOfItsOwnErrors(t *testing.T) {
	c := NewConsole(ConsoleOptions{Out: full{}})
	err := c.Report(context.Background(), tellPromoted()[0])
	if err == nil || err.Error() != "print: no space left" {
		t.Errorf("got %v", err)
	}
}

func TestCutKeepsColoursWhole(t *testing.T) {
	if got := cut("\x1b[31mäbc\x1b[0mdef", 4); got != "\x1b[31mäbc\x1b[0md\x1b[0m" {
		t.Errorf("got %q", got)
	}
}
