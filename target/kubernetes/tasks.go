package kubernetes

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"golang.org/x/sync/errgroup"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/pods"
)

var _ deploy.Runner = (*Target)(nil)

// Run does a task as a Job with the image, the variables and the secrets of the
// revision, of which nothing else needs to be there.
func (t *Target) Run(ctx context.Context, r deploy.Revision, task deploy.Task, log func(line string)) error {
	return t.ended(ctx, t.run(ctx, r, task, log), "do the task %s of %s at %s", task.Name, r, t)
}

func (t *Target) run(ctx context.Context, r deploy.Revision, task deploy.Task, log func(line string)) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	job, err := t.place.Task(r, task)
	if err != nil {
		return err
	}
	if err := t.account(ctx); err != nil {
		return err
	}
	hidden, err := t.secrets(ctx, r)
	if err != nil {
		return err
	}
	o := pods.JobOptions{Task: task.Name, Line: log}
	o.Options = pods.Options{Revision: r, Hide: hidden, Timeout: task.Timeout, Log: t.log}
	return pods.RunJob(ctx, t.kube, job, o)
}

// secrets keeps those of a revision in the namespace, and gives the values of
// those that it knew already: a log may say them.
func (t *Target) secrets(ctx context.Context, r deploy.Revision) ([]string, error) {
	values := make([]string, len(r.Secrets))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for i, s := range r.Secrets {
		group.Go(func() error {
			if err := t.secret(ctx, s); err != nil || s.Reveal() != "" {
				return err
			}
			there, err := t.kube.CoreV1().Secrets(t.place.Namespace).Get(ctx, t.place.SecretName(s), metav1.GetOptions{})
			if err == nil {
				values[i] = string(there.Data[s.Name])
			}
			return err
		})
	}
	return values, group.Wait()
}

// endTasks ends what is at work of a revision's tasks, and forgets the others.
// Where the environment has no tasks, nobody asks: an environment without them
// needs no permission for Jobs.
func (t *Target) endTasks(ctx context.Context, r deploy.Revision) error {
	if t.tasks.IsZero() {
		return nil
	}
	return pods.EndJobs(ctx, t.kube, t.place.Namespace, t.place.SelectTasks(r.ID))
}
