package kubernetes

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/slipway-ci/slipway/target/kubernetes/apply"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// returnService has a user's Service that stays when the environment goes lead to whom it
// led before the first release, and says who that is now.
func (t *Target) returnService(ctx context.Context) error {
	api, name := t.kube.CoreV1().Services(t.place.Namespace), t.place.Front.Service
	known := false
	err := contend(ctx, func() error {
		s, err := api.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return unless(absent, err)
		}
		if known, err = objects.GiveBack(s); err != nil {
			return err
		}
		delete(s.Labels, apply.OwnerLabel)
		_, err = api.Update(ctx, s, update)
		return err
	})
	if err != nil {
		return fmt.Errorf("give the Service %s/%s back: %w", t.place.Namespace, name, err)
	}
	return t.tellWhomItServes(ctx, name, known)
}

// tellWhomItServes says to how many pods a Service leads that was given back.
func (t *Target) tellWhomItServes(ctx context.Context, name string, known bool) error {
	s, err := t.kube.CoreV1().Services(t.place.Namespace).Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return unless(absent, err)
	}
	by := labels.Set(s.Spec.Selector).String()
	if !known {
		t.log.Warn("the Service was there before and stays; to whom it led then is not known: it leads to nobody until its selector is changed",
			"service", t.place.Namespace+"/"+name, "selector", by)
		return nil
	}
	pods, err := t.kube.CoreV1().Pods(t.place.Namespace).List(ctx, metav1.ListOptions{LabelSelector: by})
	if err != nil {
		return err
	}
	before := 0
	for i := range pods.Items {
		if p := &pods.Items[i]; p.Labels[objects.LabelApp] == "" && p.DeletionTimestamp == nil {
			before++
		}
	}
	t.log.Warn("the Service was there before and stays: it leads to whom it led then", "service", t.place.Namespace+"/"+name, "selector", by, "pods", before)
	return nil
}
