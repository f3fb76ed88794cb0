package kubernetes

import (
	"context"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/target/kubernetes/feed"
)

// reachable waits until the Service of a revision leads to so many pods. A pod
// that is ready is not reached yet: the endpoints follow a moment later, and a
// gateway that is sent to a Service without any answers with an error.
func (t *Target) reachable(ctx context.Context, id string, n int) error {
	api := t.kube.DiscoveryV1().EndpointSlices(t.place.Namespace)
	f := feed.Feed{
		What: "the endpoints of " + t.place.Name(id), List: feed.Listing(api.List), Watch: api.Watch,
		Options: metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=" + t.place.Name(id)},
	}
	return feed.Until(ctx, f, func(all map[string]*discoveryv1.EndpointSlice) (bool, error) { return serving(all) >= n, nil })
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
