package objects

import (
	"encoding/json"
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
)

// AnnotationPlace holds, as JSON, how slipway.yaml placed a Deployment when it was
// made: the file may say something else by now, and that is no drift.
const AnnotationPlace = "slipway.dev/place"

// AsMade is the place with what AnnotationPlace of a Deployment says; the place
// itself for one that does not say it, or that is not there: nil.
func (p Place) AsMade(d *appsv1.Deployment) Place {
	text := ""
	if d != nil {
		text = d.Annotations[AnnotationPlace]
	}
	var made deploy.Cluster
	if text == "" || json.Unmarshal([]byte(text), &made) != nil {
		return p
	}
	p.Cluster = made
	return p
}

// Restored is a route as Slipway would leave it with this traffic: labels, the
// gateway, the host name, the weights of its revisions, and what says who has the
// users. What others may have in it stays. Where no rule sends anybody to the app
// any more, those that Slipway makes come before all others.
func (p Place) Restored(route *unstructured.Unstructured, t Traffic) (*unstructured.Unstructured, error) {
	fresh, err := p.Route(t)
	if err != nil {
		return nil, err
	}
	restored := route.DeepCopy()
	labels := restored.GetLabels()
	if labels == nil {
		labels = map[string]string{}
	}
	for name, value := range p.Labels() {
		labels[name] = value
	}
	restored.SetLabels(labels)
	if err := p.Redirect(restored, t); err != nil {
		if err := prepend(restored, fresh, "rules", func(any) bool { return false }); err != nil {
			return nil, err
		}
		restored.SetAnnotations(t.Annotate(restored.GetAnnotations()))
	}
	annotations := restored.GetAnnotations()
	annotations[annotationHost] = p.Host()
	restored.SetAnnotations(annotations)
	if err := prepend(restored, fresh, "hostnames", func(name any) bool { return name == p.Host() }); err != nil {
		return nil, err
	}
	return restored, prepend(restored, fresh, "parentRefs", p.leadsToGateway)
}

// leadsToGateway reports whether a parent of a route is the environment's gateway.
func (p Place) leadsToGateway(entry any) bool {
	parent, _ := entry.(map[string]any)
	namespace, _ := parent["namespace"].(string)
	g := p.Cluster.Gateway
	return parent["name"] == g.Name && (namespace == g.Namespace || namespace == "" && g.Namespace == p.Namespace || g.Namespace == "" && namespace == p.Namespace)
}

// prepend puts a list of the fresh route before that of another, unless what is
// wanted is in it.
func prepend(route, fresh *unstructured.Unstructured, field string, wanted func(any) bool) error {
	have, _, err := unstructured.NestedSlice(route.Object, "spec", field)
	if err != nil {
		return fmt.Errorf("route %s/%s: %w", route.GetNamespace(), route.GetName(), err)
	}
	if slices.ContainsFunc(have, wanted) {
		return nil
	}
	ours, _, err := unstructured.NestedSlice(fresh.Object, "spec", field)
	if err == nil {
		err = unstructured.SetNestedSlice(route.Object, append(ours, have...), "spec", field)
	}
	if err != nil {
		return fmt.Errorf("route %s/%s: %w", route.GetNamespace(), route.GetName(), err)
	}
	return nil
}
