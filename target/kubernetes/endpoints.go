package kubernetes

import (
	"context"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"github.com/slipway-ci/slipway/target/kubernetes/feed"
)

// endpointSlices are the EndpointSlices of one or more Services, by name.
type endpointSlices map[string]*discoveryv1.EndpointSlice

// reachable waits until the Service of a revision leads to so many pods. A pod
// that is ready is not reached yet: the endpoints follow a moment later, and a
// gateway that is sent to a Service without any answers with an error.
func (t *Target) reachable(ctx context.Context, id string, n int) error {
	return t.endpoints(ctx, func(all endpointSlices) bool { return all.serving() >= n }, t.place.Name(id))
}

// endpoints waits until the endpoints of Services are as is wanted.
func (t *Target) endpoints(ctx context.Context, met func(endpointSlices) bool, services ...string) error {
	options, err := ofServices(services)
	if err != nil {
		return err
	}
	api := t.kube.DiscoveryV1().EndpointSlices(t.place.Namespace)
	f := feed.Feed{
		What: "the endpoints of " + services[len(services)-1], List: feed.Listing(api.List), Watch: api.Watch, Options: options,
	}
	return feed.Until(ctx, f, func(all map[string]*discoveryv1.EndpointSlice) (bool, error) { return met(all), nil })
}

// ofServices selects the slices of Services.
func ofServices(services []string) (metav1.ListOptions, error) {
	of, err := labels.NewRequirement(discoveryv1.LabelServiceName, selection.In, services)
	if err != nil {
		return metav1.ListOptions{}, err
	}
	return metav1.ListOptions{LabelSelector: of.String()}, nil
}

// serves counts the pods that the Service of a revision leads to.
func (t *Target) serves(ctx context.Context, id string) (int, error) {
	options, err := ofServices([]string{t.place.Name(id)})
	if err != nil {
		return 0, err
	}
	list, err := t.kube.DiscoveryV1().EndpointSlices(t.place.Namespace).List(ctx, options)
	if err != nil {
		return 0, err
	}
	all := endpointSlices{}
	for i := range list.Items {
		all[list.Items[i].Name] = &list.Items[i]
	}
	return all.serving(), nil
}

// serving counts the addresses that are ready, of one family where there are two.
func (all endpointSlices) serving() int {
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

// ready are the pods that one of the Services leads to, by name.
func (all endpointSlices) ready(service string) map[string]bool {
	pods := map[string]bool{}
	for _, slice := range all {
		if slice.Labels[discoveryv1.LabelServiceName] != service {
			continue
		}
		for _, e := range slice.Endpoints {
			if e.Conditions.Ready != nil && *e.Conditions.Ready && e.TargetRef != nil {
				pods[e.TargetRef.Name] = true
			}
		}
	}
	return pods
}
