package kubernetes

import (
	"context"
	"fmt"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
)

// reachable waits until the Service of a revision leads to so many pods. A pod
// that is ready is not reached yet: the endpoints follow a moment later, and a
// gateway that is sent to a Service without any answers with an error.
func (t *Target) reachable(ctx context.Context, id string, n int) error {
	for {
		done, err := t.reachableOnce(ctx, id, n)
		if done || err != nil {
			return err
		}
	}
}

// reachableOnce lists, and then watches as long as the server lets it.
func (t *Target) reachableOnce(ctx context.Context, id string, n int) (bool, error) {
	api := t.kube.DiscoveryV1().EndpointSlices(t.place.Namespace)
	o := metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + t.place.Name(id)}
	list, err := api.List(ctx, o)
	if err != nil {
		return false, err
	}
	all := map[string]*discoveryv1.EndpointSlice{}
	for i := range list.Items {
		all[list.Items[i].Name] = &list.Items[i]
	}
	if serving(all) >= n {
		return true, nil
	}
	o.ResourceVersion = list.ResourceVersion
	w, err := api.Watch(ctx, o)
	if err != nil {
		return false, err
	}
	defer w.Stop()
	for {
		select {
		case <-ctx.Done():
			return false, fmt.Errorf("interrupted while the endpoints of %s follow: %w", t.place.Name(id), ctx.Err())
		case e, open := <-w.ResultChan():
			slice, is := e.Object.(*discoveryv1.EndpointSlice)
			if !open || !is {
				return false, nil
			}
			if all[slice.Name] = slice; e.Type == watch.Deleted {
				delete(all, slice.Name)
			}
			if serving(all) >= n {
				return true, nil
			}
		}
	}
}

// serving counts the addresses that are ready, of one family where there are two.
func serving(all map[string]*discoveryv1.EndpointSlice) int {
	byFamily := map[discoveryv1.AddressType]int{}
	most := 0
	for _, slice := range all {
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready != nil && *e.Conditions.Ready {
				byFamily[slice.AddressType]++
			}
		}
		most = max(most, byFamily[slice.AddressType])
	}
	return most
}
