package kubernetes_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes"
	"github.com/slipway-ci/slipway/target/targettest"
)

// scaled is an environment whose replicas follow their load.
type scaled struct {
	*lab
	ctx    context.Context
	target *kubernetes.Target
	env    deploy.Environment
}

func newScaled(t *testing.T) scaled {
	t.Helper()
	s := scaled{lab: newLabInside(t)}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	t.Cleanup(cancel)
	s.ctx = ctx
	s.env = deploy.Environment{
		Name: "peak", Target: s.within(), Strategy: deploy.DefaultStrategy(),
		Service: deploy.Service{Port: 8080, Health: "/healthz", Replicas: 1, StartTimeout: 2 * time.Minute, Drain: time.Second},
	}
	s.env.Target.Cluster.Autoscale = &deploy.Autoscale{Min: 1, Max: 4, CPU: 70}
	s.target = s.lab.target(t, "hello", s.env)
	return s
}

func (s scaled) revision(version string) deploy.Revision {
	s.Helper()
	image := targettest.Push(s, targettest.Image(s, "-name", version), s.repository(), version)
	return deploy.NewRevision("hello", s.env, image, nil)
}

// bounds are the fewest and the most replicas of the autoscaler of a Deployment, and
// how many that has: "1-4: 3".
func (l *lab) bounds(name string) string {
	l.Helper()
	d, err := l.kube.AppsV1().Deployments(l.namespace).Get(l.Context(), name, metav1.GetOptions{})
	if err != nil {
		l.Fatal(err)
	}
	a, err := l.kube.AutoscalingV2().HorizontalPodAutoscalers(l.namespace).Get(l.Context(), name, metav1.GetOptions{})
	if err != nil {
		return fmt.Sprintf("none: %d", *d.Spec.Replicas)
	}
	return fmt.Sprintf("%d-%d: %d", *a.Spec.MinReplicas, a.Spec.MaxReplicas, *d.Spec.Replicas)
}

// scale is what an autoscaler does to a Deployment.
func (l *lab) scale(name string, replicas int32) {
	l.Helper()
	to := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: l.namespace}, Spec: autoscalingv1.ScaleSpec{Replicas: replicas}}
	if _, err := l.kube.AppsV1().Deployments(l.namespace).UpdateScale(l.Context(), name, to, metav1.UpdateOptions{FieldManager: "kube-controller-manager"}); err != nil {
		l.Fatal(err)
	}
}

func (s scaled) is(r deploy.Revision, want string) {
	s.Helper()
	if got := s.bounds("hello-peak-" + r.ID); got != want {
		s.Errorf("the autoscaler of %s is %q, want %q", r, got, want)
	}
}

func (s scaled) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatalf("%v\n%s", err, deploy.HintOf(err))
	}
}

// What takes over at peak has as many replicas as what it takes over from, which
// keeps its own until it goes; and what cannot serve takes nothing over.
func TestReplicasThatFollowTheirLoad(t *testing.T) {
	t.Parallel()
	s := newScaled(t)
	s.must(s.target.Permitted(s.ctx))
	a, b := s.revision("1.0.0"), s.revision("1.1.0")
	s.must(s.target.Start(s.ctx, a))
	s.is(a, "none: 1")
	s.must(s.target.Switch(s.ctx, a))
	s.is(a, "1-4: 1")

	s.scale("hello-peak-"+a.ID, 3)
	s.must(s.target.Start(s.ctx, b))
	s.is(b, "none: 1")
	s.must(s.target.Switch(s.ctx, b))
	s.is(b, "3-4: 3")
	s.is(a, "3-4: 3")
	state, err := s.target.State(s.ctx)
	s.must(err)
	if running, _ := state.Find(b.ID); running.Ready() != 3 {
		t.Errorf("%d replicas are ready", running.Ready())
	}

	// It is going back at a higher peak: what is gone back to gets as many.
	s.scale("hello-peak-"+b.ID, 4)
	s.must(s.target.Switch(s.ctx, a))
	s.is(a, "4-4: 4")
	s.must(s.target.Switch(s.ctx, b))
	s.is(b, "3-4: 4")

	if err := s.target.Retire(s.ctx, b); err == nil || !strings.Contains(err.Error(), "users are sent to") {
		t.Errorf("what is live was to be retired: %v", err)
	}
	s.scale("hello-peak-"+a.ID, 0)
	s.noneServe(a)
	if err := s.target.Switch(s.ctx, a); err == nil || !strings.Contains(err.Error(), "no replica of") || deploy.HintOf(err) == "" {
		t.Errorf("users were to go to nobody: %v", err)
	}
	s.must(s.target.Retire(s.ctx, a))
	s.is(b, "1-4: 4")
}

// noneServe waits until the Service of a revision leads nowhere.
func (s scaled) noneServe(r deploy.Revision) {
	s.Helper()
	for {
		list, err := s.kube.DiscoveryV1().EndpointSlices(s.namespace).List(s.ctx, metav1.ListOptions{LabelSelector: "kubernetes.io/service-name=hello-peak-" + r.ID})
		s.must(err)
		ready := 0
		for i := range list.Items {
			for _, e := range list.Items[i].Endpoints {
				if e.Conditions.Ready != nil && *e.Conditions.Ready {
					ready++
				}
			}
		}
		if ready == 0 {
			return
		}
		select {
		case <-s.ctx.Done():
			s.Fatalf("%d pods of %s serve still", ready, r)
		case <-time.After(50 * time.Millisecond):
		}
	}
}
