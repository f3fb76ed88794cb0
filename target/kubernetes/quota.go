package kubernetes

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
)

// How long the cluster may take to count what is there under a new quota, and how
// often it is asked. Until then it lets no pod in.
const (
	quotaTime  = 15 * time.Second
	quotaPause = 50 * time.Millisecond
)

// bound gives the environment's own namespace its quota, before anything runs in it,
// and returns when the cluster goes by it.
func (t *Target) bound(ctx context.Context, r deploy.Revision) error {
	if t.place.Cluster.Quota == nil || !t.ownNamespace() {
		return nil
	}
	_, err := t.kube.CoreV1().LimitRanges(t.place.Namespace).Create(ctx, t.place.Requests(), creation)
	if err := unless(apierrors.IsAlreadyExists, err); err != nil {
		return err
	}
	var now *corev1.ResourceQuota
	err = contend(ctx, func() error {
		now, err = t.writeQuota(ctx, r)
		return err
	})
	if err != nil {
		return err
	}
	return t.counted(ctx, now)
}

// writeQuota is one try.
func (t *Target) writeQuota(ctx context.Context, r deploy.Revision) (*corev1.ResourceQuota, error) {
	api := t.kube.CoreV1().ResourceQuotas(t.place.Namespace)
	there, err := api.Get(ctx, t.place.Base(), metav1.GetOptions{})
	if err != nil && !absent(err) {
		return nil, err
	}
	missing := err != nil
	var before corev1.ResourceList
	if !missing {
		before = there.Spec.Hard
	}
	made, err := t.place.Quota(r, before)
	switch {
	case err != nil:
		return nil, err
	case missing:
		return api.Create(ctx, made, creation)
	case sameAmounts(made.Spec.Hard, before):
		return there, nil
	}
	there.Spec.Hard = made.Spec.Hard
	return api.Update(ctx, there, update)
}

// counted waits until a quota is in force.
func (t *Target) counted(ctx context.Context, q *corev1.ResourceQuota) error {
	limited, cancel := context.WithTimeout(ctx, quotaTime)
	defer cancel()
	for !sameAmounts(q.Spec.Hard, q.Status.Hard) {
		select {
		case <-limited.Done():
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return deploy.Hinted(fmt.Errorf("the cluster does not count what is under the quota %s of %s after %s", q.Name, q.Namespace, quotaTime),
				"its controller manager may be down, or be without the controller of quotas")
		case <-time.After(quotaPause):
		}
		now, err := t.kube.CoreV1().ResourceQuotas(q.Namespace).Get(limited, q.Name, metav1.GetOptions{})
		if err != nil && limited.Err() == nil {
			return err
		}
		if err == nil {
			q = now
		}
	}
	return nil
}

func sameAmounts(a, b corev1.ResourceList) bool {
	if len(a) != len(b) {
		return false
	}
	for name, q := range a {
		if other, there := b[name]; !there || q.Cmp(other) != 0 {
			return false
		}
	}
	return true
}

// unbound removes the quota from a namespace that stays.
func (t *Target) unbound(ctx context.Context) error {
	if t.place.Cluster.Quota == nil || !t.ownNamespace() {
		return nil
	}
	core, ns, o := t.kube.CoreV1(), t.place.Namespace, metav1.DeleteOptions{}
	if err := unless(absent, core.ResourceQuotas(ns).Delete(ctx, t.place.Base(), o)); err != nil {
		return err
	}
	return unless(absent, core.LimitRanges(ns).Delete(ctx, t.place.Base(), o))
}
