package kubernetes

import (
	"fmt"
	"maps"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// rivalry is with somebody else who moves users. It is told once for each of our
// own writes, as soon as it is heard of: theirs is written over by the next one that
// is due, and nobody fights for the time in between.
type rivalry struct {
	mu   sync.Mutex
	told bool
}

// over says that the object was written by us: what was told of it is past.
func (r *rivalry) over() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.told = false
}

// first reports whether nobody was told since.
func (r *rivalry) first() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	first := !r.told
	r.told = true
	return first
}

// tellOfRivals warns of an object, a route or Service that sends users elsewhere
// than its traffic says.
func (t *Target) tellOfRivals(o runtime.Object, traffic objects.Traffic) {
	switch o := o.(type) {
	case *unstructured.Unstructured:
		if t.place.Adrift(o, traffic) {
			t.warn(o, traffic, "somebody else has changed which users the route sends where: the next step writes it again", "route")
		}
	case *corev1.Service:
		if traffic.Pointed() != "" && !maps.Equal(o.Spec.Selector, t.place.Leads(traffic)) {
			t.warn(o, traffic, "somebody else has changed whom the Service leads to: the next step writes it again", "service")
		}
	}
}

func (t *Target) warn(o metav1.Object, traffic objects.Traffic, text, kind string) {
	if !t.rivalry.first() {
		return
	}
	expected := "all users on " + traffic.Pointed()
	if traffic.Shared() {
		expected = fmt.Sprintf("%s of the users on %s", traffic.Share, traffic.Candidate)
	}
	t.log.Warn(text, kind, o.GetNamespace()+"/"+o.GetName(), "by", objects.Rival(o), "expected", expected)
}
