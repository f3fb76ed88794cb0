package kubernetes_test

import (
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/target/targettest"
)

// TestRivalsAreToldAtOnce has somebody send users elsewhere while Slipway looks on
// and writes nothing: it is told who it was, and once.
func TestRivalsAreToldAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		lab      func(*testing.T) *lab
		place    func(*lab) deploy.Cluster
		resource schema.GroupVersionResource
		theirs   string
		told     string
	}{
		"route": {
			newLab, (*lab).place,
			schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"},
			`[{"op":"replace","path":"/spec/rules/0/backendRefs/0/name","value":"shop-production"}]`, "which users the route sends where",
		},
		"service": {
			newLabInside, func(l *lab) deploy.Cluster { return l.within().Cluster },
			schema.GroupVersionResource{Version: "v1", Resource: "services"},
			`[{"op":"replace","path":"/spec/selector","value":{"app":"theirs"}}]`, "whom the Service leads to",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := c.lab(t)
			env := deploy.Environment{
				Name:    "production",
				Target:  deploy.TargetSpec{Kind: "kubernetes", Cluster: c.place(l)},
				Service: deploy.Service{Port: 8080, Health: "/healthz", Replicas: 1, StartTimeout: 5 * time.Minute, Drain: time.Second},
			}
			var told diary
			target := l.targetTelling(t, env, &told)
			r := deploy.NewRevision("shop", env, targettest.Push(t, targettest.Image(t), l.repository(), "1.0.0"), nil)
			if err := target.Start(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			if err := target.Switch(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			look := func() {
				t.Helper()
				if _, err := target.State(t.Context()); err != nil {
					t.Fatal(err)
				}
				time.Sleep(50 * time.Millisecond)
			}
			for range 4 {
				look()
			}
			if n := told.count(c.told); n != 0 {
				t.Fatalf("nobody has done anything, and it is told: %s", told.all())
			}
			api, err := dynamic.NewForConfig(clustertest.Config(t))
			if err != nil {
				t.Fatal(err)
			}
			_, err = api.Resource(c.resource).Namespace(l.namespace).Patch(t.Context(), "shop-production", types.JSONPatchType, []byte(c.theirs), metav1.PatchOptions{FieldManager: "somebody"})
			if err != nil {
				t.Fatal(err)
			}
			for end := time.Now().Add(2 * time.Minute); told.count(c.told) == 0; look() {
				if time.Now().After(end) {
					t.Fatalf("it is not told: %s", told.all())
				}
			}
			for range 4 {
				look()
			}
			if n := told.count(c.told); n != 1 || told.count("by=somebody") != 1 {
				t.Errorf("it is told %d times: %s", n, told.all())
			}
			// The next act mends it, and is followed by no more words.
			if err := target.Switch(t.Context(), r); err != nil {
				t.Fatal(err)
			}
			for range 4 {
				look()
			}
			if n := told.count(c.told); n != 1 {
				t.Errorf("it is mended, and told %d times: %s", n, told.all())
			}
		})
	}
}
