package kubernetes_test

import (
	"context"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/target/kubernetes"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
	"github.com/slipway-ci/slipway/target/targettest"
)

// newLabInside is a lab whose login may not touch routes: its environments have no
// gateway.
func newLabInside(t *testing.T) *lab {
	t.Helper()
	l := &lab{T: t, kube: clustertest.Client(t), namespace: clustertest.Namespace(t)}
	l.kubeconfig = clustertest.KubeconfigFor(t, l.namespace, access.Least(l.namespace, access.Needs{Shares: true, Scaling: true}))
	l.users = clustertest.Users(t)
	return l
}

// within is an environment without a gateway.
func (l *lab) within() deploy.TargetSpec {
	return deploy.TargetSpec{Kind: "kubernetes", Cluster: deploy.Cluster{Namespace: l.namespace, PreStop: time.Second}}
}

// inside is a target without a gateway, behind something of its users' own that
// sends them on to the Service of the environment.
type inside struct {
	*kubernetes.Target
	url string
}

// State is the target's, at the address that users ask.
func (i inside) State(ctx context.Context) (deploy.State, error) {
	s, err := i.Target.State(ctx)
	s.URL = i.url
	return s, err
}

// ingress is what users of a cluster have themselves: here a route of the gateway,
// which knows of one Service and takes all of its endpoints alike.
func (l *lab) ingress(t *testing.T, app, environment string) string {
	t.Helper()
	client, err := dynamic.NewForConfig(clustertest.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	host := environment + "." + l.namespace + ".localhost"
	routes := client.Resource(schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}).Namespace(l.namespace)
	_, err = routes.Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": map[string]any{"name": "ingress-" + environment},
		"spec": map[string]any{
			"parentRefs": []any{map[string]any{"name": "gateway", "namespace": "default"}},
			"hostnames":  []any{host},
			"rules":      []any{map[string]any{"backendRefs": []any{map[string]any{"name": app + "-" + environment, "port": int64(80)}}}},
		},
	}}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
	return "http://" + host
}

// TestTargetWithoutGateway holds the driver against the contracts that are about
// users, where whole replicas split them.
func TestTargetWithoutGateway(t *testing.T) {
	t.Parallel()
	l := newLabInside(t)
	targettest.Run(t, targettest.Driver{
		Repository: l.repository(),
		Open: func(t *testing.T, app string, env deploy.Environment) deploy.Target {
			env.Target = l.within()
			env.Target.Cluster.Pod.CPU = little
			if strings.Contains(t.Name(), "lost") {
				env.Target.Cluster.PreStop = 0 // as users have it; the other cases save the time
			}
			return inside{l.target(t, app, env), l.ingress(t, app, env.Name)}
		},
		Patience:  3 * time.Minute,
		Shares:    kubernetes.Achievable,
		Transport: l.users,
		Follows:   true,
		Parallel:  true,
		Skip: func(name string) string {
			for _, of := range []string{"users", "split", "switch gives", "batch", "stop removes", "stop lets", "an act that is repeated", "start beside", "removed"} {
				if strings.Contains(name, of) && !strings.Contains(name, "baseline") && !strings.Contains(name, "users stay") {
					return ""
				}
			}
			return "it needs a gateway, or is the same with one, and held there"
		},
	})
}
