package kubernetes_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// gatewayAPI is a resource of the Gateway API in a namespace, as an administrator.
func gatewayAPI(t *testing.T, namespace, resource string) dynamic.ResourceInterface {
	t.Helper()
	c, err := dynamic.NewForConfig(clustertest.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	return c.Resource(schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: resource}).Namespace(namespace)
}

// refusal is what is told before anything is built.
func refusal(t *testing.T, l *lab, c deploy.Cluster, says, hint string) {
	t.Helper()
	env := deploy.Environment{Name: "production", Target: deploy.TargetSpec{Kind: "kubernetes", Cluster: c}}
	err := l.target(t, "shop", env).Permitted(t.Context())
	for deadline := time.Now().Add(time.Minute); err != nil && strings.Contains(err.Error(), " may not ") && time.Now().Before(deadline); {
		time.Sleep(100 * time.Millisecond) // a grant is in force a moment after it is made
		err = l.target(t, "shop", env).Permitted(t.Context())
	}
	if err == nil || !deploy.IsUsage(err) || !strings.Contains(err.Error(), says) || !strings.Contains(deploy.HintOf(err), hint) {
		t.Errorf("got %v (hint %q), want %q (hint %q)", err, deploy.HintOf(err), says, hint)
	}
}

// A gateway that is not there, or that lets no route of the namespace in, is told
// before anything is built.
func TestGatewayThatBringsNobody(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	far := clustertest.Namespace(t)
	closed := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": objects.RouteVersion, "kind": "Gateway", "metadata": map[string]any{"name": "closed"},
		// No gateway is of this class: it is only read here.
		"spec": map[string]any{"gatewayClassName": "nobodys", "listeners": []any{map[string]any{"name": "web", "port": int64(80), "protocol": "HTTP"}}},
	}}
	if _, err := gatewayAPI(t, far, "gateways").Create(t.Context(), closed, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	may := append(access.Least(l.namespace, access.Needs{Routes: true}), access.Gateway(far, "closed"), access.Gateway(far, "clsed"))
	named := func(name string) deploy.Cluster {
		c := l.place()
		c.Gateway = &deploy.Gateway{Name: name, Namespace: far, Host: c.Gateway.Host}
		return c
	}
	l.kubeconfig = clustertest.KubeconfigFor(t, l.namespace, may)
	refusal(t, l, named("clsed"), "there is no Gateway clsed in the namespace "+far, "kubectl get gateway -A")
	refusal(t, l, named("closed"), "the listener web takes routes of the namespace "+far+" alone, and not of "+l.namespace, "name another gateway")

	// Who may list gateways is told which there are.
	l.kubeconfig = clustertest.KubeconfigFor(t, l.namespace, append(may, access.Permission{Verb: "list", Group: "gateway.networking.k8s.io", Resource: "gateways", Wide: true}))
	refusal(t, l, named("clsed"), "there is no Gateway clsed", "{name: closed, namespace: "+far+"}")
}

// A host name that leads to somebody else is told, as far as can be seen: by their
// route in the same namespace, or by what the gateway answers.
func TestHostOfSomebodyElse(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	c := l.place()
	far := clustertest.Namespace(t)
	host := "production." + l.namespace + ".localhost"
	rival := func(namespace string) {
		t.Helper()
		o := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": objects.RouteVersion, "kind": objects.RouteKind, "metadata": map[string]any{"name": "theirs"},
			"spec": map[string]any{
				"hostnames":  []any{host},
				"parentRefs": []any{map[string]any{"name": "gateway", "namespace": "default"}},
				"rules": []any{
					map[string]any{"backendRefs": []any{map[string]any{"name": "theirs", "port": int64(80)}}},
					map[string]any{ // what an environment's route has, too
						"matches": []any{map[string]any{"path": map[string]any{"type": "Exact", "value": objects.ProbePath}}},
						"filters": []any{map[string]any{"type": "RequestRedirect", "requestRedirect": map[string]any{"hostname": "t-theirs.slipway.invalid", "statusCode": int64(302)}}},
					},
				},
			},
		}}
		if _, err := gatewayAPI(t, namespace, "httproutes").Create(t.Context(), o, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	env := deploy.Environment{Name: "production", Target: deploy.TargetSpec{Kind: "kubernetes", Cluster: c}}
	if err := l.target(t, "shop", env).Permitted(t.Context()); err != nil {
		t.Fatalf("refused while nobody has the host: %v", err)
	}
	rival(far)
	answers(t, l, host)
	refusal(t, l, c, "users of "+host+" belong to another environment of Slipway's", "choose another host")
	rival(l.namespace)
	refusal(t, l, c, "users of "+host+" belong to the HTTPRoute theirs in "+l.namespace, "choose another host")
}

// answers waits until the gateway has the rule by which it says what it has.
func answers(t *testing.T, l *lab, host string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+host+objects.ProbePath, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := l.users.RoundTrip(req)
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusFound {
				return
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("the gateway does not lead %s: %v", host, err)
		}
	}
}

// A Service or a route that somebody else has made under the name of Slipway's own is
// told before anything is built, and stays as it is.
func TestNamesThatSomebodyElseHas(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	admin, err := kubernetes.NewForConfig(clustertest.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	theirs := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "shop-production"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}},
	}
	services := admin.CoreV1().Services(l.namespace)
	made, err := services.Create(t.Context(), theirs, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	refusal(t, l, l.place(), "the Service shop-production is in the namespace "+l.namespace+" already and is not Slipway's", "another name")
	if now, err := services.Get(t.Context(), made.Name, metav1.GetOptions{}); err != nil || now.ResourceVersion != made.ResourceVersion {
		t.Errorf("the Service was changed: %v", err)
	}
	if err := services.Delete(t.Context(), made.Name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	route := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": objects.RouteVersion, "kind": "HTTPRoute", "metadata": map[string]any{"name": "shop-production"},
		"spec": map[string]any{"hostnames": []any{"nobodys.example.com"}},
	}}
	if _, err := gatewayAPI(t, l.namespace, "httproutes").Create(t.Context(), route, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	refusal(t, l, l.place(), "the HTTPRoute shop-production is in the namespace "+l.namespace+" already and is not Slipway's", "another name")
}
