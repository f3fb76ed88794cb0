package usage

import (
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/metrics"
	"github.com/slipway-ci/slipway/target/targettest"
)

// pod runs a container of the app until the test ends.
func pod(t *testing.T, client kubernetes.Interface, namespace, name, image string) {
	t.Helper()
	_, err := client.CoreV1().Pods(namespace).Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"version": name}},
		Spec: corev1.PodSpec{
			AutomountServiceAccountToken: new(false), TerminationGracePeriodSeconds: new(int64(1)),
			Containers: []corev1.Container{{Name: "app", Image: image, Env: []corev1.EnvVar{{Name: "PORT", Value: "8080"}}}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// TestWhatRealPodsNeed asks the kubelet of a real cluster about a version that
// takes 96 MiB more than the other.
func TestWhatRealPodsNeed(t *testing.T) {
	client, namespace := clustertest.Client(t), clustertest.Namespace(t)
	for end := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		if _, err := client.CoreV1().ServiceAccounts(namespace).Get(t.Context(), "default", metav1.GetOptions{}); err == nil {
			break
		} else if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	pod(t, client, namespace, "live", clustertest.PushImage(t, targettest.Image(t)))
	pod(t, client, namespace, "candidate", clustertest.PushImage(t, targettest.Image(t, "-eat", "96")))
	s := New(client, Options{
		Namespace: namespace, Live: "version=live", Candidate: "version=candidate",
		CPU: "cpu", Memory: "memory", Restarts: "restarts", Kubelets: true,
	})
	var r metrics.Reading
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(time.Second) {
		var err error
		if r, err = s.Measure(t.Context()); err != nil && !metrics.Temporary(err) {
			t.Fatal(err)
		}
		if err == nil && len(r.Gauges) == 3 && len(r.Missing) == 0 && !math.IsNaN(r.Gauges[1].Live+r.Gauges[1].Candidate) && r.Gauges[2].Candidate > r.Gauges[2].Live+90<<20 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("it never became known: %+v, %v", r, err)
		}
	}
	t.Logf("%+v", r.Gauges)
	if g := r.Gauges[0]; g.Name != "restarts" || g.Live != 0 || g.Candidate != 0 {
		t.Errorf("restarts: %+v", g)
	}
	if g := r.Gauges[1]; g.Live < 0 || g.Candidate < 0 || g.Live > 64 || g.Candidate > 64 {
		t.Errorf("cores: %+v", g)
	}
	// This cluster has no metrics API: that is told, and what to do.
	s = New(client, Options{Namespace: namespace, Live: "version=live", CPU: "cpu", Restarts: "restarts"})
	r, err := s.Measure(t.Context())
	if err == nil || metrics.Temporary(err) || !strings.Contains(deploy.HintOf(err), "metrics-server") || len(r.Gauges) != 1 {
		t.Errorf("without a metrics API: %+v, %v", r, err)
	}
}

// answered is what the metrics API of Kubernetes documents as its answer.
const answered = `{"kind":"PodMetricsList","apiVersion":"metrics.k8s.io/v1beta1","metadata":{},"items":[
 {"metadata":{"name":"live","namespace":"shop"},"timestamp":"2026-01-01T00:00:00Z","window":"15.04s","containers":[
  {"name":"app","usage":{"cpu":"250m","memory":"20480Ki"}},{"name":"side","usage":{"cpu":"12345678n","memory":"1Mi"}}]},
 {"metadata":{"name":"candidate","namespace":"shop"},"timestamp":"2026-01-01T00:00:00Z","window":"15.04s","containers":[
  {"name":"app","usage":{"cpu":"0","memory":"3e6"}}]}]}`

// TestTheMetricsAPI is about its documented answers: there is no metrics-server
// where these tests run.
func TestTheMetricsAPI(t *testing.T) {
	needs, err := parsePodMetrics("/", []byte(answered))
	if err != nil {
		t.Fatal(err)
	}
	two := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "live"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}, {Name: "side"}}}}
	if n := total(two, needs); math.Abs(n.cpu-0.262345678) > 1e-9 || n.memory != 21<<20 {
		t.Errorf("the live one needs %+v", n)
	}
	if n := needs[container{"candidate", "app"}]; n.cpu != 0 || n.memory != 3e6 {
		t.Errorf("the candidate needs %+v", n)
	}
	two.Name = "new"
	if n := total(two, needs); !math.IsNaN(n.cpu) || !math.IsNaN(n.memory) {
		t.Errorf("what nobody measured needs %+v", n)
	}
	if _, err := parsePodMetrics("/", []byte("<html>")); err == nil {
		t.Error("a page is taken for numbers")
	}
}

// TestCountersOfCPU reads the form in which a kubelet told them.
func TestCountersOfCPU(t *testing.T) {
	seconds, at, namespace := 1.5, int64(1795647624021), "shop"
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "# TYPE container_cpu_usage_seconds_total counter\ncontainer_cpu_usage_seconds_total{container=\"app\",namespace=%q,pod=\"a\"} %v %d\n", namespace, seconds, at)
		fmt.Fprintf(w, "# TYPE container_memory_working_set_bytes gauge\ncontainer_memory_working_set_bytes{container=\"app\",namespace=%q,pod=\"a\"} 3.4e+06 %d\n", namespace, at)
	}))
	defer server.Close()
	client, err := kubernetes.NewForConfig(&rest.Config{Host: server.URL})
	if err != nil {
		t.Fatal(err)
	}
	s := New(client, Options{Namespace: "shop"})
	pods := []corev1.Pod{{Spec: corev1.PodSpec{NodeName: "node1"}}}
	cores := func() float64 {
		needs, err := s.fromKubelets(t.Context(), pods)
		if err != nil {
			t.Fatal(err)
		}
		n, known := needs[container{"a", "app"}]
		if !known {
			return -1
		}
		return n.cpu
	}
	if c := cores(); !math.IsNaN(c) {
		t.Errorf("one reading tells no rate, not %v", c)
	}
	if c := cores(); !math.IsNaN(c) {
		t.Errorf("the same reading again tells none either, not %v", c)
	}
	seconds, at = 4, at+10_000
	if c := cores(); c != 0.25 {
		t.Errorf("2.5 s in 10 s are %v cores", c)
	}
	seconds, at = 1, at+10_000
	if c := cores(); !math.IsNaN(c) {
		t.Errorf("a counter that began anew tells %v", c)
	}
	namespace = "another"
	if c := cores(); c != -1 {
		t.Errorf("another namespace's container tells %v", c)
	}
}
