package kubernetes

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/apply"
	"github.com/slipway-ci/slipway/target/kubernetes/bundle"
)

// labelHash is the label by which the controller of Argo Rollouts tells the pods of
// one template from those of another: it puts it into the selectors of Services.
const labelHash = "rollouts-pod-template-hash"

// defaultController is the manager's name of Argo Rollouts' own program.
const defaultController = "rollouts-controller"

// conceded are the objects of a revision's manifests with a Rollout, in which what
// its controller and autoscalers have the say of is as it is: whom the Rollout's
// Services lead to, weights where its strategy names a route, replicas. Yield says
// which of these fields are taken all the same, with the value that they have.
func (d driving) conceded(ctx context.Context, b *bundle.Bundle, r deploy.Revision) (all []*unstructured.Unstructured, yield func(apply.Held) bool, err error) {
	if all, err = b.Driven(d.place, r); err != nil {
		return nil, nil, err
	}
	own := all[len(all)-1]
	live, err := d.applier.Live(ctx, own, d.applying())
	if err != nil || live == nil {
		return all, nil, err
	}
	keepReplicas(b, own, live)
	c := concession{controller: controllerOf(live), rollout: own.GetName(), objects: map[string]bool{}}
	services, routed := namedIn(own)
	for _, o := range all {
		service := o.GetKind() == "Service" && o.GetAPIVersion() == "v1" && services[o.GetName()]
		if !service && !routed[o.GetName()] || o == own {
			continue
		}
		there, err := d.applier.Live(ctx, o, d.applying())
		if err != nil {
			return nil, nil, err
		}
		if there == nil {
			continue
		}
		if !service {
			keepWeights(o.Object, there.Object)
			c.objects[title(o)] = true
			continue
		}
		// Whoever wants other pods behind the Service gets them, of the same version.
		c.objects[title(o)] = keepHash(o, there)
	}
	return all, c.yields, nil
}

// concession is which fields are the controller's and taken all the same.
type concession struct {
	controller, rollout string
	// objects are those that the controller writes, by Kind/name; true where what is
	// wanted is another thing than is there.
	objects map[string]bool
}

func (c concession) yields(h apply.Held) bool {
	if h.Manager != c.controller {
		return false
	}
	// The controller writes 1 where the manifests say nothing.
	return h.Object.Kind == bundle.KindRollout && h.Object.Name == c.rollout && h.Field == fieldReplicas || c.objects[h.Object.Kind+"/"+h.Object.Name]
}

const fieldReplicas = ".spec.replicas"

// fleeting reports whether an apply was refused for nothing but what an autoscaler
// or a Rollout's controller has written in the moment since it was read.
func fleeting(err error) bool {
	conflict, is := errors.AsType[*apply.Conflict](err)
	return is && !slices.ContainsFunc(conflict.Fields, func(h apply.Held) bool {
		scaled := h.Object.Kind == bundle.KindRollout && h.Field == fieldReplicas && h.Subresource == scale
		return !scaled && (h.Object.Kind != "Service" || h.Field != selector || h.Manager != defaultController)
	})
}

// scale is the subresource by which autoscalers write.
const scale = "scale"

// keepReplicas leaves the number of replicas to an autoscaler, if there is one. The
// number stays in what is applied: the controller takes a missing one for 1.
func keepReplicas(b *bundle.Bundle, o, live *unstructured.Unstructured) {
	byScale := slices.ContainsFunc(live.GetManagedFields(), func(e metav1.ManagedFieldsEntry) bool {
		return e.Subresource == scale && strings.HasPrefix(e.Manager, "kube-")
	})
	if n, has, err := unstructured.NestedInt64(live.Object, "spec", "replicas"); has && err == nil && (byScale || b.App.Autoscaler != nil) {
		_ = unstructured.SetNestedField(o.Object, n, "spec", "replicas") // spec is a map: the template is in it
	}
}

// controllerOf is the manager that says which generation of a Rollout it has seen.
func controllerOf(live *unstructured.Unstructured) string {
	for _, e := range live.GetManagedFields() {
		if e.FieldsV1 != nil && strings.Contains(e.FieldsV1.GetRawString(), `"f:observedGeneration"`) {
			return e.Manager
		}
	}
	return defaultController
}

// namedIn are the names of the Services that the strategy of a Rollout names, and of
// the objects by which it routes users.
func namedIn(rollout *unstructured.Unstructured) (services, routed map[string]bool) {
	services, routed = map[string]bool{}, map[string]bool{}
	strategy, _, _ := unstructured.NestedMap(rollout.Object, "spec", "strategy")
	eachText(strategy, func(key, value string) {
		if strings.HasSuffix(key, "Service") {
			services[value] = true
		}
	})
	routing, _, _ := unstructured.NestedMap(strategy, "canary", "trafficRouting")
	eachText(routing, func(_, value string) { routed[value] = true })
	return services, routed
}

// eachText calls a function for each text in a value, with the key that it is under;
// for those in a list, with that of the list.
func eachText(in any, do func(key, value string)) { eachTextOf("", in, do) }

func eachTextOf(key string, in any, do func(key, value string)) {
	switch v := in.(type) {
	case string:
		do(key, v)
	case []any:
		for _, item := range v {
			eachTextOf(key, item, do)
		}
	case map[string]any:
		for key, value := range v {
			eachTextOf(key, value, do)
		}
	}
}

// keepHash leaves it to the controller of which version the pods of a Service are.
// It reports whether the Service wants others all the same.
func keepHash(o, live *unstructured.Unstructured) bool {
	want, has, err := unstructured.NestedStringMap(o.Object, "spec", "selector")
	have, _, err2 := unstructured.NestedStringMap(live.Object, "spec", "selector")
	if err != nil || err2 != nil || !has || have[labelHash] == "" {
		return false // the server says what is wrong with it
	}
	want[labelHash] = have[labelHash]
	_ = unstructured.SetNestedStringMap(o.Object, want, "spec", "selector") // it was read from there
	return !maps.Equal(want, have)
}

// keepWeights puts weights, and the labels of versions, as they are into what is
// wanted. The items of two lists belong together where nothing else that is wanted
// differs.
func keepWeights(want, live any) {
	switch w := want.(type) {
	case map[string]any:
		l, is := live.(map[string]any)
		if !is {
			return
		}
		for _, key := range controlled {
			if v, has := l[key]; has && w[key] != nil || has && key == labelHash {
				w[key] = v
			}
		}
		for key, v := range w {
			keepWeights(v, l[key])
		}
	case []any:
		l, _ := live.([]any)
		for _, item := range w {
			if at := slices.IndexFunc(l, func(other any) bool { return alike(item, other) }); at >= 0 {
				keepWeights(item, l[at])
			}
		}
	}
}

// controlled are the keys in routes that the controller writes.
var controlled = []string{"weight", labelHash}

// alike reports whether one value has all that another one wants, but for what the
// controller writes.
func alike(want, live any) bool {
	switch w := want.(type) {
	case map[string]any:
		l, is := live.(map[string]any)
		if !is {
			return false
		}
		for key, v := range w {
			if !slices.Contains(controlled, key) && !alike(v, l[key]) {
				return false
			}
		}
		return true
	case []any:
		l, is := live.([]any)
		if !is || len(l) != len(w) {
			return false
		}
		for i := range w {
			if !alike(w[i], l[i]) {
				return false
			}
		}
		return true
	}
	return want == live
}

func title(o *unstructured.Unstructured) string { return o.GetKind() + "/" + o.GetName() }
