package kubernetes_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
)

// Real autoscalers act on real load while a canary is under way: the version that is
// live and the one that shares its users each get more replicas, the one that takes
// over has what both had, what is gone back to has it still, and no user loses
// anything.
func TestAutoscalersUnderLoad(t *testing.T) {
	t.Parallel()
	s := newLoaded(t)
	a, b := s.revision("1.0.0"), s.revision("1.1.0")
	s.must(s.target.Start(s.ctx, a))
	s.must(s.target.Switch(s.ctx, a))
	s.is(a, "1-3: 1")
	users := s.burn(20)
	s.grows(a, 3)

	s.must(s.target.Start(s.ctx, b))
	s.must(s.target.Split(s.ctx, b, 40))
	s.is(a, "3-3: 3")
	s.measured(a, b)
	s.grows(b, 3) // from its part of the replicas, by its own load
	s.must(s.target.Switch(s.ctx, b))
	s.is(b, "3-3: 3")
	s.is(a, "3-3: 3")
	s.must(s.target.Switch(s.ctx, a))
	s.must(s.target.Switch(s.ctx, b))
	s.must(s.target.Retire(s.ctx, a))
	s.is(b, "1-3: 3")
	users.end()
}

// newLoaded is an environment behind the gateway in a cluster that measures its
// pods. Its replicas have so little CPU each that a few requests are load.
func newLoaded(t *testing.T) scaled {
	t.Helper()
	l := newLab(t)
	clustertest.Metrics(t, l.namespace)
	may := access.Least(l.namespace, access.Needs{Routes: true, Scaling: true, Usage: true})
	l.kubeconfig = clustertest.KubeconfigFor(t, l.namespace, append(may, access.Gateway("default", "gateway")))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	t.Cleanup(cancel)
	s := scaled{lab: l, ctx: ctx}
	s.env = deploy.Environment{
		Name: "peak", Target: deploy.TargetSpec{Kind: "kubernetes", Cluster: l.place()}, Strategy: deploy.DefaultStrategy(),
		Service: deploy.Service{Port: 8080, Health: "/healthz", Replicas: 1, StartTimeout: 2 * time.Minute, Drain: 2 * time.Second},
	}
	s.env.Target.Cluster.Autoscale = &deploy.Autoscale{Min: 1, Max: 3, CPU: 60}
	s.env.Target.Cluster.Pod.CPU = "20m"
	s.env.Strategy.Judging.Metrics = []deploy.Metric{{Name: "cpu", Kubernetes: deploy.NeedCPU}}
	s.target = l.target(t, "hello", s.env)
	s.must(s.target.Permitted(ctx))
	return s
}

// grows waits until the autoscaler of a revision has brought it to so many replicas,
// by what it has measured.
func (s scaled) grows(r deploy.Revision, replicas int32) {
	s.Helper()
	name := "hello-peak-" + r.ID
	for {
		h, err := s.kube.AutoscalingV2().HorizontalPodAutoscalers(s.namespace).Get(s.ctx, name, metav1.GetOptions{})
		s.must(err)
		d, err := s.kube.AppsV1().Deployments(s.namespace).Get(s.ctx, name, metav1.GetOptions{})
		s.must(err)
		if *d.Spec.Replicas == replicas && d.Status.ReadyReplicas == replicas && active(h) {
			return
		}
		select {
		case <-s.ctx.Done():
			s.Fatalf("%s has %d replicas, not %d: %+v", r, *d.Spec.Replicas, replicas, h.Status)
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// active reports whether an autoscaler goes by what it has measured.
func active(h *autoscalingv2.HorizontalPodAutoscaler) bool {
	for _, c := range h.Status.Conditions {
		if c.Type == autoscalingv2.ScalingActive {
			return c.Status == corev1.ConditionTrue && len(h.Status.CurrentMetrics) > 0
		}
	}
	return false
}

// measured waits until the judge knows by the metrics API what both revisions take.
func (s scaled) measured(live, candidate deploy.Revision) {
	s.Helper()
	for _, m := range []deploy.Metric{{Name: "cpu", Kubernetes: deploy.NeedCPU}, {Name: "memory", Kubernetes: deploy.NeedMemory}} {
		source := s.target.Usage(m, live, candidate)
		for {
			r, err := source.Measure(s.ctx) // a cluster under load may refuse one now and then
			if err == nil && len(r.Gauges) == 1 && r.Gauges[0].Live > 0 && r.Gauges[0].Candidate > 0 {
				break // NaN is not known yet
			}
			select {
			case <-s.ctx.Done():
				s.Fatalf("%s is %v: %v", m.Name, r, err)
			case <-time.After(500 * time.Millisecond):
			}
		}
	}
}

// load are users, each of whose requests takes 10 ms of a processor.
type load struct {
	scaled
	stop          context.CancelFunc
	all           sync.WaitGroup
	asked, failed atomic.Int64
	// why is of the first that failed.
	why atomic.Value
}

// burn sends so many requests a second through the gateway until end.
func (s scaled) burn(rate int) *load {
	s.Helper()
	ctx, stop := context.WithCancel(s.ctx)
	l := &load{scaled: s, stop: stop}
	s.Cleanup(stop)
	l.all.Go(func() {
		tick := time.NewTicker(time.Second / time.Duration(rate))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				l.all.Go(l.request)
			}
		}
	})
	return l
}

// request is one of them, which is not broken off by the end.
func (l *load) request() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(l.ctx), 30*time.Second)
	defer cancel()
	status, body, err := ask(ctx, l.users, "http://peak."+l.namespace+".localhost/burn?10ms", "")
	l.asked.Add(1)
	if lost := err != nil || status != http.StatusOK; lost && l.failed.Add(1) == 1 {
		l.why.Store(fmt.Sprintf("status %d, %q, %v", status, body, err))
	}
}

// end requires that every request was answered.
func (l *load) end() {
	l.Helper()
	l.stop()
	l.all.Wait()
	if n := l.failed.Load(); n > 0 {
		l.Errorf("%d of %d requests were lost: %v", n, l.asked.Load(), l.why.Load())
	}
	if l.asked.Load() < 100 {
		l.Errorf("only %d requests were made", l.asked.Load())
	}
}
