package targettest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// task does something with the suite's app.
func (w *world) task(name string, flags ...string) deploy.Task {
	return deploy.Task{Name: name, Run: append([]string{"/app"}, flags...), Timeout: w.driver.Patience}
}

// doer is the target of an environment that has tasks; the case is skipped where
// it cannot do any.
func (w *world) doer() deploy.Runner {
	w.Helper()
	w.tasks = deploy.Tasks{Before: []deploy.Task{w.task("some")}}
	w.target = w.open()
	return as[deploy.Runner](w)
}

// paper takes down the log of a task.
type paper struct {
	mu    sync.Mutex
	lines []string
}

func (p *paper) line(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lines = append(p.lines, text)
}

func (p *paper) said() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.lines)
}

// heard waits for a line.
func (w *world) heard(p *paper, line string) {
	w.Helper()
	for ctx := w.limited(); !slices.Contains(p.said(), line); {
		select {
		case <-ctx.Done():
			w.Fatalf("%q was not told within %s: %q", line, w.driver.Patience, p.said())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// failing does a task that fails, and checks what is told of it.
func (w *world) failing(d deploy.Runner, r deploy.Revision, t deploy.Task, log func(string)) deploy.Evidence {
	w.Helper()
	return w.isFailed(d.Run(w.limited(), r, t, log), r, t)
}

func (w *world) isFailed(err error, r deploy.Revision, t deploy.Task) deploy.Evidence {
	w.Helper()
	evidence := w.isDoomed(err, r)
	if d, _ := errors.AsType[*deploy.Doomed](err); d.Task != t.Name {
		w.Errorf("the task %q has failed, not %s", d.Task, t.Name)
	}
	return evidence
}

func taskDone(w *world) {
	d := w.doer()
	r := w.secretive("1.0.0", "a value that nobody may see")
	t := w.task("migrate",
		"-say", "with a value that nobody may see", "-tell", "WHO",
		"-want", "FROM_IMAGE=image", "-want", "OVERRIDDEN=configuration of 1.0.0", "-want", "ODD=a=b \"c\" $d 'é'\n",
		"-want", "KEY=a value that nobody may see", "-want", "ARGUMENT=$(WHO) $d", "-count", "30", "-exit", "0")
	t.Env = map[string]string{"WHO": "the task", "ARGUMENT": "$(WHO) $d"}
	var p paper
	if err := d.Run(w.limited(), r, t, p.line); err != nil {
		w.Fatalf("%v; it said %q", err, p.said())
	}
	want := []string{"with ***", "the task"}
	for i := range 30 {
		want = append(want, fmt.Sprintf("line %d", i+1))
	}
	if said := p.said(); !slices.Equal(said, want) {
		w.Errorf("the log is %q, not %q", said, want)
	}
	if _, runs := w.state().Find(r.ID); runs {
		w.Error("the revision runs, of which only a task was done")
	}
	w.stop(r)
}

func taskFails(w *world) {
	d := w.doer()
	r, t := w.simple("1.0.0"), w.task("migrate", "-count", "30", "-exit", "7")
	var p paper
	evidence := w.failing(d, r, t, p.line)
	if !strings.Contains(evidence.Reason, "exited with code 7") {
		w.Errorf("the evidence does not name the code: %q", evidence.Reason)
	}
	if len(evidence.Log) != logLimit || evidence.Log[logLimit-1] != "line 30" || len(p.said()) != 30 {
		w.Errorf("the evidence has %q, the log %q", evidence.Log, p.said())
	}
	w.failing(d, r, t, p.line) // again: it is done anew
	if said := p.said(); len(said) != 60 {
		w.Errorf("done twice, it said %d lines: %q", len(said), said)
	}
	w.stop(r)
}

func taskWithoutImage(w *world) {
	d := w.doer()
	image := w.simple("1.0.0").Image
	image.Digest = "sha256:" + strings.Repeat("1", 64)
	r := w.revisionOf(image, service())
	w.failing(d, r, w.task("migrate"), func(string) {})
	w.stop(r)
}

func taskTooLong(w *world) {
	d := w.doer()
	r, t := w.simple("1.0.0"), w.task("migrate", "-say", "at work")
	t.Timeout = 5 * time.Second
	if evidence := w.failing(d, r, t, func(string) {}); !strings.Contains(evidence.Reason, "5s") {
		w.Errorf("the evidence does not name the time: %q", evidence.Reason)
	}
	w.stop(r)
}

// set does a task in a goroutine.
func (w *world) set(ctx context.Context, d deploy.Runner, r deploy.Revision, t deploy.Task, p *paper) <-chan error {
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, r, t, p.line) }()
	return ended
}

// taskEnds is how what was begun has ended.
func (w *world) taskEnds(ended <-chan error) error {
	w.Helper()
	select {
	case err := <-ended:
		return err
	case <-w.limited().Done():
		w.Fatalf("the task has not ended within %s", w.driver.Patience)
		return nil
	}
}

func taskGivenUp(w *world) {
	d := w.doer()
	r, t := w.simple("1.0.0"), w.task("migrate", "-say", "at work")
	ctx, cancel := context.WithCancelCause(w.limited())
	defer cancel(nil)
	var p paper
	ended := w.set(ctx, d, r, t, &p)
	w.heard(&p, "at work")
	cancel(errors.New("somebody has said so"))
	if err := w.taskEnds(ended); !errors.Is(err, context.Canceled) && (err == nil || !strings.Contains(err.Error(), "somebody has said so")) {
		w.Errorf("given up, it ended with %v", err)
	}
	t.Run = []string{"/app", "-say", "done", "-exit", "0"}
	var anew paper
	if err := d.Run(w.limited(), r, t, anew.line); err != nil || !slices.Equal(anew.said(), []string{"done"}) {
		w.Errorf("after that: %v, and it said %q", err, anew.said())
	}
	w.stop(r)
}

func taskRepeated(w *world) {
	d := w.doer()
	r, t := w.simple("1.0.0"), w.task("migrate", "-count", "40", "-every", "100ms", "-exit", "0")
	var first, second, third paper
	one := w.set(w.limited(), d, r, t, &first)
	w.heard(&first, "line 1")
	other := w.open().(deploy.Runner) // as w.target is
	two := w.set(w.limited(), other, r, t, &second)
	if err := errors.Join(w.taskEnds(one), w.taskEnds(two)); err != nil {
		w.Fatal(err)
	}
	if said := first.said(); len(said) != 40 {
		w.Errorf("who began it heard %q", said)
	}
	if said := second.said(); len(said) != 41 || !strings.Contains(said[0], "earlier") || said[40] != "line 40" {
		w.Errorf("who came later heard %q", said)
	}
	if err := other.Run(w.limited(), r, t, third.line); err != nil {
		w.Fatal(err)
	}
	if said := third.said(); len(said) != 1 || !strings.Contains(said[0], "earlier") {
		w.Errorf("who came when it was done heard %q", said)
	}
	w.stop(r)
}

func taskNoReplica(w *world) {
	d := w.doer()
	a, b := w.simple("1.0.0"), w.simple("1.1.0")
	w.bring(a)
	var pa, pb paper
	ctx, cancel := context.WithCancel(w.limited())
	defer cancel()
	ofLive, ofNext := w.set(ctx, d, a, w.task("reindex", "-name", "task", "-say", "at work"), &pa), w.set(ctx, d, b, w.task("migrate", "-name", "task", "-say", "at work"), &pb)
	w.heard(&pa, "at work")
	w.heard(&pb, "at work")
	w.is(a, deploy.Revision{}, 0)
	w.runs(a, 1)
	w.runs(b, 0)
	w.only("1.0.0")
	w.start(b)
	w.is(a, b, 0)
	w.runs(b, 1)
	w.makeLive(b)
	w.only("1.1.0")
	cancel()
	if err := w.taskEnds(ofLive); err == nil {
		w.Error("a task that was given up has ended well")
	}
	if err := w.taskEnds(ofNext); err == nil {
		w.Error("a task that was given up has ended well")
	}
	w.runs(b, 1)
	w.only("1.1.0")
}

func taskStopped(w *world) {
	d := w.doer()
	r, t := w.simple("1.0.0"), w.task("endless", "-say", "at work")
	done := w.task("migrate", "-say", "done", "-exit", "0")
	if err := d.Run(w.limited(), r, done, func(string) {}); err != nil {
		w.Fatal(err)
	}
	var p, again paper
	ended := w.set(w.limited(), d, r, t, &p)
	w.heard(&p, "at work")
	w.stop(r) // as settle does for a run that was killed
	if err := w.taskEnds(ended); err == nil {
		w.Error("a task that was stopped has ended well")
	}
	if err := d.Run(w.limited(), r, done, again.line); err != nil || !slices.Equal(again.said(), []string{"done"}) {
		w.Errorf("after that: %v, and it said %q", err, again.said())
	}
	w.stop(r)
}
