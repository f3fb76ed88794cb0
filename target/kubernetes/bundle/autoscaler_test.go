package bundle_test

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

const scaler = `---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: web, labels: {team: shop}, annotations: {note: ours}}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 2
  maxReplicas: 9
  behavior: {scaleDown: {stabilizationWindowSeconds: 60}}
`

const keda = `---
apiVersion: keda.sh/v1alpha1
kind: ScaledObject
metadata: {name: web}
spec:
  scaleTargetRef: {name: web}
  maxReplicaCount: 9
  triggers: [{type: cron, metadata: {timezone: UTC}}]
`

var some = deploy.Revision{ID: "0123456789ab", Image: deploy.Image{Repository: "ghcr.io/acme/shop", Digest: "sha256:" + strings.Repeat("1", 64)}}

// Each revision has an autoscaler of its own, which says what the user's does but of
// whom and from where on.
func TestAutoscaler(t *testing.T) {
	for name, c := range map[string]struct {
		text, field string
		min         int
		floors      map[int]int64
		kept        []string
	}{
		"a HorizontalPodAutoscaler": {scaler, "minReplicas", 2, map[int]int64{0: 2, 5: 5, 12: 9}, []string{"spec", "behavior", "scaleDown", "stabilizationWindowSeconds"}},
		"a ScaledObject":            {keda, "minReplicaCount", 0, map[int]int64{0: 0, 5: 5, 12: 9}, []string{"spec", "triggers"}},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := read(t, shop+c.text)
			if err != nil {
				t.Fatal(err)
			}
			if a := b.Scaling(); a.Min != c.min || a.Max != 9 {
				t.Errorf("it goes from %d to %d", a.Min, a.Max)
			}
			for floor, want := range c.floors {
				o, err := b.Autoscaler(place, some, floor, "uid")
				if err != nil {
					t.Fatal(err)
				}
				least, _, _ := unstructured.NestedInt64(o.Object, "spec", c.field)
				to, _, _ := unstructured.NestedString(o.Object, "spec", "scaleTargetRef", "name")
				if least != want || to != place.Name(some.ID) || o.GetName() != to || o.GetLabels()[objects.LabelRevision] != some.ID || o.GetOwnerReferences()[0].UID != "uid" {
					t.Errorf("with a floor of %d it is %v", floor, o.Object)
				}
				if _, found, err := unstructured.NestedFieldNoCopy(o.Object, c.kept...); !found || err != nil {
					t.Errorf("it lost %v: %v", c.kept, o.Object)
				}
			}
			all, err := b.Applied(place, some, objects.Traffic{Live: some.ID}, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range all {
				if o.GetKind() == b.App.Autoscaler.GetKind() {
					t.Errorf("%v is applied as well", o.Object)
				}
			}
		})
	}
}

func TestAutoscalerOfNobody(t *testing.T) {
	b, err := read(t, shop)
	if err != nil {
		t.Fatal(err)
	}
	if o, err := b.Autoscaler(place, some, 3, "uid"); o != nil || err != nil || b.Scaling() != nil {
		t.Errorf("got %v, %v, %v", o, err, b.Scaling())
	}
}
