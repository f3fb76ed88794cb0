package objects

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
)

// The least that a quota leaves where slipway.yaml says nothing, and how many
// versions of the app have room side by side.
const (
	quotaCPU      = "2"
	quotaMemory   = "2Gi"
	quotaPods     = "20"
	quotaVersions = 4
)

// Quota bounds what all pods of an environment ask for that has a namespace of its
// own; nil where it is to have no bounds. What slipway.yaml leaves out has room for
// four versions like this one, and is never less than it was before: older pods
// that need more may still be there.
func (p Place) Quota(r deploy.Revision, before corev1.ResourceList) (*corev1.ResourceQuota, error) {
	q := p.Cluster.Quota
	if q == nil {
		return nil, nil //nolint:nilnil // none is an answer
	}
	needs, err := resources(r.Config.Settings)
	if err != nil {
		return nil, err
	}
	replicas := max(1, r.Config.Replicas)
	if a := deploy.AutoscaleOf(r.Config); a != nil {
		replicas = max(replicas, a.Max)
	}
	pods := ""
	if q.Pods > 0 {
		pods = fmt.Sprint(q.Pods)
	}
	hard := corev1.ResourceList{}
	for _, of := range []struct {
		name        corev1.ResourceName
		one         resource.Quantity
		said, least string
	}{
		{corev1.ResourceRequestsCPU, needs.Requests[corev1.ResourceCPU], q.CPU, quotaCPU},
		{corev1.ResourceRequestsMemory, needs.Requests[corev1.ResourceMemory], q.Memory, quotaMemory},
		{corev1.ResourcePods, resource.MustParse("1"), pods, quotaPods},
	} {
		if of.said != "" {
			if hard[of.name], err = resource.ParseQuantity(of.said); err != nil {
				return nil, deploy.Usage("write one such as 2 or 4Gi", "quota: %q is no quantity: %w", of.said, err)
			}
			continue
		}
		of.one.Mul(int64(replicas * quotaVersions))
		hard[of.name] = largest(of.one, resource.MustParse(of.least), before[of.name])
	}
	return &corev1.ResourceQuota{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ResourceQuota"},
		ObjectMeta: p.meta(p.Base(), p.Labels()),
		Spec:       corev1.ResourceQuotaSpec{Hard: hard},
	}, nil
}

func largest(first resource.Quantity, others ...resource.Quantity) resource.Quantity {
	for _, q := range others {
		if q.Cmp(first) > 0 {
			first = q
		}
	}
	return first
}

// Requests are what containers ask for that say nothing: beside a Quota, the
// cluster lets none in that asks for nothing.
func (p Place) Requests() *corev1.LimitRange {
	return &corev1.LimitRange{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "LimitRange"},
		ObjectMeta: p.meta(p.Base(), p.Labels()),
		Spec: corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{{
			Type: corev1.LimitTypeContainer,
			DefaultRequest: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse(DefaultCPU), corev1.ResourceMemory: resource.MustParse(DefaultMemory),
			},
		}}},
	}
}
