package objects

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/slipway-ci/slipway/deploy"
)

// The labels of one-off work. Its pods have neither LabelName nor
// LabelEnvironment nor LabelRevision, so that no selector of replicas, Services,
// budgets and policies finds them, ours or a user's.
const (
	LabelTask = "slipway.dev/task"
	// LabelTaskOf is the ID of the revision with whose image it is done.
	LabelTaskOf = "slipway.dev/task-of"
	// LabelHook is the event of a chart at which it is done; work of slipway.yaml has
	// none.
	LabelHook = "slipway.dev/hook"
)

// TaskContainer is the name of the container in a task's pod.
const TaskContainer = "task"

// taskKept is how long the cluster keeps a Job that has ended, if nobody removes
// it before.
const taskKept = 24 * time.Hour

// deadlineSlack is how much longer than its task a Job may take, so that whoever
// waits for it tells what is wrong before the cluster removes its pod.
const deadlineSlack = 30 * time.Second

// TaskName is that of the Job of a task: app, environment, task and revision.
func (p Place) TaskName(revision string, t deploy.Task) string {
	name := p.Base() + "-" + t.Name + "-" + revision
	if len(name) <= maxName {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:maxName-9] + "-" + hex.EncodeToString(sum[:4])
}

// SelectTasks finds the Jobs of a revision's tasks.
func (p Place) SelectTasks(revision string) string {
	return p.Select() + "," + labels.Set{LabelTaskOf: revision}.String()
}

// TaskFence is the NetworkPolicy that lets nobody in to the pods of a revision's
// tasks, which listen to nobody; nil where the environment asks for none.
func (p Place) TaskFence(r deploy.Revision) *networkingv1.NetworkPolicy {
	if !p.Cluster.Isolated {
		return nil
	}
	set := p.Labels()
	set[LabelTaskOf] = r.ID
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: p.meta(p.TaskFenceName(r.ID), set),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: map[string]string{LabelInstance: p.Base(), LabelTaskOf: r.ID}},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		},
	}
}

// TaskFenceName is the name of a TaskFence.
func (p Place) TaskFenceName(revision string) string { return p.Name(revision) + "-tasks" }

// Task is the Job that does a task: the revision's image with the same security,
// resources, variables and secrets, tried once.
func (p Place) Task(r deploy.Revision, t deploy.Task) (*batchv1.Job, error) {
	r.Config.Env = maps.Clone(r.Config.Env)
	if r.Config.Env == nil {
		r.Config.Env = map[string]string{}
	}
	maps.Copy(r.Config.Env, t.Env)
	pod, err := p.pod(r)
	if err != nil {
		return nil, err
	}
	grace := int64(max(1, seconds(r.Config.Drain)))
	pod.TerminationGracePeriodSeconds = &grace
	c := &pod.Containers[0]
	c.Name, c.Ports, c.ReadinessProbe, c.Lifecycle = TaskContainer, nil, nil, nil
	// One by one: nothing else of the revision needs to be there, and the task's
	// own go over them.
	c.EnvFrom, c.Env = nil, append(p.env(deploy.Revision{Config: r.Config}), p.Variables(r)...)
	c.Command, c.Args = Command(t), nil
	return p.TaskIn(r, t, pod, nil), nil
}

// Command is that of a task, in which nothing stands for the value of a variable.
func Command(t deploy.Task) []string {
	all := make([]string, len(t.Run))
	for i, argument := range t.Run {
		all[i] = unexpanded(argument)
	}
	return all
}

// TaskIn is the Job that does a task in such a pod, tried once.
func (p Place) TaskIn(r deploy.Revision, t deploy.Task, pod corev1.PodSpec, annotations map[string]string) *batchv1.Job {
	pod.RestartPolicy = corev1.RestartPolicyNever
	set := p.labelsOf(r)
	delete(set, LabelRevision)
	set[LabelTask], set[LabelTaskOf] = t.Name, r.ID
	own := map[string]string{LabelInstance: p.Base(), LabelManagedBy: Manager, LabelTask: t.Name, LabelTaskOf: r.ID}
	return &batchv1.Job{
		TypeMeta:   metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: p.meta(p.TaskName(r.ID, t), set),
		Spec: batchv1.JobSpec{
			BackoffLimit:            ptr(int32(0)),
			ActiveDeadlineSeconds:   ptr(int64(seconds(t.Timeout + deadlineSlack))),
			TTLSecondsAfterFinished: ptr(seconds(taskKept)),
			Template:                corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: own, Annotations: annotations}, Spec: pod},
		},
	}
}
