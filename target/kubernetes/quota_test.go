package kubernetes_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
	"github.com/slipway-ci/slipway/target/targettest"
)

// A preview lives in a namespace that is made for it, under a quota, and goes with
// it. One that has no room is told why, long before its time to start is over.
func TestPreviewsHaveAQuota(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	may := access.Least("", access.Needs{Routes: true, Previews: true})
	for i := range may { // as the documents have it: the Role in every such namespace
		may[i].Wide, may[i].Namespace, may[i].Name = true, "", ""
	}
	l.kubeconfig = clustertest.KubeconfigFor(t, l.namespace, append(may, access.Gateway("default", "gateway")))
	place := l.place()
	place.Namespace = l.namespace + "-{environment}"
	place.Quota = &deploy.Quota{Pods: 2}
	env := deploy.Environment{
		Name:    "pr-12",
		Target:  deploy.TargetSpec{Kind: "kubernetes", Cluster: place},
		Service: deploy.Service{Port: 8080, Health: "/healthz", Replicas: 1, StartTimeout: 5 * time.Minute, Drain: time.Second},
	}
	namespace := deploy.In(env.Name, place.Namespace)
	t.Cleanup(func() { clustertest.RemoveNamespace(t, namespace) })
	target := l.target(t, "shop", env)
	if err := target.Permitted(t.Context()); err != nil {
		t.Fatal(err)
	}
	image := targettest.Push(t, targettest.Image(t, "-name", "1.0.0"), l.repository(), "1.0.0")
	fits := deploy.NewRevision("shop", env, image, nil)
	if err := target.Start(t.Context(), fits); err != nil {
		t.Fatalf("one replica of two pods: %v", err)
	}
	quota, err := l.kube.CoreV1().ResourceQuotas(namespace).Get(t.Context(), "shop-pr-12", metav1.GetOptions{})
	if err != nil || quota.Spec.Hard.Pods().Value() != 2 || quota.Spec.Hard.Name("requests.memory", "").String() != "2Gi" {
		t.Errorf("the quota is %+v, %v", quota.Spec, err)
	}
	env.Service.Replicas = 3
	large := deploy.NewRevision("shop", env, image, nil)
	err = target.Start(t.Context(), large)
	var doomed *deploy.Doomed
	if !errors.As(err, &doomed) {
		t.Fatalf("three replicas of two pods: want a *deploy.Doomed, got %v", err)
	}
	if !strings.Contains(doomed.Evidence.Reason, "exceeded quota: shop-pr-12") || strings.Contains(doomed.Evidence.Reason, "was not ready within") {
		t.Errorf("it says %q, hint %q", doomed.Evidence.Reason, doomed.Hint)
	}
	t.Logf("%s\nhint: %s", doomed.Evidence.Reason, doomed.Hint)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	if err := target.Remove(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := l.kube.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the namespace is still there: %v", err)
	}
}
