package pods

import (
	"context"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/feed"
)

// errand is a Job that is attended to: its pods, its logs, its end.
type errand struct {
	o      JobOptions
	client kubernetes.Interface
	job    *batchv1.Job
	view   view
	logs   *transcript
	// podless is when it is asked next why there is no pod, refusal what the
	// cluster said of it.
	podless time.Time
	refusal *finding
}

// podlessAfter is how long a Job may be without a pod before anybody wonders,
// and how often after that.
const podlessAfter = 2 * time.Second

func newErrand(client kubernetes.Interface, job *batchv1.Job, o JobOptions) *errand {
	return &errand{
		o: o, client: client, job: job,
		view:    view{limits: o.Limits, log: o.Log, sources: make([]source, 2)},
		logs:    newTranscript(client, o),
		podless: time.Now().Add(podlessAfter),
	}
}

// failure is how a Job failed.
type failure struct {
	finding
	// final: it does nothing more, and need not be ended.
	final bool
}

// attend waits until the Job is over, and all of its log was told; nil is well.
// Its goroutines have ended when it returns.
func (e *errand) attend(ctx context.Context) (*failure, error) {
	defer e.logs.close()
	var end *failure
	feeds := []feed.Feed{podFeed(e.client, e.job.Namespace, podsOf(e.job)), jobFeed(e.client, e.job)}
	err := hear(ctx, feeds, e.take, func(now time.Time) (bool, time.Time) {
		var over bool
		end, over = e.decide(ctx, now)
		return over, e.again(now)
	})
	if err != nil {
		return nil, err
	}
	e.complete(ctx)
	if end != nil && end.final {
		end.finding = e.blame()
	}
	return end, nil
}

// take learns what a feed tells: of the pods, or of the Job.
func (e *errand) take(from int, n feed.News) error {
	if from == 0 {
		if err := e.view.take(from, n); err != nil {
			return err
		}
		for _, s := range e.view.there() {
			e.logs.pod(s.pod)
		}
		return nil
	}
	if n.Final != nil {
		return refused(n.Final)
	}
	s := &e.view.sources[from]
	s.trouble = n.Trouble
	found := n.Changed
	if n.Whole {
		s.listed = true
		for _, o := range n.All {
			found = o
		}
	}
	if job, is := found.(*batchv1.Job); is && job.UID == e.job.UID && job.DeletionTimestamp == nil {
		e.job = job
		return nil
	}
	if n.Whole || n.Removed != nil {
		return deploy.Hinted(fmt.Errorf("%s was removed by somebody else while it was at work", e.o.what(e.job)),
			"whether it has done its work is not known: look at what it was to do")
	}
	return nil
}

// decide says whether the Job is over, and how; a nil failure is well.
func (e *errand) decide(ctx context.Context, now time.Time) (*failure, bool) {
	for _, s := range e.view.sources {
		if !s.listed {
			return nil, false
		}
	}
	e.view.judge(now)
	switch jobEnd(e.job) {
	case jobComplete:
		return nil, true
	case jobFailed:
		return &failure{final: true}, true
	}
	for _, s := range e.view.there() {
		if v := s.verdict; v.State == Doomed && v.Cause != Crash && v.Cause != OutOfMemory {
			return &failure{finding: finding{pod: s.pod, verdict: v}}, true
		}
	}
	if len(e.view.there()) == 0 && !now.Before(e.podless) {
		e.podless = now.Add(podlessAfter)
		if e.refusal = e.refused(ctx); e.refusal != nil && e.refusal.verdict.State == Doomed {
			return &failure{finding: *e.refusal}, true
		}
	}
	return nil, false
}

// again is when time alone may decide something; zero where it cannot.
func (e *errand) again(now time.Time) time.Time {
	if len(e.view.there()) == 0 {
		return e.podless
	}
	return e.view.again(now)
}

// refused is what the cluster says of a Job that it gives no pod; nil where it
// says nothing.
func (e *errand) refused(ctx context.Context) *finding {
	list, err := e.client.CoreV1().Events(e.job.Namespace).List(ctx, metav1.ListOptions{
		FieldSelector: fields.OneTermEqualSelector("involvedObject.uid", string(e.job.UID)).String(), Limit: 100,
	})
	if err != nil {
		return nil
	}
	for _, event := range list.Items {
		if event.Reason != "FailedCreate" {
			continue
		}
		at := e.job.CreationTimestamp.Time
		return &finding{verdict: standing{refused: event.Message, since: at}.judge(time.Now(), e.o.Limits, 1)}
	}
	return nil
}

// complete learns what the pods have come to, which their own feed may not have
// told yet, and waits until their logs were told to the end.
func (e *errand) complete(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, evidenceTime)
	defer cancel()
	list, err := e.client.CoreV1().Pods(e.job.Namespace).List(ctx, metav1.ListOptions{LabelSelector: podsOf(e.job)})
	if err == nil {
		for i := range list.Items {
			e.view.learn(&list.Items[i])
			e.logs.pod(&list.Items[i])
		}
	}
	e.view.judge(time.Now())
	e.logs.drain(ctx)
}

// blame is about what made a Job fail.
func (e *errand) blame() finding {
	f := *e.view.worst()
	if f.pod != nil && (f.verdict.State == Doomed || f.verdict.Cause != "") {
		return f
	}
	for _, c := range e.job.Status.Conditions {
		if c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobFailed || c.Type == batchv1.JobFailureTarget) {
			f.verdict = Verdict{State: Doomed, Reason: c.Reason, Message: c.Message, Told: "has failed" + because(c.Reason, c.Message)}
			if c.Reason == batchv1.JobReasonDeadlineExceeded {
				f.verdict.Told, f.verdict.Hint = "did not end within the time that its Job gives it", moreTaskTime
			}
		}
	}
	return f
}

const moreTaskTime = "timeout in slipway.yaml allows a task more time"

// late is what is known of a Job when the time is over.
func (e *errand) late() finding {
	e.view.judge(time.Now())
	f := *e.view.worst()
	if f.pod == nil && e.refusal != nil {
		f = *e.refusal
	}
	f.late = e.o.timeout()
	return f
}

// doomed is the error of a Job that has failed, or is certain to.
func (e *errand) doomed(ctx context.Context, f finding) *deploy.Doomed {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), evidenceTime)
	defer cancel()
	v := f.verdict
	if f.late > 0 && (v.State == Ready || v.Cause == NotReady) {
		v.Told, v.Cause = "was at work still", "" // nobody waits for a task to be ready
	}
	d := &deploy.Doomed{Revision: e.o.Revision, Task: e.o.Task, Hint: v.Hint}
	d.Evidence = e.o.evidence(ctx, e.client, finding{pod: f.pod, verdict: v})
	if f.late > 0 {
		d.Evidence.Reason = fmt.Sprintf("did not end within %s: it %s", f.late, d.Evidence.Reason)
		d.Hint = moreTaskTime
	}
	if v.Cause == Crash {
		d.Hint = "its last lines say why, as a rule"
	}
	if len(d.Evidence.Log) == 0 {
		d.Evidence.Log = slices.Clone(e.logs.last())
	}
	return d
}
