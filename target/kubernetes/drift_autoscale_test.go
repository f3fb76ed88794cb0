package kubernetes_test

import (
	"strings"
	"testing"

	autoscalingv1 "k8s.io/api/autoscaling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
)

// What others change of an autoscaler of Slipway's is told and put back, also where it
// went with its Deployment. While a rollout is held, what users were moved with is
// right.
func TestDriftOfAutoscalers(t *testing.T) {
	t.Parallel()
	s := newScaled(t)
	admin, err := dynamic.NewForConfig(clustertest.Config(t))
	s.must(err)
	a, b := s.revision("1.0.0"), s.revision("1.1.0")
	s.must(s.target.Start(s.ctx, a))
	s.must(s.target.Switch(s.ctx, a))
	d := &drifting{lab: s.lab, target: s.target, live: a, admin: admin}
	d.record(deploy.Record{Phase: deploy.PhaseSettled, Outcome: deploy.Promoted, Candidate: a})
	d.expects()

	of, ofB := "hello-peak-"+a.ID, "hello-peak-"+b.ID
	d.edit("Autoscaler", of, "kubectl-edit", `{"spec":{"minReplicas":2,"maxReplicas":9,"metrics":[{"type":"Resource","resource":{"name":"cpu","target":{"type":"Utilization","averageUtilization":20}}}]}}`)
	d.expects(
		`HorizontalPodAutoscaler `+of+`: .spec.minReplicas was changed by "kubectl-edit" (Update): 1 is now 2`,
		`HorizontalPodAutoscaler `+of+`: .spec.maxReplicas was changed by "kubectl-edit" (Update): 4 is now 9`,
		`HorizontalPodAutoscaler `+of+`: .spec.metrics[0].resource.target.averageUtilization was changed by "kubectl-edit" (Update): 70 is now 20`,
	)
	_, err = d.repair(nil)
	d.do(err)
	d.expects()
	// Until then the cluster may have followed the two replicas of the edit.
	if got := s.bounds(of); !strings.HasPrefix(got, "1-4: ") {
		t.Errorf("after the repair the autoscaler is %q", got)
	}

	d.remove("Autoscaler", of)
	d.expects("HorizontalPodAutoscaler " + of + " is missing")
	_, err = d.repair(nil)
	d.do(err)
	d.remove("Deployment", of)
	d.expects("Deployment "+of+" is missing", "HorizontalPodAutoscaler "+of+" is missing")
	_, err = d.repair(nil)
	d.do(err)
	d.expects()
	live, err := s.kube.AppsV1().Deployments(s.namespace).Get(s.ctx, of, metav1.GetOptions{})
	s.must(err)
	scaler, err := s.kube.AutoscalingV2().HorizontalPodAutoscalers(s.namespace).Get(s.ctx, of, metav1.GetOptions{})
	s.must(err)
	if !ownedBy(scaler.OwnerReferences, live) {
		t.Errorf("the autoscaler ends with %+v, not with the Deployment %s", scaler.OwnerReferences, live.UID)
	}

	peak := &autoscalingv1.Scale{ObjectMeta: metav1.ObjectMeta{Name: of, Namespace: s.namespace}, Spec: autoscalingv1.ScaleSpec{Replicas: 2}}
	_, err = s.kube.AppsV1().Deployments(s.namespace).UpdateScale(s.ctx, of, peak, metav1.UpdateOptions{FieldManager: "kube-controller-manager"})
	s.must(err)
	s.must(s.target.Start(s.ctx, b))
	d.record(deploy.Record{Phase: deploy.PhaseHeld, Candidate: b, Previous: a})
	d.expects() // without users it has none
	s.must(s.target.Split(s.ctx, b, 50))
	d.record(deploy.Record{Phase: deploy.PhaseHeld, Candidate: b, Previous: a, Share: 50})
	d.expects()
	d.edit("Autoscaler", of, "kubectl-edit", `{"spec":{"maxReplicas":3}}`)
	d.remove("Autoscaler", ofB)
	d.expects(`HorizontalPodAutoscaler `+of+`: .spec.maxReplicas was changed by "kubectl-edit" (Update): 4 is now 3`,
		"HorizontalPodAutoscaler "+ofB+" is missing")
	_, err = d.repair(nil)
	d.do(err)
	d.expects()
	s.is(a, "2-4: 2")
	s.is(b, "1-4: 1")
}

func ownedBy(owners []metav1.OwnerReference, o metav1.Object) bool {
	for _, owner := range owners {
		if owner.UID == o.GetUID() {
			return true
		}
	}
	return false
}
