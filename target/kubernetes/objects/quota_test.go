package objects_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/slipway-ci/slipway/deploy"
)

func TestQuotas(t *testing.T) {
	list := func(cpu, memory, pods string) corev1.ResourceList {
		return corev1.ResourceList{
			corev1.ResourceRequestsCPU: resource.MustParse(cpu), corev1.ResourceRequestsMemory: resource.MustParse(memory), corev1.ResourcePods: resource.MustParse(pods),
		}
	}
	for name, c := range map[string]struct {
		quota    deploy.Quota
		pod      deploy.Pod
		replicas int
		before   corev1.ResourceList
		want     corev1.ResourceList
	}{
		"a small app":             {deploy.Quota{}, deploy.Pod{}, 1, nil, list("2", "2Gi", "20")},
		"a large app":             {deploy.Quota{}, deploy.Pod{CPU: "1", Memory: "2Gi"}, 6, nil, list("24", "48Gi", "24")},
		"it was large":            {deploy.Quota{}, deploy.Pod{}, 1, list("24", "48Gi", "24"), list("24", "48Gi", "24")},
		"what is written":         {deploy.Quota{CPU: "500m", Memory: "1Gi", Pods: 3}, deploy.Pod{CPU: "1"}, 6, list("24", "48Gi", "24"), list("500m", "1Gi", "3")},
		"what is written in part": {deploy.Quota{Pods: 3}, deploy.Pod{}, 1, nil, list("2", "2Gi", "3")},
	} {
		p := place()
		p.Cluster.Quota = &c.quota
		r := revision(deploy.Cluster{Pod: c.pod})
		r.Config.Replicas = c.replicas
		q, err := p.Quota(r, c.before)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		for of, want := range c.want {
			if got := q.Spec.Hard[of]; got.Cmp(want) != 0 {
				t.Errorf("%s: %s of %s, want %s", name, got.String(), of, want.String())
			}
		}
		if len(q.Spec.Hard) != len(c.want) {
			t.Errorf("%s: %v", name, q.Spec.Hard)
		}
	}
	if q, err := place().Quota(revision(deploy.Cluster{}), nil); q != nil || err != nil {
		t.Errorf("without bounds it has %v, %v", q, err)
	}
	p := place()
	p.Cluster.Quota = &deploy.Quota{Memory: "much"}
	if _, err := p.Quota(revision(deploy.Cluster{}), nil); !deploy.IsUsage(err) {
		t.Errorf("want an error of usage, got %v", err)
	}
}
