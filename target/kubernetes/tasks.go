package kubernetes

import (
	"context"
	"fmt"

	"golang.org/x/sync/errgroup"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/bundle"
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
	if task.Hook != "" {
		return t.runHook(ctx, r, task, log)
	}
	job, err := t.taskJob(ctx, r, task)
	if err != nil {
		return err
	}
	if err := t.fenceTasks(ctx, r); err != nil {
		return err
	}
	hidden, err := t.secrets(ctx, r)
	if err != nil {
		return err
	}
	if b := t.bundles.ofRevision(r.ID); b != nil {
		hidden = append(hidden, b.Confidential()...)
	}
	o := pods.JobOptions{Task: task.Name, Line: log}
	o.Options = pods.Options{Revision: r, Hide: hidden, Timeout: task.Timeout, Log: t.log}
	return pods.RunJob(ctx, t.kube, job, o)
}

// taskJob is the Job of a task, all of which is there that it needs but the secrets
// of slipway.yaml.
func (t *Target) taskJob(ctx context.Context, r deploy.Revision, task deploy.Task) (*batchv1.Job, error) {
	b, err := t.bundle(ctx, r)
	if err != nil {
		return nil, err
	}
	if b == nil {
		if err := t.account(ctx); err != nil {
			return nil, err
		}
		return t.place.Task(r, task)
	}
	job, err := b.Task(t.place, r, task)
	if err != nil {
		return nil, err
	}
	return job, t.prepareSet(ctx, b, job.Spec.Template.Spec)
}

// prepareSet makes of a set what a pod of one-off work needs before anything of it
// is applied: the settings that it reads, copied, and what else it cannot begin
// without. What is there already stays as it is, for what is live has it, too.
func (t *Target) prepareSet(ctx context.Context, b *bundle.Bundle, pod corev1.PodSpec) error {
	if err := t.inNamespace(ctx); err != nil {
		return err
	}
	if err := t.keep(ctx, b); err != nil {
		return err
	}
	if err := t.copies(ctx, b); err != nil {
		return err
	}
	var missing []*unstructured.Unstructured
	for _, o := range b.Foundation(pod) {
		_, err := t.dynamic.Resource(founding[o.GetKind()]).Namespace(t.place.Namespace).Get(ctx, o.GetName(), metav1.GetOptions{})
		if absent(err) {
			missing = append(missing, o)
		} else if err != nil {
			return err
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if _, err := t.applier.Apply(ctx, missing, t.applying()); err != nil {
		return fmt.Errorf("apply what the pod needs: %w", err)
	}
	return nil
}

// The resources of bundle.Foundation.
var founding = map[string]schema.GroupVersionResource{
	"ServiceAccount":        {Version: "v1", Resource: "serviceaccounts"},
	"Secret":                {Version: "v1", Resource: "secrets"},
	"PersistentVolumeClaim": {Version: "v1", Resource: "persistentvolumeclaims"},
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
// Where there are none, nobody asks: an environment without them needs no permission
// for Jobs.
func (t *Target) endTasks(ctx context.Context, r deploy.Revision) error {
	if r.IsBaseline() || t.tasks.IsZero() && !t.hasWork(ctx, r) {
		return nil
	}
	if err := pods.EndJobs(ctx, t.kube, t.place.Namespace, t.place.SelectTasks(r.ID)); err != nil || !t.place.Cluster.Isolated {
		return err
	}
	api := t.kube.NetworkingV1().NetworkPolicies(t.place.Namespace)
	return unless(absent, api.Delete(ctx, t.place.TaskFenceName(r.ID), metav1.DeleteOptions{}))
}

// fenceTasks lets nobody in to the pods of a revision's tasks, where nobody is let in
// to its replicas.
func (t *Target) fenceTasks(ctx context.Context, r deploy.Revision) error {
	fence := t.place.TaskFence(r)
	if fence == nil {
		return nil
	}
	_, err := t.kube.NetworkingV1().NetworkPolicies(t.place.Namespace).Create(ctx, fence, creation)
	return unless(apierrors.IsAlreadyExists, err)
}

// hasWork reports whether a revision brings one-off work. One whose set nobody has
// any more has left none: with a set go the Jobs of its hooks.
func (t *Target) hasWork(ctx context.Context, r deploy.Revision) bool {
	b, err := t.hooked(ctx, r)
	if err != nil {
		t.log.Warn("look for hooks", "revision", r.String(), "error", err)
	}
	return b != nil && b.HasWork()
}
