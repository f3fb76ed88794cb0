package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/slipway-ci/slipway/deploy"
)

var _ deploy.Runner = (*fake)(nil)

// Run takes three seconds, and writes a line each second.
func (f *fake) Run(ctx context.Context, r deploy.Revision, task deploy.Task, log func(string)) error {
	act := fmt.Sprintf("run %s of %s", task.Name, r.Image.Version)
	for i := range 3 {
		log(fmt.Sprintf("line %d", i+1))
		if err := pause(ctx, time.Second); err != nil {
			return errors.Join(err, f.do(context.WithoutCancel(ctx), "end "+task.Name, func() {}))
		}
	}
	return f.do(ctx, act, func() {})
}

func task(name string) deploy.Task {
	return deploy.Task{Name: name, Run: []string{"/hello", name}, Timeout: time.Minute}
}

// migrating is a deployment with two tasks before and two after it.
func migrating(f *fake, k deploy.Kind) Deployment {
	d := deployment(f, k)
	d.Tasks = deploy.Tasks{Before: []deploy.Task{task("migrate"), task("check")}, After: []deploy.Task{task("reindex"), task("warm")}}
	return d
}

// fails is a task that ends with an exit code.
func fails(name string) func(context.Context) error {
	return func(context.Context) error {
		return &deploy.Doomed{Revision: newOne, Task: name, Hint: "look at it", Evidence: deploy.Evidence{Reason: "exited with code 3", Log: []string{"line 3"}}}
	}
}

var (
	before   = []string{"run migrate of 1.1.0", "run check of 1.1.0"}
	after    = []string{"run reindex of 1.1.0", "run warm of 1.1.0"}
	switched = []string{"start 1.1.0", "switch 1.1.0", "stop 1.0.0"}
)

func moved(t *testing.T, f *fake, want ...[]string) {
	t.Helper()
	if diff := cmp.Diff(slices.Concat(want...), f.moving()); diff != "" {
		t.Errorf("acts (-want +got):\n%s", diff)
	}
}

func TestTasksAreDoneAroundADeployment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, told := serving(), &story{}
		r := (&Engine{Reporter: told}).Deploy(t.Context(), migrating(f, deploy.BlueGreen))
		if r.Outcome != deploy.Promoted || !r.Well() || len(r.Plan.Tasks.Before) != 2 {
			t.Fatalf("outcome %s: %s; %+v", r.Outcome, r.Reason, r.Plan.Tasks)
		}
		moved(t, f, before, switched, after)
		wholeAndFree(t, f, newOne)
		var lines []string
		for _, e := range told.events {
			switch e.Kind {
			case deploy.TaskStarted, deploy.TaskSaid, deploy.TaskEnded:
				lines = append(lines, fmt.Sprintf("%s %s %s: %s (%s)", e.Kind, e.Task.When, e.Task.Name, e.Message, e.Took))
			}
		}
		want := []string{
			"task-started before migrate: /hello migrate (0s)", "task-said before migrate: line 1 (0s)", "task-said before migrate: line 2 (0s)",
			"task-said before migrate: line 3 (0s)", "task-ended before migrate: the task migrate is done (3s)",
		}
		if diff := cmp.Diff(want, lines[:5]); diff != "" || len(lines) != 20 {
			t.Errorf("%d events (-want +got):\n%s", len(lines), diff)
		}

		f.acts = nil
		if r := (&Engine{}).Deploy(t.Context(), migrating(f, deploy.BlueGreen)); r.Outcome != deploy.Unchanged {
			t.Errorf("again: %s: %s", r.Outcome, r.Reason)
		}
		moved(t, f) // what is live already has no tasks
	})
}

func TestATaskBeforeThatFailsEndsTheDeployment(t *testing.T) {
	for kind := range strategies {
		t.Run(string(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, told := serving(), &story{}
				f.trouble["run migrate of 1.1.0"] = fails("migrate")
				r := (&Engine{Reporter: told}).Deploy(t.Context(), migrating(f, kind))
				if r.Outcome != deploy.Failed || !strings.Contains(r.Reason, "the task migrate of 1.1.0") || r.Evidence == nil || r.Hint != "look at it" {
					t.Errorf("%s: %s (%+v; %s)", r.Outcome, r.Reason, r.Evidence, r.Hint)
				}
				for _, act := range f.moving() {
					if act != "run migrate of 1.1.0" && act != "stop 1.1.0" && !strings.HasPrefix(act, "roll 1.0.0 2/0/") && !strings.HasPrefix(act, "roll 1.1.0 0/0/2") && act != "stop the baseline" {
						t.Errorf("it did: %s", act)
					}
				}
				wholeAndFree(t, f, oldOne)
				if e, ok := told.find(deploy.TaskEnded); !ok || !e.Task.Failed || e.Evidence == nil {
					t.Errorf("told: %+v", e)
				}
			})
		})
	}
}

func TestATaskAfterThatFailsTakesNothingBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serving()
		f.trouble["run reindex of 1.1.0"] = fails("reindex")
		r := (&Engine{}).Deploy(t.Context(), migrating(f, deploy.BlueGreen))
		if r.Outcome != deploy.Promoted || r.Well() || r.Err == nil || r.Evidence == nil || !strings.Contains(r.Reason, "is live, and the task reindex of 1.1.0") {
			t.Errorf("%s: %s (%v)", r.Outcome, r.Reason, r.Err)
		}
		moved(t, f, before, switched, after)
		wholeAndFree(t, f, newOne)
		if got := f.state.History[0]; got.Outcome != deploy.Promoted || !got.Incomplete {
			t.Errorf("history: %+v", got)
		}
	})
}

func TestARunThatIsCancelledEndsItsTask(t *testing.T) {
	for what, ends := range map[string]func(*testing.T, context.CancelCauseFunc, *fake){
		"cancelled": func(_ *testing.T, cancel context.CancelCauseFunc, _ *fake) { cancel(errors.New("SIGTERM")) },
		"aborted": func(t *testing.T, _ context.CancelCauseFunc, f *fake) {
			if r := (&Engine{}).Abort(t.Context(), asked(f)); r.Outcome != deploy.Failed {
				t.Errorf("abort: %s: %s", r.Outcome, r.Reason)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := serving()
				f.trouble["run migrate of 1.1.0"] = hangs
				ctx, cancel := context.WithCancelCause(t.Context())
				done := make(chan Result)
				go func() { done <- (&Engine{}).Deploy(ctx, migrating(f, deploy.BlueGreen)) }()
				time.Sleep(1500 * time.Millisecond)
				ends(t, cancel, f)
				if r := <-done; r.Outcome != deploy.Failed || errors.Is(r.Err, ErrAborted) != (what == "aborted") {
					t.Errorf("%s: %s", r.Outcome, r.Reason)
				}
				if acts := f.moving(); !slices.Contains(acts, "stop 1.1.0") || slices.Contains(acts, "start 1.1.0") {
					t.Errorf("acts: %q", acts)
				}
				wholeAndFree(t, f, oldOne)
			})
		})
	}
}

// TestARunThatIsKilledInATask is killed at each write of the journal, and then
// settled, or released again.
func TestARunThatIsKilledInATask(t *testing.T) {
	die := func(t *testing.T, f *fake, n int) bool {
		d := migrating(f, deploy.BlueGreen)
		d.Target = &killed{fake: f, after: n}
		return dying(func() { (&Engine{}).Deploy(t.Context(), d) })
	}
	for n := range 8 {
		t.Run(fmt.Sprintf("settle/%d", n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := serving()
				died := die(t, f, n)
				phase := f.state.Record.Phase
				f.acts = nil
				r := (&Engine{}).Settle(t.Context(), f, somebody)
				switch {
				case !died || n == 0:
					return
				case phase == deploy.PhasePromoting:
					moved(t, f, []string{"switch 1.1.0", "stop 1.0.0"}, after)
					wholeAndFree(t, f, newOne)
				case r.Outcome != deploy.Failed && r.Outcome != deploy.Reverted:
					t.Errorf("%s: %s", r.Outcome, r.Reason)
				default:
					wholeAndFree(t, f, oldOne)
				}
				if acts := f.moving(); phase == deploy.PhasePreparing {
					moved(t, f, []string{"stop 1.1.0"}) // which ends its tasks
				} else if phase != deploy.PhasePromoting && slices.Contains(acts, after[0]) {
					t.Errorf("acts: %q", acts)
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		f, told := serving(), &story{}
		if !die(t, f, 1) || f.state.Record.Phase != deploy.PhasePreparing {
			t.Fatalf("it died in the phase %q", f.state.Record.Phase)
		}
		f.acts = nil
		d := migrating(f, deploy.BlueGreen)
		d.Owner = somebody
		if r := (&Engine{Reporter: told}).Deploy(t.Context(), d); !r.Well() {
			t.Errorf("%s: %s", r.Outcome, r.Reason)
		}
		moved(t, f, before, switched, after) // and nothing was stopped before, so the target finds its tasks again
		if e, ok := told.find(deploy.Notice); !ok || !strings.Contains(e.Message, "they are taken up where they are") {
			t.Errorf("told: %+v", e)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f := serving()
		die(t, f, 1)
		f.acts = nil
		d := migrating(f, deploy.BlueGreen)
		d.Owner, d.Candidate = somebody, revision("1.2.0", 2)
		if r := (&Engine{}).Deploy(t.Context(), d); !r.Well() {
			t.Errorf("%s: %s", r.Outcome, r.Reason)
		}
		if acts := f.moving(); acts[0] != "stop 1.1.0" || acts[1] != "run migrate of 1.2.0" {
			t.Errorf("acts: %q", acts) // another version's tasks are ended first
		}
	})
}

func TestTasksOfABakeComeWhenItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := serving()
		d := migrating(f, deploy.BlueGreen)
		d.Strategy.Bake, d.Strategy.BakeBy = time.Hour, deploy.BakeBySchedule
		if r := (&Engine{}).Deploy(t.Context(), d); r.Outcome != deploy.Promoted || r.Until.IsZero() {
			t.Fatalf("%s: %s", r.Outcome, r.Reason)
		}
		moved(t, f, before, []string{"start 1.1.0", "switch 1.1.0"})
		f.acts = nil
		time.Sleep(2 * time.Hour)
		if r := (&Engine{}).Bake(t.Context(), Deployment{Target: f, Owner: somebody, Candidate: deploy.Revision{Environment: "production"}}); !r.Well() {
			t.Fatalf("%s: %s", r.Outcome, r.Reason)
		}
		moved(t, f, []string{"stop 1.0.0"}, after)
	})
}

func TestTasksNeedATargetThatCanDoThem(t *testing.T) {
	f := serving()
	d := migrating(f, deploy.BlueGreen)
	d.Target = &unable{site: f}
	r := (&Engine{}).Deploy(t.Context(), d)
	if r.Outcome != deploy.Failed || !deploy.IsUsage(r.Err) || !strings.Contains(r.Reason, "does no one-off work such as the task migrate") || r.Hint == "" {
		t.Errorf("%s: %s (%s)", r.Outcome, r.Reason, r.Hint)
	}
	if len(f.moving()) > 0 || f.state.Record.Version != 0 {
		t.Errorf("something was begun: %q", f.moving())
	}
}

// unable is a target without optional capabilities.
type unable struct{ site }
