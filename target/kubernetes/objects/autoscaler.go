package objects

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-ci/slipway/deploy"
)

// KindScaledObject is KEDA's kind of autoscaler, which keeps a
// HorizontalPodAutoscaler by itself.
const KindScaledObject = "ScaledObject"

// FloorOf is the field in the specification of a kind of autoscaler that says below
// how many replicas it does not go.
func FloorOf(kind string) string {
	if kind == KindScaledObject {
		return "minReplicaCount"
	}
	return "minReplicas"
}

// OwnedBy has an object end with the Deployment of a revision, by the name and the
// UID of that.
func OwnedBy(name string, deployment types.UID) []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: name, UID: deployment}}
}

// Autoscaler lets the number of a revision's pods follow their load, between floor
// and what the revision asks for at most; a floor outside of its bounds is brought
// between them. It ends with the Deployment whose UID this is. Nil where the
// revision asks for a fixed number.
func (p Place) Autoscaler(r deploy.Revision, floor int, deployment types.UID) *autoscalingv2.HorizontalPodAutoscaler {
	a := deploy.AutoscaleOf(r.Config)
	if a == nil {
		return nil
	}
	meta := p.meta(p.Name(r.ID), p.labelsOf(r))
	meta.OwnerReferences = OwnedBy(p.Name(r.ID), deployment)
	return &autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta:   metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"},
		ObjectMeta: meta,
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: p.Name(r.ID)},
			MinReplicas:    ptr(int32(a.Within(floor))),
			MaxReplicas:    int32(a.Max),
			Metrics: []autoscalingv2.MetricSpec{{
				Type: autoscalingv2.ResourceMetricSourceType,
				Resource: &autoscalingv2.ResourceMetricSource{
					Name: corev1.ResourceCPU,
					Target: autoscalingv2.MetricTarget{
						Type: autoscalingv2.UtilizationMetricType, AverageUtilization: ptr(int32(a.CPU)),
					},
				},
			}},
		},
	}
}
