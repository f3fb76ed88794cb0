package kubernetes_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/target/kubernetes/bundle"
)

const ownAutoscaler = `apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 1
  maxReplicas: MOST
  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 70}}}]
---`

// workers is somebody else's autoscaler, of a workload beside the app.
const workers = `{"apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": {"name": "workers"}, "spec": {
  "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "worker"}, "minReplicas": 3, "maxReplicas": 5}}`

// numbered are the site's manifests in a version that says how many workers there are.
func (s *site) numbered(t *testing.T, word, extra string) *bundle.Bundle {
	t.Helper()
	text := strings.NewReplacer("WORD", word, "EXTRA", extra, "metadata: {name: worker}\nspec:\n", "metadata: {name: worker}\nspec:\n  replicas: 1\n").Replace(own)
	return s.read(t, text)
}

// workers is how many of them there are to be.
func (s *site) workers(t *testing.T) int32 {
	t.Helper()
	d, err := s.kube.AppsV1().Deployments(s.namespace).Get(t.Context(), "worker", metav1.GetOptions{})
	must(t, err)
	return *d.Spec.Replicas
}

// With an autoscaler in a user's own manifests, what takes over has as many replicas
// as what it takes over from, be that of Slipway or not, and what is gone back to has
// what it had; each version has the autoscaler for itself, of which drift tells what others change.
func TestAutoscalerOfManifests(t *testing.T) {
	t.Parallel()
	s := newLab(t).site()
	s.grantScaling(t)
	s.standing(t)
	s.scale("web", 2)
	extra := strings.Replace(ownAutoscaler, "MOST", "4", 1)

	target, v1 := s.version(t, "v1", s.numbered(t, "one", extra))
	must(t, target.Start(t.Context(), v1))
	var others autoscalingv2.HorizontalPodAutoscaler
	must(t, json.Unmarshal([]byte(workers), &others))
	_, err := s.kube.AutoscalingV2().HorizontalPodAutoscalers(s.namespace).Create(t.Context(), &others, metav1.CreateOptions{})
	must(t, err)
	s.bound(v1, "none: 1")
	must(t, target.Switch(t.Context(), v1))
	s.bound(v1, "1-4: 2") // as many as somebody's own Deployment had
	if _, err := s.kube.AutoscalingV2().HorizontalPodAutoscalers(s.namespace).Get(t.Context(), "web", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("there is one of all versions besides: %v", err)
	}
	must(t, target.Write(t.Context(), deploy.Record{Phase: deploy.PhaseSettled, Outcome: deploy.Promoted, Candidate: v1}))

	// A canary at peak, and back. What somebody else's autoscaler has scaled stays.
	for end := time.Now().Add(2 * time.Minute); s.workers(t) != 3; time.Sleep(200 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the autoscaler has left it at %d workers", s.workers(t))
		}
	}
	s.scale("shop-production-"+v1.ID, 3)
	target, v2 := s.version(t, "v2", s.bundle(t, "two", extra))
	must(t, target.Start(t.Context(), v2))
	s.bound(v2, "none: 1")
	must(t, target.Split(t.Context(), v2, 50))
	s.bound(v2, "2-4: 2")
	s.bound(v1, "3-4: 3")
	// Both have become more: all users together need more than either side had.
	s.scale("shop-production-"+v2.ID, 3)
	must(t, target.Split(t.Context(), v2, 0))
	s.bound(v1, "4-4: 4")
	must(t, target.Stop(t.Context(), v2))
	if n := s.workers(t); n != 3 { // at once: the autoscaler would put it right
		t.Errorf("there are to be %d workers after the way back", n)
	}
	s.bound(v1, "1-4: 4")

	// It is brought in by another process.
	target, v2 = s.version(t, "v2", s.bundle(t, "two", extra))
	must(t, target.Start(t.Context(), v2))
	must(t, target.Switch(t.Context(), v2))
	s.bound(v2, "4-4: 4")
	s.bound(v1, "4-4: 4")
	must(t, target.Stop(t.Context(), v1))
	s.bound(v2, "1-4: 4")
	admin, err := dynamic.NewForConfig(clustertest.Config(t))
	must(t, err)
	d := &drifting{lab: s.lab, target: target, live: v2, admin: admin}
	state, err := target.State(t.Context())
	must(t, err)
	d.record(deploy.Record{Version: state.Record.Version, Phase: deploy.PhaseSettled, Outcome: deploy.Promoted, Candidate: v2, Previous: v1})
	d.target = s.later(t)
	d.expects()
	of := "shop-production-" + v2.ID
	d.edit("Autoscaler", of, "kubectl-edit", `{"spec":{"maxReplicas":9}}`)
	d.expects(`HorizontalPodAutoscaler ` + of + `: .spec.maxReplicas was changed by "kubectl-edit" (Update): 4 is now 9`)
	_, err = d.repair(nil)
	d.do(err)
	s.bound(v2, "1-4: 4")
	d.expects()
}

// An autoscaler that the cluster refuses is told before anything changes.
func TestAutoscalerThatCannotBe(t *testing.T) {
	t.Parallel()
	s := newLab(t).site()
	s.grantScaling(t)
	target, v1 := s.version(t, "v1", s.bundle(t, "one", strings.Replace(ownAutoscaler, "MOST", "0", 1)))
	err := target.Start(t.Context(), v1)
	if err == nil || !strings.Contains(err.Error(), "the autoscaler of the manifests") || !strings.Contains(err.Error(), "maxReplicas") {
		t.Errorf("got %v", err)
	}
	if _, err := s.kube.CoreV1().ConfigMaps(s.namespace).Get(t.Context(), "settings", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the manifests are applied: %v", err)
	}
}

func (s *site) bound(r deploy.Revision, want string) {
	s.Helper()
	if got := s.bounds("shop-production-" + r.ID); got != want {
		s.Errorf("the autoscaler of %s is %q, want %q", r, got, want)
	}
}
