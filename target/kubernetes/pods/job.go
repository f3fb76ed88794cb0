package pods

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/feed"
)

// AnnotationJob tells the content of a Job that RunJob has made, so that
// another of the same name is not taken for it.
const AnnotationJob = "slipway.dev/job-content"

// jobManager is the field manager by which the cluster knows who makes Jobs.
const jobManager = "slipway"

// JobOptions are how RunJob runs a Job. Options.Workload is not heeded, and
// Options.Timeout is for the whole of the work.
type JobOptions struct {
	Options
	// Task is what people call it, such as migrate; it names it in a
	// *deploy.Doomed.
	Task string
	// Line is told each line of the log, oldest first, one at a time; nil is
	// fine. Secrets are hidden, and nothing in it controls a terminal.
	Line func(line string)
	// Again runs anew what has been done already. A Job that is at work is
	// adopted in either case.
	Again bool
	// Mine is nil for a Job of the same name that may be removed for this one, and
	// otherwise why it must not. Left out, those may that RunJob has made.
	Mine func(there *batchv1.Job) error
}

// RunJob makes a Job, tells its log while it works, and returns nil when it is
// complete. A Job of the same name and content that an earlier run has made is
// adopted: one that is at work is waited for, and one that is complete is not
// run again; the first line of the log says so. One that has failed, or has
// another content, is removed and made anew.
//
// A Job that fails is a *deploy.Doomed with exit code, reason and last lines.
// One that cannot begin, because the registry does not have its image say, is
// told as soon as that is certain. When ctx or its time ends before the Job
// does, it is ended and removed. What has failed by itself stays to be looked
// at.
func RunJob(ctx context.Context, client kubernetes.Interface, job *batchv1.Job, o JobOptions) error {
	limited, cancel := context.WithTimeoutCause(ctx, o.timeout(), errTimeUp)
	defer cancel()
	made, done, err := o.claim(limited, client, job)
	if err != nil {
		return o.unmade(ctx, limited, job, err)
	}
	if done {
		return nil
	}
	e := newErrand(client, made, o)
	end, err := e.attend(limited)
	switch {
	case err == nil && end == nil:
		return nil
	case err == nil && end.final:
		return e.doomed(ctx, end.finding)
	case err == nil:
		// It would be tried again for ever, or until its deadline.
		doomed := e.doomed(ctx, end.finding)
		return o.also(doomed, e.end(ctx))
	case ctx.Err() != nil:
		return o.also(fmt.Errorf("interrupted while %s is at work: %w", o.what(made), context.Cause(ctx)), e.end(ctx))
	case errors.Is(err, errTimeUp) && e.view.trouble() != nil:
		return deploy.Hinted(fmt.Errorf("it is not known what became of %s after %s: %w", o.what(made), o.timeout(), e.view.trouble()),
			"look at the cluster's API server")
	case errors.Is(err, errTimeUp):
		doomed := e.doomed(ctx, e.late())
		return o.also(doomed, e.end(ctx))
	}
	return err
}

// EndJobs ends and removes all Jobs that a selector finds, and returns when none
// of their pods is left. What is not there is fine.
func EndJobs(ctx context.Context, client kubernetes.Interface, namespace, selector string) error {
	list, err := client.BatchV1().Jobs(namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return fmt.Errorf("list jobs: %w", err)
	}
	for i := range list.Items {
		if err := endJob(ctx, client, &list.Items[i]); err != nil {
			return err
		}
	}
	return nil
}

func (o JobOptions) what(job *batchv1.Job) string {
	if o.Task == "" {
		return "the Job " + job.Name
	}
	return "the task " + o.Task + " (Job " + job.Name + ")"
}

// unmade is why a Job could not be made.
func (o JobOptions) unmade(ctx, limited context.Context, job *batchv1.Job, err error) error {
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("interrupted while %s is made: %w", o.what(job), context.Cause(ctx))
	case limited.Err() != nil:
		return fmt.Errorf("timed out after %s while %s is made: %w", o.timeout(), o.what(job), err)
	case deploy.HintOf(err) != "":
		return err
	}
	return fmt.Errorf("make %s: %w", o.what(job), err)
}

// also adds to an error that the Job could not be ended.
func (o JobOptions) also(err, ending error) error {
	if ending == nil {
		return err
	}
	return errors.Join(err, fmt.Errorf("it may be at work still: %w", ending))
}

// line tells a line of the log.
func (o JobOptions) line(format string, args ...any) {
	if o.Line != nil {
		o.Line(fmt.Sprintf(format, args...))
	}
}

// claim makes the Job, or finds it made; done is that it is complete.
func (o JobOptions) claim(ctx context.Context, client kubernetes.Interface, job *batchv1.Job) (made *batchv1.Job, done bool, err error) {
	wanted, err := marked(job)
	if err != nil {
		return nil, false, err
	}
	api := client.BatchV1().Jobs(job.Namespace)
	for {
		made, err := api.Create(ctx, wanted, metav1.CreateOptions{FieldManager: jobManager})
		if !apierrors.IsAlreadyExists(err) {
			return made, false, err
		}
		there, err := api.Get(ctx, job.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			continue
		case err != nil:
			return nil, false, err
		}
		if err := o.mine(there); err != nil {
			return nil, false, err
		}
		how := jobEnd(there)
		since := there.CreationTimestamp.UTC().Format(time.RFC3339)
		same := there.DeletionTimestamp == nil && there.Annotations[AnnotationJob] == wanted.Annotations[AnnotationJob]
		switch {
		case same && how == jobComplete && !o.Again:
			o.line("an earlier run has begun the Job %s at %s, and it is complete: it is not run again", there.Name, since)
			return there, true, nil
		case same && how == jobAtWork:
			o.line("an earlier run has begun the Job %s at %s, and it is at work: it is waited for, not run again", there.Name, since)
			return there, false, nil
		}
		if err := endJob(ctx, client, there); err != nil {
			return nil, false, err
		}
	}
}

// mine refuses to touch a Job that somebody else has made.
func (o JobOptions) mine(there *batchv1.Job) error {
	switch {
	case o.Mine != nil:
		return o.Mine(there)
	case there.Annotations[AnnotationJob] == "":
		return deploy.Hinted(fmt.Errorf("a Job %s/%s is there that Slipway has not made", there.Namespace, there.Name),
			"remove it, or give the task another name")
	}
	return nil
}

// marked is the Job with an annotation that tells its content.
func marked(job *batchv1.Job) (*batchv1.Job, error) {
	content, err := json.Marshal(job.Spec)
	if err != nil {
		return nil, fmt.Errorf("write down the Job %s: %w", job.Name, err)
	}
	sum := sha256.Sum256(content)
	job = job.DeepCopy()
	job.Annotations = maps.Clone(job.Annotations)
	if job.Annotations == nil {
		job.Annotations = map[string]string{}
	}
	job.Annotations[AnnotationJob] = hex.EncodeToString(sum[:])
	return job, nil
}

// The ends of a Job.
const (
	jobAtWork   = ""
	jobComplete = "complete"
	jobFailed   = "failed"
)

// jobEnd is how a Job has ended, if it has, or is certain to end.
func jobEnd(job *batchv1.Job) string {
	for _, c := range job.Status.Conditions {
		if c.Status != corev1.ConditionTrue {
			continue
		}
		switch c.Type {
		case batchv1.JobComplete, batchv1.JobSuccessCriteriaMet:
			return jobComplete
		case batchv1.JobFailed, batchv1.JobFailureTarget:
			return jobFailed
		case batchv1.JobSuspended:
		}
	}
	return jobAtWork
}

// endTime bounds the ending of a Job that is given up, besides the time that its
// pods have to end.
const endTime = 30 * time.Second

// end ends the Job although its run is over, and waits for its pods.
func (e *errand) end(ctx context.Context) error {
	grace := time.Duration(0)
	if s := e.job.Spec.Template.Spec.TerminationGracePeriodSeconds; s != nil {
		grace = time.Duration(*s) * time.Second
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime+grace)
	defer cancel()
	return endJob(ctx, e.client, e.job)
}

// endJob removes a Job and waits until its pods are gone. The next one of its
// name must not work beside them.
func endJob(ctx context.Context, client kubernetes.Interface, job *batchv1.Job) error {
	o := metav1.DeleteOptions{PropagationPolicy: new(metav1.DeletePropagationBackground), Preconditions: &metav1.Preconditions{UID: &job.UID}}
	err := client.BatchV1().Jobs(job.Namespace).Delete(ctx, job.Name, o)
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("end the Job %s: %w", job.Name, err)
	}
	v := &view{sources: make([]source, 1)}
	err = hear(ctx, []feed.Feed{podFeed(client, job.Namespace, podsOf(job))}, v.take, func(time.Time) (bool, time.Time) {
		return v.sources[0].listed && len(v.there()) == 0, time.Time{}
	})
	if err != nil {
		return fmt.Errorf("wait until the pods of the Job %s have ended: %w", job.Name, err)
	}
	return nil
}

// podsOf selects the pods of this very Job, and not those of another of its
// name.
func podsOf(job *batchv1.Job) string { return batchv1.ControllerUidLabel + "=" + string(job.UID) }

// jobFeed follows the one Job.
func jobFeed(client kubernetes.Interface, job *batchv1.Job) feed.Feed {
	api := client.BatchV1().Jobs(job.Namespace)
	return feed.Feed{
		What: "Job " + job.Name, List: feed.Listing(api.List), Watch: api.Watch,
		Options: feed.Named(job.Name),
	}
}
