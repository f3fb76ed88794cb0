package concede

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/target/kubernetes/apply"
)

// LabelHash is the label by which the controller of Argo Rollouts tells the pods of
// one template from those of another: it puts it into the selectors of Services.
const LabelHash = "rollouts-pod-template-hash"

// defaultController is the manager's name of Argo Rollouts' own program.
const defaultController = "rollouts-controller"

const (
	kindRollout   = "Rollout"
	kindService   = "Service"
	fieldReplicas = ".spec.replicas"
	fieldSelector = ".spec.selector"
	// scale is the subresource by which autoscalers write.
	scale = "scale"
)

// Objects makes what the controller and autoscalers have the say of as it is in the
// cluster, in objects of which the last is a Rollout. Live reads one as it is there;
// nil where it is not. Scaled says that the objects have an autoscaler of the Rollout.
//
// Yield says which of these fields are taken all the same, with the value that they
// have; nil is none.
func Objects(ctx context.Context, all []*unstructured.Unstructured, scaled bool, live func(context.Context, *unstructured.Unstructured) (*unstructured.Unstructured, error)) (yield func(apply.Held) bool, err error) {
	own := all[len(all)-1]
	now, err := live(ctx, own)
	if err != nil || now == nil {
		return nil, err
	}
	Replicas(own, now, scaled)
	c := concession{controller: controllerOf(now), rollout: own.GetName(), objects: map[string]bool{}}
	services, routed := namedIn(own)
	for _, o := range all {
		service := o.GetKind() == kindService && o.GetAPIVersion() == "v1" && services[o.GetName()]
		if !service && !routed[o.GetName()] || o == own {
			continue
		}
		there, err := live(ctx, o)
		if err != nil {
			return nil, err
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
	return c.yields, nil
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
	return h.Object.Kind == kindRollout && h.Object.Name == c.rollout && h.Field == fieldReplicas || c.objects[h.Object.Kind+"/"+h.Object.Name]
}

func title(o *unstructured.Unstructured) string { return o.GetKind() + "/" + o.GetName() }

// Replicas leaves the number of a Rollout's replicas to an autoscaler, if there is one:
// of those who apply it, which scaled says, or one that has written it. The number
// stays in what is applied: the controller takes a missing one for 1.
func Replicas(o, live *unstructured.Unstructured, scaled bool) {
	byScale := slices.ContainsFunc(live.GetManagedFields(), func(e metav1.ManagedFieldsEntry) bool {
		return e.Subresource == scale && strings.HasPrefix(e.Manager, "kube-")
	})
	if n, has, err := unstructured.NestedInt64(live.Object, "spec", "replicas"); has && err == nil && (byScale || scaled) {
		_ = unstructured.SetNestedField(o.Object, n, "spec", "replicas") // spec is a map: the template is in it
	}
}

// Fleeting reports whether an apply was refused for nothing but what an autoscaler
// or a Rollout's controller has written in the moment since it was read.
func Fleeting(err error) bool {
	conflict, is := errors.AsType[*apply.Conflict](err)
	return is && !slices.ContainsFunc(conflict.Fields, func(h apply.Held) bool {
		scaled := h.Object.Kind == kindRollout && h.Field == fieldReplicas && h.Subresource == scale
		return !scaled && (h.Object.Kind != kindService || h.Field != fieldSelector || h.Manager != defaultController)
	})
}

// Restless finds differences of a Rollout that are nobody's mistake: replicas that an
// autoscaler has the say of, or the controller where nobody else has, and restarts.
func Restless(rollout string) func(apply.Difference) bool {
	return func(d apply.Difference) bool {
		if d.Object.Kind != kindRollout || d.Object.Name != rollout {
			return false
		}
		switch d.Field {
		case ".spec.restartAt":
			return d.Change == apply.Added
		case fieldReplicas:
			return d.Change == apply.Added || d.Subresource == scale && strings.HasPrefix(d.Manager, "kube-")
		}
		return false
	}
}

// Unname takes the controller of a Rollout, as it is in the cluster, for nobody in
// differences: it writes the Rollout as a whole, so that lists which somebody has
// changed become its own, too.
func Unname(live *unstructured.Unstructured, found []apply.Difference) {
	controller := controllerOf(live)
	for i := range found {
		if d := &found[i]; d.Object.Kind == kindRollout && d.Manager == controller {
			d.Manager, d.Operation, d.Subresource, d.At = "", "", "", time.Time{}
		}
	}
}
