package rollout

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// taskSlack is added to a task's own time: what is in its way may have to be
// ended first, and so may the task, with the time that it takes to end.
const taskSlack = time.Minute

// SupportsTasks refuses one-off work at a target that cannot do it, before
// anything is built or changed.
func SupportsTasks(t deploy.Target, tasks deploy.Tasks) error {
	if _, can := t.(deploy.Runner); can || tasks.IsZero() {
		return nil
	}
	return unableToRun(t, slices.Concat(tasks.Before, tasks.After)[0])
}

// unableToRun is why a target refuses a task. Only a driver of Kubernetes has
// somewhere to do one.
func unableToRun(t deploy.Target, task deploy.Task) error {
	return deploy.Usage("leave it out here by tasks: {before: [], after: []} in the environment; what has to be done all the same can be a command of checks. target: kubernetes does tasks as Jobs",
		"%s does no one-off work such as the task %s", t, task.Name)
}

// DescribeTask says in one line what a task does and when, for plans.
func DescribeTask(when deploy.TaskTime, t deploy.Task) string {
	moment := "before anything starts"
	if when == deploy.TaskAfter {
		moment = "once it is live for good"
	}
	return fmt.Sprintf("%s, the task %s: %s, for %s at most", moment, t.Name, command(t), t.Timeout)
}

func command(t deploy.Task) string {
	if t.Hook != "" {
		return "the chart's hook " + t.Hook
	}
	return strings.Join(t.Run, " ")
}

// tasks are what is to be done around a deployment: what the candidate brings
// itself, which may be what the others need, and then the tasks of slipway.yaml.
func (d Deployment) tasks(ctx context.Context, live deploy.Revision) (deploy.Tasks, error) {
	hooked, is := d.Target.(deploy.Hooked)
	if !is {
		return d.Tasks, nil
	}
	occasion := deploy.OccasionUpgrade
	switch {
	case live.IsZero():
		occasion = deploy.OccasionInstall
	case d.Past:
		occasion = deploy.OccasionRollback
	}
	var own deploy.Tasks
	err := within(ctx, readLimit, fmt.Sprintf("read the hooks of %s at %s", d.Candidate, d.Target), func(ctx context.Context) (err error) {
		own, err = hooked.Hooks(ctx, d.Candidate, occasion)
		return err
	})
	return deploy.Tasks{Before: slices.Concat(own.Before, d.Tasks.Before), After: slices.Concat(own.After, d.Tasks.After)}, err
}

// prepare does the tasks that come before anything else. While they are at work
// nothing was begun that would have to be taken back but they themselves.
func (r *rollout) prepare(ctx context.Context) error {
	before := r.plan.Tasks.Before
	if len(before) == 0 {
		return nil
	}
	if err := r.ledger.enter(ctx, deploy.PhasePreparing); err != nil {
		return err
	}
	ctx, leave := r.heeding(ctx)
	defer leave()
	for _, t := range before {
		if err := r.do(ctx, deploy.TaskBefore, t); err != nil {
			return err
		}
	}
	return nil
}

// afterwards does the tasks that come when there is no way back any more. All of
// them are tried: none waits for another.
func (r *rollout) afterwards(ctx context.Context) error {
	var first error
	for _, t := range r.plan.Tasks.After {
		err := r.do(ctx, deploy.TaskAfter, t)
		if first == nil && err != nil {
			first = err
		}
		if ctx.Err() != nil {
			return first
		}
	}
	return first
}

// do does one task and tells of it.
func (r *rollout) do(ctx context.Context, when deploy.TaskTime, t deploy.Task) error {
	began, run := time.Now(), deploy.TaskRun{Name: t.Name, When: when}
	tell := func(e deploy.Event) {
		e.Environment, e.Task = r.plan.Environment, &run
		r.tell(ctx, e)
	}
	tell(deploy.Event{Kind: deploy.TaskStarted, Message: command(t)})
	err := r.runTask(ctx, t, func(line string) { tell(deploy.Event{Kind: deploy.TaskSaid, Message: line}) })
	ended := deploy.Event{Kind: deploy.TaskEnded, Message: "the task " + t.Name + " is done", Took: time.Since(began)}
	if err != nil {
		failed := run
		failed.Failed = true
		run, ended.Message = failed, reason(err)
	}
	if doomed, ok := errors.AsType[*deploy.Doomed](err); ok {
		ended.Evidence = &doomed.Evidence
	}
	tell(ended)
	return err
}

func (r *rollout) runTask(ctx context.Context, t deploy.Task, line func(string)) error {
	runner, can := r.target.(deploy.Runner)
	if !can { // the file has changed since another run wrote the journal
		return unableToRun(r.target, t)
	}
	return within(ctx, t.Timeout+taskSlack, fmt.Sprintf("do the task %s at %s", t.Name, r.target), func(ctx context.Context) error {
		return runner.Run(ctx, r.plan.Candidate, t, line)
	})
}

// abortEvery is how often it is looked whether somebody wants a task to end.
const abortEvery = 2 * time.Second

// heeding is a context that ends when somebody says abort. Its end has to be
// called, and waits for the goroutine.
func (r *rollout) heeding(ctx context.Context) (heeding context.Context, leave func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for pause(ctx, abortEvery) == nil {
			state, err := r.state(ctx, r.target)
			if err != nil {
				continue // whoever does the task tells what is wrong
			}
			if err := (&watch{rollout: r}).heed(state.Signal); errors.Is(err, ErrAborted) {
				cancel(err)
			}
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-ended
	}
}
