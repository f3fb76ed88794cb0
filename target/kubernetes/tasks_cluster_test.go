package kubernetes_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/targettest"
)

// Where nobody is let in to the app but to its port, nobody is let in to the pods of
// its tasks; and the policy goes with them.
func TestTasksAreIsolatedWithTheApp(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	place := l.place()
	place.Isolated = true
	task := deploy.Task{Name: "some", Run: []string{"/app", "-exit", "0"}, Timeout: 2 * time.Minute}
	env := deploy.Environment{
		Name: "production", Target: deploy.TargetSpec{Kind: "kubernetes", Cluster: place}, Tasks: deploy.Tasks{Before: []deploy.Task{task}},
		Service: deploy.Service{Port: 8080, Replicas: 1, StartTimeout: time.Minute, Drain: time.Second},
	}
	target := l.target(t, "shop", env)
	image := targettest.Push(t, targettest.Image(t, "-name", "one"), l.repository(), "1.0.0")
	r := deploy.NewRevision("shop", env, image, nil)
	must(t, target.Run(t.Context(), r, task, func(string) {}))

	pods, err := l.kube.CoreV1().Pods(l.namespace).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	policies, err := l.kube.NetworkingV1().NetworkPolicies(l.namespace).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	if len(pods.Items) != 1 || len(policies.Items) != 1 {
		t.Fatalf("there are %d pods and %d policies, not one of each", len(pods.Items), len(policies.Items))
	}
	fence := policies.Items[0].Spec
	by, err := metav1.LabelSelectorAsSelector(&fence.PodSelector)
	must(t, err)
	if !by.Matches(labels.Set(pods.Items[0].Labels)) || len(fence.Ingress) != 0 || len(fence.PolicyTypes) != 1 {
		t.Errorf("the policy %+v does not keep everybody from the pod with the labels %v", fence, pods.Items[0].Labels)
	}
	must(t, target.Stop(t.Context(), r))
	policies, err = l.kube.NetworkingV1().NetworkPolicies(l.namespace).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	if len(policies.Items) != 0 {
		t.Errorf("%d policies are left", len(policies.Items))
	}
}
