package clustertest_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
	"github.com/slipway-ci/slipway/target/targettest"
)

// What is lent is real: an image that was pushed is pulled and run, and what it
// answers comes through the gateway.
func TestAPodIsReachedThroughTheGateway(t *testing.T) {
	namespace := clustertest.Namespace(t)
	image := clustertest.PushImage(t, targettest.Image(t, "-name", "hello from "+namespace))
	admin := clustertest.Client(t)
	labels := map[string]string{"app": "hello"}
	_, err := admin.CoreV1().Pods(namespace).Create(t.Context(), &core.Pod{
		ObjectMeta: meta.ObjectMeta{Name: "hello", Labels: labels},
		Spec: core.PodSpec{Containers: []core.Container{{
			Name: "app", Image: image, Env: []core.EnvVar{{Name: "PORT", Value: "8080"}},
			ReadinessProbe: &core.Probe{PeriodSeconds: 1, ProbeHandler: core.ProbeHandler{HTTPGet: &core.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(8080)}}},
		}}},
	}, meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = admin.CoreV1().Services(namespace).Create(t.Context(), &core.Service{
		ObjectMeta: meta.ObjectMeta{Name: "hello"}, Spec: core.ServiceSpec{Selector: labels, Ports: []core.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}}},
	}, meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	route(t, namespace)

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		said := ask(ctx, t, namespace)
		if strings.Contains(said, "hello from "+namespace) {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("the gateway answers %q", said)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// route leads from the gateway to the service, by a host of the namespace's own.
func route(t *testing.T, namespace string) {
	t.Helper()
	client, err := dynamic.NewForConfig(clustertest.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	routes := schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}
	_, err = client.Resource(routes).Namespace(namespace).Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": map[string]any{"name": "hello"},
		"spec": map[string]any{
			"parentRefs": []any{map[string]any{"name": "gateway", "namespace": "default"}},
			"hostnames":  []any{namespace + ".example.com"},
			"rules":      []any{map[string]any{"backendRefs": []any{map[string]any{"name": "hello", "port": int64(80)}}}},
		},
	}}, meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

func ask(ctx context.Context, t *testing.T, namespace string) string {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+clustertest.Gateway(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = namespace + ".example.com"
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	body, _ := io.ReadAll(answer.Body)
	return fmt.Sprint(answer.Status, " ", string(body))
}

func TestTheLoginMayDoWhatItIsGivenAndNoMore(t *testing.T) {
	namespace := clustertest.Namespace(t)
	path := clustertest.KubeconfigFor(t, namespace, []access.Permission{
		{Verb: "list", Resource: "pods", Namespace: namespace}, {Verb: "list", Resource: "nodes", Wide: true},
	})
	c, err := access.Open(t.Context(), access.Options{Files: []string{path}})
	if err != nil {
		t.Fatal(err)
	}
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().Pods(namespace).List(t.Context(), meta.ListOptions{}); err != nil {
		t.Error(err)
	}
	if nodes, err := client.CoreV1().Nodes().List(t.Context(), meta.ListOptions{}); err != nil || len(nodes.Items) == 0 {
		t.Errorf("nodes are %v, %v", nodes, err)
	}
	for _, err := range []error{
		listed(client.CoreV1().Pods("default").List(t.Context(), meta.ListOptions{})),
		listed(client.CoreV1().Secrets(namespace).List(t.Context(), meta.ListOptions{})),
	} {
		if !apierrors.IsForbidden(err) {
			t.Errorf("got %v", err)
		}
	}
}

func listed(_ any, err error) error { return err }
