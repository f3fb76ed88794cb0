package bundle

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/manifests"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// The events of charts at which hooks are run, besides those of a
// deploy.Occasion, which has "pre-" or "post-" before it.
const (
	EventPreDelete  = "pre-delete"
	EventPostDelete = "post-delete"
)

// Events are all at which hooks are run.
var Events = []string{
	EventBefore(deploy.OccasionInstall), EventAfter(deploy.OccasionInstall),
	EventBefore(deploy.OccasionUpgrade), EventAfter(deploy.OccasionUpgrade),
	EventBefore(deploy.OccasionRollback), EventAfter(deploy.OccasionRollback),
	EventPreDelete, EventPostDelete,
}

// EventBefore is the event before anything of a deployment is begun, EventAfter that
// when its users are moved for good.
func EventBefore(o deploy.Occasion) string { return "pre-" + string(o) }

// EventAfter is the event when users are moved for good.
func EventAfter(o deploy.Occasion) string { return "post-" + string(o) }

// AnnotationHook is by which Helm knows hooks.
const AnnotationHook = "helm.sh/hook"

// Policy is when Helm removes a hook. Without any it is BeforeCreation.
type Policy string

// The policies.
const (
	BeforeCreation Policy = "before-hook-creation"
	WhenSucceeded  Policy = "hook-succeeded"
	WhenFailed     Policy = "hook-failed"
)

var policies = []Policy{BeforeCreation, WhenSucceeded, WhenFailed}

// Hook is an object of a chart that is brought in at an event.
type Hook struct {
	manifests.Hook
	// Event is the one that it is brought in at.
	Event string
}

// Name is such as "Job/migrate".
func (h Hook) Name() string { return title(h.Object) }

// Works reports whether the hook is one-off work: a Job, or a Pod. Others are
// applied, and nobody waits for them.
func (h Hook) Works() bool {
	gvk := h.Object.GroupVersionKind()
	return gvk.Group == "batch" && gvk.Kind == "Job" || gvk.Group == "" && gvk.Kind == "Pod"
}

// Removed reports whether a policy removes the hook.
func (h Hook) Removed(p Policy) bool {
	return slices.Contains(h.Delete, string(p)) || len(h.Delete) == 0 && p == BeforeCreation
}

// Hooks are those of an event, in their order.
func (b *Bundle) Hooks(event string) []Hook {
	var all []Hook
	for _, h := range b.Set.Hooks {
		if slices.Contains(h.Events, event) {
			all = append(all, Hook{h, event})
		}
	}
	return all
}

// hooks are those of all events that are run, each once.
func (b *Bundle) hooks() []Hook {
	var all []Hook
	for _, h := range b.Set.Hooks {
		for _, event := range Events {
			if slices.Contains(h.Events, event) {
				all = append(all, Hook{h, event})
				break
			}
		}
	}
	return all
}

// HasWork reports whether any hook is one-off work.
func (b *Bundle) HasWork() bool { return slices.ContainsFunc(b.hooks(), Hook.Works) }

// HookObjects are the objects of hooks that are not one-off work, as they are
// written.
func (b *Bundle) HookObjects() []*unstructured.Unstructured {
	var all []*unstructured.Unstructured
	for _, h := range b.hooks() {
		if !h.Works() {
			all = append(all, h.Object)
		}
	}
	return all
}

// checkHooks refuses hooks that cannot be run, and what Helm would pass over.
func (b *Bundle) checkHooks() error {
	for _, event := range Events {
		seen := map[string]bool{}
		for _, h := range b.Hooks(event) {
			if seen[h.Name()] {
				return deploy.Usage("give one of them another name", "the hook %s is there twice for %s", h.Name(), event)
			}
			seen[h.Name()] = true
		}
	}
	for _, h := range b.hooks() {
		for _, p := range h.Delete {
			if !slices.Contains(policies, Policy(p)) {
				return deploy.Usage(fmt.Sprintf("the policies are %s, %s and %s", policies[0], policies[1], policies[2]),
					"the hook %s is to be removed by the policy %q, which Helm has not", h.Name(), p)
			}
		}
		if !h.Works() {
			continue
		}
		if _, err := h.job(); err != nil {
			return err
		}
	}
	return nil
}

// hooksFit refuses a place where one-off work does not go.
func (b *Bundle) hooksFit(p objects.Place) error {
	for _, h := range b.hooks() {
		if ns := h.Object.GetNamespace(); h.Works() && ns != "" && ns != p.Namespace {
			return deploy.Usage("change it in the chart, or leave the hooks out: target: {kubernetes: {hooks: false}}",
				"the hook %s is in the namespace %s, and the environment %s is in %s", h.Name(), ns, p.Environment, p.Namespace)
		}
	}
	return nil
}

// job is one-off work as it is written. A Pod becomes the Job that runs it once: the
// next run finds it by its name, and does not run it twice.
func (h Hook) job() (*batchv1.Job, error) {
	var job batchv1.Job
	var into any = &job
	var pod corev1.Pod
	single := h.Object.GetKind() == "Pod"
	if single {
		into = &pod
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(h.Object.Object, into, true); err != nil {
		return nil, deploy.Usage(fmt.Sprintf("kubectl explain %s says what there is", strings.ToLower(h.Object.GetKind())), "the hook %s: %w", h.Name(), err)
	}
	if !single {
		return &job, nil
	}
	if pod.Spec.RestartPolicy != corev1.RestartPolicyOnFailure {
		pod.Spec.RestartPolicy = corev1.RestartPolicyNever // otherwise it would never end
	}
	job.ObjectMeta = pod.ObjectMeta
	job.Spec.BackoffLimit = new(int32)
	job.Spec.Template.Labels, job.Spec.Template.Annotations, job.Spec.Template.Spec = pod.Labels, pod.Annotations, pod.Spec
	return &job, nil
}

// hookKept is how long a Job of a hook is there at the least after it has ended, so
// that a run which takes up what another one left finds it; hookSlack is how much
// longer than its limit it may take, so that whoever waits for it tells what is
// wrong before the cluster removes its pod.
const (
	hookKept  = time.Hour
	hookSlack = 30 * time.Second
)

// HookJob is the Job of a hook for a revision: with its image by digest, and the
// set's copies of settings. It is told apart by its event, since a hook may be run
// at several. No Job outlives the limit for long.
func (b *Bundle) HookJob(p objects.Place, r deploy.Revision, h Hook, limit time.Duration) (*batchv1.Job, error) {
	h.Object = b.HookObject(p, r, h)
	job, err := h.job()
	if err != nil {
		return nil, err
	}
	own := map[string]string{objects.LabelTask: h.Object.GetName(), objects.LabelTaskOf: r.ID, objects.LabelHook: h.Event}
	job.TypeMeta = metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"}
	job.ObjectMeta = metav1.ObjectMeta{
		Name: job.Name, Namespace: p.Namespace, Annotations: job.Annotations,
		Labels: with(with(job.Labels, own), map[string]string{objects.LabelApp: p.App, objects.LabelEnvironment: p.Environment}),
	}
	delete(job.Annotations, lastApplied)
	job.Status = batchv1.JobStatus{}
	job.Spec.Template.Labels = with(job.Spec.Template.Labels, own)
	deadline := int64(math.Ceil((limit + hookSlack).Seconds()))
	if given := job.Spec.ActiveDeadlineSeconds; given == nil || *given > deadline {
		job.Spec.ActiveDeadlineSeconds = &deadline
	}
	kept := int32(hookKept.Seconds())
	if given := job.Spec.TTLSecondsAfterFinished; given != nil && *given < kept {
		job.Spec.TTLSecondsAfterFinished = &kept
	}
	b.readCopies(&job.Spec.Template.Spec)
	return job, nil
}

// HookObject is the object of a hook for a revision: in the place's namespace where
// it names none, and with the image by digest.
func (b *Bundle) HookObject(p objects.Place, r deploy.Revision, h Hook) *unstructured.Unstructured {
	o := h.Object.DeepCopy()
	o.SetNamespace(cmp.Or(o.GetNamespace(), p.Namespace))
	all := []*unstructured.Unstructured{o}
	manifests.Replace(all, manifests.ImageOf(b.App), r.Image.Reference())
	manifests.SetImage(all, manifests.App{}, r.Image.Reference())
	return o
}

// notRun are the hooks of no event at which hooks are run, each with its events.
func (b *Bundle) notRun() (tests, others []string) {
	for _, h := range b.Set.Hooks {
		if slices.ContainsFunc(h.Events, func(e string) bool { return slices.Contains(Events, e) }) {
			continue
		}
		if slices.ContainsFunc(h.Events, func(e string) bool { return strings.HasPrefix(e, "test") }) {
			tests = append(tests, title(h.Object))
			continue
		}
		others = append(others, fmt.Sprintf("%s (%s)", title(h.Object), strings.Join(h.Events, ", ")))
	}
	return tests, others
}
