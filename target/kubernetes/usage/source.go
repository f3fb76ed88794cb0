package usage

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/metrics"
	"github.com/slipway-ci/slipway/rollout/analysis"
)

// Options say what is measured.
type Options struct {
	Namespace string
	// Live and Candidate select the pods of either version by labels. An empty
	// Live one is that there is none.
	Live, Candidate string
	// CPU (cores of a replica), Memory (bytes of a replica) and Restarts (of a
	// replica) are the names of the gauges; an empty one is not measured.
	CPU, Memory, Restarts string
	// Kubelets are asked, and not the metrics API, for CPU and memory.
	Kubelets bool
}

// Source measures both versions. It is a metrics.Source: for one rollout, and
// not to be asked by two goroutines at once.
type Source struct {
	client kubernetes.Interface
	o      Options
	// before are the counters of CPU time that a kubelet told last.
	before map[container]counter
}

var _ metrics.Recorder = (*Source)(nil)

// New makes a source.
func New(client kubernetes.Interface, o Options) *Source { return &Source{client: client, o: o} }

// need is what a container takes at a moment; NaN is not known.
type need struct{ cpu, memory float64 }

// container is one in a namespace.
type container struct{ pod, name string }

// Measure gives the gauges: means of the replicas that are ready, NaN where
// nothing is known of a version. What is not known of a version that has such
// replicas is told as missing. An error is a *metrics.FetchError.
func (s *Source) Measure(ctx context.Context) (metrics.Reading, error) {
	live, err := s.ready(ctx, s.o.Live)
	if err != nil {
		return metrics.Reading{}, err
	}
	candidate, err := s.ready(ctx, s.o.Candidate)
	if err != nil {
		return metrics.Reading{}, err
	}
	var r metrics.Reading
	s.gauge(&r, s.o.Restarts, live, candidate, restarts)
	if s.o.CPU == "" && s.o.Memory == "" || len(live)+len(candidate) == 0 {
		return r, nil
	}
	needs, err := s.needs(ctx, live, candidate)
	if err != nil {
		return r, err
	}
	s.gauge(&r, s.o.CPU, live, candidate, func(p *corev1.Pod) float64 { return total(p, needs).cpu })
	s.gauge(&r, s.o.Memory, live, candidate, func(p *corev1.Pod) float64 { return total(p, needs).memory })
	return r, nil
}

// Recall is what Measure says now: a cluster keeps nothing of what its pods have
// taken. A scheduled look sees the moment that it looks at.
func (s *Source) Recall(ctx context.Context, _ metrics.Past) ([]metrics.Moment, error) {
	r, err := s.Measure(ctx)
	return []metrics.Moment{{At: time.Now(), Reading: r}}, err
}

// ready are the pods of a version that serve.
func (s *Source) ready(ctx context.Context, selector string) ([]corev1.Pod, error) {
	if selector == "" {
		return nil, nil
	}
	list, err := s.client.CoreV1().Pods(s.o.Namespace).List(ctx, metav1.ListOptions{LabelSelector: selector})
	if err != nil {
		return nil, failed("pods", err)
	}
	var all []corev1.Pod
	for i := range list.Items {
		p := &list.Items[i]
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil {
				all = append(all, *p)
			}
		}
	}
	return all, nil
}

// gauge adds one, unless it has no name.
func (s *Source) gauge(r *metrics.Reading, name string, live, candidate []corev1.Pod, of func(*corev1.Pod) float64) {
	if name == "" {
		return
	}
	g := analysis.Gauge{Name: name, Live: mean(live, of), Candidate: mean(candidate, of)}
	r.Gauges = append(r.Gauges, g)
	if len(live) > 0 && math.IsNaN(g.Live) || len(candidate) > 0 && math.IsNaN(g.Candidate) {
		r.Missing = append(r.Missing, deploy.Hinted(fmt.Errorf("%s is not known yet of every replica", name), "the cluster measures a new one after some seconds"))
	}
}

// mean is NaN where one is not known: the mean of the others would be that of
// the older ones, as a rule.
func mean(pods []corev1.Pod, of func(*corev1.Pod) float64) float64 {
	if len(pods) == 0 {
		return math.NaN()
	}
	sum := 0.0
	for i := range pods {
		sum += of(&pods[i])
	}
	return sum / float64(len(pods))
}

// restarts of all containers of a pod.
func restarts(p *corev1.Pod) float64 {
	n := 0
	for _, all := range [][]corev1.ContainerStatus{p.Status.InitContainerStatuses, p.Status.ContainerStatuses} {
		for i := range all {
			n += int(all[i].RestartCount)
		}
	}
	return float64(n)
}

// total is what the containers of a pod take together.
func total(p *corev1.Pod, needs map[container]need) need {
	var sum need
	for i := range p.Spec.Containers {
		n, known := needs[container{p.Name, p.Spec.Containers[i].Name}]
		if !known {
			n = need{math.NaN(), math.NaN()}
		}
		sum.cpu, sum.memory = sum.cpu+n.cpu, sum.memory+n.memory
	}
	return sum
}

// needs asks the metrics API, and the kubelets where there is none.
func (s *Source) needs(ctx context.Context, live, candidate []corev1.Pod) (map[container]need, error) {
	if s.o.Kubelets {
		return s.fromKubelets(ctx, append(live, candidate...))
	}
	needs, err := s.fromAPI(ctx)
	if err != nil && absent(err) {
		return nil, deploy.Hinted(err, "install metrics-server in the cluster, write kubelets: true, or measure cpu and memory by a Prometheus")
	}
	return needs, err
}

// absent reports whether there is no metrics API, or none that works.
func absent(err error) bool {
	return apierrors.IsNotFound(err) || apierrors.IsServiceUnavailable(err)
}

// failed is an error of a request. What is forbidden stays so.
func failed(what string, err error) error {
	stays := apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) || apierrors.IsNotFound(err)
	fetch := &metrics.FetchError{Address: what, Temporary: !stays, Err: err}
	if apierrors.IsForbidden(err) {
		fetch.Err = errForbidden // what an unstructured answer comes to is "unknown"
		return deploy.Hinted(fetch, "its Role needs get and list for that; docs/kubernetes-rbac.md has it")
	}
	return fetch
}

// counter is CPU time in seconds, used up to a time.
type counter struct {
	seconds float64
	at      time.Time
}

var errForbidden = errors.New("this login may not do that")

var errNoNumbers = errors.New("the answer has no numbers")
