package concede

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

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
	if err != nil || err2 != nil || !has || have[LabelHash] == "" {
		return false // the server says what is wrong with it
	}
	want[LabelHash] = have[LabelHash]
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
			if v, has := l[key]; has && w[key] != nil || has && key == LabelHash {
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
var controlled = []string{"weight", LabelHash}

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
