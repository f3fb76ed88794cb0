package pods_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/pods"
)

// work is a Job of the test app.
func (c *cluster) work(name, image string) *batchv1.Job {
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: c.namespace},
		Spec: batchv1.JobSpec{
			BackoffLimit: new(int32(0)),
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				RestartPolicy:                 corev1.RestartPolicyNever,
				TerminationGracePeriodSeconds: new(int64(1)),
				AutomountServiceAccountToken:  new(false),
				Containers:                    []corev1.Container{beside("task", image)},
			}},
		},
	}
}

// errand is a Job that is run, and what was told of it.
type errand struct {
	mu    sync.Mutex
	lines []string
}

func (e *errand) line(text string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lines = append(e.lines, text)
}

func (e *errand) said() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.lines)
}

func (e *errand) options(task string) pods.JobOptions {
	return pods.JobOptions{Options: pods.Options{Timeout: patience}, Task: task, Line: e.line}
}

// until waits for a line of the log.
func (e *errand) until(t *testing.T, line string) {
	t.Helper()
	for began := time.Now(); !slices.Contains(e.said(), line); time.Sleep(20 * time.Millisecond) {
		if time.Since(began) > patience {
			t.Fatalf("%q was not told within %s: %q", line, patience, e.said())
		}
	}
}

// counted are the lines that the test app prints with -count.
func counted(n int) []string {
	var lines []string
	for i := range n {
		lines = append(lines, fmt.Sprintf("line %d", i+1))
	}
	return lines
}

// left is how many pods there are of all Jobs of that name.
func (c *cluster) left(t *testing.T, job string) int {
	t.Helper()
	list, err := c.client.CoreV1().Pods(c.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: batchv1.JobNameLabel + "=" + job})
	if err != nil {
		t.Fatal(err)
	}
	return len(list.Items)
}

func TestJobTellsItsLog(t *testing.T) {
	t.Parallel()
	c := open(t)
	var e errand
	o := e.options("migrate")
	o.Revision.Secrets = []deploy.Secret{deploy.KnownSecret("KEY", "1", "a hidden value")}
	job := c.work("migrate", c.image(t, "-say", "with a hidden value", "-count", "30", "-every", "50ms", "-exit", "0"))
	if err := pods.RunJob(t.Context(), c.client, job, o); err != nil {
		t.Fatal(err)
	}
	if want := append([]string{"with ***"}, counted(30)...); !slices.Equal(e.said(), want) {
		t.Errorf("the log is %q, not %q", e.said(), want)
	}

	t.Run("what is done is not done again", func(t *testing.T) {
		var again errand
		if err := pods.RunJob(t.Context(), c.client, job, again.options("migrate")); err != nil {
			t.Fatal(err)
		}
		if said := again.said(); len(said) != 1 || !strings.Contains(said[0], "is complete: it is not run again") {
			t.Errorf("the log is %q", said)
		}
		if n := c.left(t, "migrate"); n != 1 {
			t.Errorf("%d pods have been at it", n)
		}
	})
	t.Run("unless that is asked for", func(t *testing.T) {
		var again errand
		o := again.options("migrate")
		o.Again = true
		if err := pods.RunJob(t.Context(), c.client, job, o); err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(again.said(), "line 30") {
			t.Errorf("the log is %q", again.said())
		}
	})
	t.Run("another content is another Job", func(t *testing.T) {
		var other errand
		if err := pods.RunJob(t.Context(), c.client, c.work("migrate", c.image(t, "-say", "other", "-exit", "0")), other.options("migrate")); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(other.said(), []string{"other"}) {
			t.Errorf("the log is %q", other.said())
		}
	})
	t.Run("somebody else's is left alone", func(t *testing.T) {
		theirs := c.work("theirs", c.image(t, "-exit", "0"))
		if _, err := c.client.BatchV1().Jobs(c.namespace).Create(t.Context(), theirs, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		err := pods.RunJob(t.Context(), c.client, theirs, (&errand{}).options("theirs"))
		if err == nil || !strings.Contains(err.Error(), "Slipway has not made") || deploy.HintOf(err) == "" {
			t.Errorf("got %v", err)
		}
	})
}

// cutting breaks the first connections that logs come by, each after so many
// bytes.
type cutting struct {
	next http.RoundTripper
	mu   sync.Mutex
	left []int64
	cuts int
}

func (c *cutting) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := c.next.RoundTrip(r)
	if err != nil || !strings.HasSuffix(r.URL.Path, "/log") {
		return answer, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.left) > 0 {
		answer.Body = &cut{ReadCloser: answer.Body, left: c.left[0]}
		c.left, c.cuts = c.left[1:], c.cuts+1
	}
	return answer, nil
}

type cut struct {
	io.ReadCloser
	left int64
}

func (c *cut) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, io.ErrUnexpectedEOF
	}
	n, err := c.ReadCloser.Read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	return n, err
}

func TestJobTellsEachLineOnceWhenConnectionsBreak(t *testing.T) {
	t.Parallel()
	c := open(t)
	between := &cutting{left: []int64{100, 333, 40, 1000}}
	config := rest.CopyConfig(c.config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		between.next = next
		return between
	})
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	var e errand
	// Bursts: many lines are of the same second, to which alone the server can be asked.
	job := c.work("chatty", c.image(t, "-count", "400", "-every", "5ms", "-exit", "0"))
	if err := pods.RunJob(t.Context(), client, job, e.options("chatty")); err != nil {
		t.Fatal(err)
	}
	if between.cuts != 4 {
		t.Errorf("%d connections were broken", between.cuts)
	}
	if said := e.said(); !slices.Equal(said, counted(400)) {
		t.Errorf("%d lines: %q", len(said), said)
	}
}

func TestJobThatFails(t *testing.T) {
	t.Parallel()
	c := open(t)
	for name, x := range map[string]struct {
		job   func(t *testing.T) *batchv1.Job
		limit time.Duration
		// refused is for how long the cluster may refuse it a pod.
		refused time.Duration
		reason  string
		// stays: it is there afterwards, to be looked at; either: the cluster and
		// we come to the same, and who does first decides that.
		stays, either bool
	}{
		"exit": {reason: "exited with code 3 ", stays: true, job: func(t *testing.T) *batchv1.Job {
			return c.work("exit", c.image(t, "-count", "40", "-say", "hello", "-exit", "3"))
		}},
		"memory": {reason: "was killed for using more memory than its limit", stays: true, job: func(t *testing.T) *batchv1.Job {
			job := c.work("memory", c.image(t, "-eat", "200"))
			job.Spec.Template.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("48Mi")}
			return job
		}},
		"image": {reason: "the registry has no ", job: func(*testing.T) *batchv1.Job {
			return c.work("image", c.registry+"/kube-pods@sha256:"+strings.Repeat("1", 64))
		}},
		"program": {reason: "cannot be started", job: func(t *testing.T) *batchv1.Job {
			job := c.work("program", c.image(t))
			job.Spec.Template.Spec.Containers[0].Command = []string{"/missing"}
			return job
		}, either: true},
		"secret": {reason: `cannot be configured: secret "missing" not found`, job: func(t *testing.T) *batchv1.Job {
			job := c.work("secret", c.image(t))
			job.Spec.Template.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "missing"}}}}
			return job
		}},
		"account": {reason: `is given no pod by the cluster`, refused: 3 * time.Second, job: func(t *testing.T) *batchv1.Job {
			job := c.work("account", c.image(t))
			job.Spec.Template.Spec.ServiceAccountName = "missing"
			return job
		}},
		"late": {reason: "did not end within 30s: it was at work still (on node ", limit: 30 * time.Second, job: func(t *testing.T) *batchv1.Job {
			return c.work("late", c.image(t, "-count", "1"))
		}},
		"deadline": {reason: "did not end within the time that its Job gives it", job: func(t *testing.T) *batchv1.Job {
			job := c.work("deadline", c.image(t))
			job.Spec.ActiveDeadlineSeconds = new(int64(5))
			return job
		}, stays: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var e errand
			o := e.options(name)
			o.Limits.Unschedulable = x.refused
			if x.limit > 0 {
				o.Timeout = x.limit
			}
			began := time.Now()
			err := pods.RunJob(t.Context(), c.client, x.job(t), o)
			t.Logf("after %s: %v", time.Since(began).Round(time.Millisecond), err)
			var d *deploy.Doomed
			if !errors.As(err, &d) {
				t.Fatalf("want a *deploy.Doomed, got %v", err)
			}
			if d.Task != name || !strings.Contains(d.Evidence.Reason, x.reason) || d.Hint == "" {
				t.Errorf("want %q, got %+v", x.reason, d)
			}
			if name == "exit" {
				if !strings.Contains(d.Evidence.Reason, "(container task, on node ") {
					t.Errorf("neither container nor node is told: %q", d.Evidence.Reason)
				}
				if want := counted(40)[20:]; !slices.Equal(d.Evidence.Log, want) {
					t.Errorf("the evidence has %q, not %q", d.Evidence.Log, want)
				}
				if want := append([]string{"hello"}, counted(40)...); !slices.Equal(e.said(), want) {
					t.Errorf("the log is %q", e.said())
				}
			}
			if x.either {
				return
			}
			_, err = c.client.BatchV1().Jobs(c.namespace).Get(t.Context(), name, metav1.GetOptions{})
			if gone := apierrors.IsNotFound(err); gone == x.stays {
				t.Errorf("afterwards, the Job: %v", err)
			}
			if n := c.left(t, name); !x.stays && n != 0 {
				t.Errorf("%d pods are left", n)
			}
		})
	}
}

func TestJobThatIsGivenUp(t *testing.T) {
	t.Parallel()
	c := open(t)
	var e errand
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	job := c.work("endless", c.image(t, "-say", "at work"))
	ended := make(chan error, 1)
	go func() { ended <- pods.RunJob(ctx, c.client, job, e.options("endless")) }()
	e.until(t, "at work")

	var second errand // as another process would come to it
	adopted := make(chan error, 1)
	go func() { adopted <- pods.RunJob(t.Context(), c.client, job, second.options("endless")) }()
	second.until(t, "at work")
	if said := second.said(); !strings.Contains(said[0], "is at work: it is waited for") || c.left(t, "endless") != 1 {
		t.Errorf("%d pods, and the log is %q", c.left(t, "endless"), said)
	}

	cancel(errors.New("somebody has said so"))
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "interrupted while the task endless") || !strings.Contains(err.Error(), "somebody has said so") {
		t.Errorf("got %v", err)
	}
	if n := c.left(t, "endless"); n != 0 {
		t.Errorf("%d pods are left", n)
	}
	if err := <-adopted; err == nil || !strings.Contains(err.Error(), "removed by somebody else") {
		t.Errorf("who had adopted it got %v", err)
	}
}
