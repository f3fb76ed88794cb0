package clustertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/slipway-ci/slipway/target/targettest"
)

// A group of the API that does not answer keeps the whole cluster from removing
// any namespace. So metrics-server is a pod, which the cluster looks after, and not
// a process of a test; the group is registered once it serves, and is taken away
// before it ends. Namespaces that need it have a label, by which the last of all
// tests that use it, in whatever process, knows that it is the last. What a killed
// one has left is used, or made whole, by the next.

const (
	// measuring is the name of all that metrics-server needs, its namespace
	// included.
	measuring = "slipway-test-metrics"
	// measured is the label of namespaces of which a test needs metrics.
	measured = "slipway-test-measured"
	// metricsPort is where it listens in its pod.
	metricsPort = 4443
)

var (
	apiServices = schema.GroupVersionResource{Group: "apiregistration.k8s.io", Version: "v1", Resource: "apiservices"}
	metricsAPI  = "v1beta1.metrics.k8s.io"
)

// Metrics has the cluster serve metrics.k8s.io for pods in the namespace, until
// the test ends. Where the cluster does not by itself, it is metrics-server that
// does, whose program is metrics-server in the folder that METRICS_SERVER names.
// Without it the test is skipped; with SLIPWAY_REQUIRE_METRICS_SERVER set, it
// fails.
func Metrics(t testing.TB, namespace string) {
	t.Helper()
	m := newMeter(t)
	if m.image == "" && !m.serves(t.Context()) {
		if os.Getenv("SLIPWAY_REQUIRE_METRICS_SERVER") != "" {
			t.Fatal("METRICS_SERVER does not name the folder of metrics-server")
		}
		t.Skip("no metrics: METRICS_SERVER does not name the folder of metrics-server")
	}
	label := fmt.Appendf(nil, `{"metadata":{"labels":{%q:"true"}}}`, measured)
	if _, err := m.kube.CoreV1().Namespaces().Patch(t.Context(), namespace, types.MergePatchType, label, meta.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.leave(t, namespace) })
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	for !m.serves(ctx) {
		if err := m.provide(ctx); err != nil {
			t.Fatalf("metrics-server: %v", err)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("metrics-server does not serve: %s", m.said(context.WithoutCancel(ctx)))
		case <-time.After(500 * time.Millisecond):
		}
	}
}

// meter is what runs metrics-server.
type meter struct {
	kube    kubernetes.Interface
	dynamic dynamic.Interface
	// image is that of metrics-server; empty where there is none.
	image string
}

func newMeter(t testing.TB) *meter {
	t.Helper()
	d, err := dynamic.NewForConfig(Config(t))
	if err != nil {
		t.Fatal(err)
	}
	m := &meter{kube: Client(t), dynamic: d}
	folder := os.Getenv("METRICS_SERVER")
	if folder == "" {
		return m
	}
	program, err := os.ReadFile(filepath.Join(folder, "metrics-server"))
	if err != nil {
		t.Fatalf("METRICS_SERVER: %v", err)
	}
	m.image = PushImage(t, targettest.Packed(t, program))
	return m
}

// serves reports whether the cluster says that the group answers.
func (m *meter) serves(ctx context.Context) bool {
	o, err := m.dynamic.Resource(apiServices).Get(ctx, metricsAPI, meta.GetOptions{})
	if err != nil || o.GetDeletionTimestamp() != nil {
		return false
	}
	conditions, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	for _, entry := range conditions {
		if c, _ := entry.(map[string]any); c["type"] == "Available" {
			return c["status"] == "True"
		}
	}
	return false
}

// provide makes what is missing, and registers the group once a pod serves it.
func (m *meter) provide(ctx context.Context) error {
	n, err := m.kube.CoreV1().Namespaces().Get(ctx, measuring, meta.GetOptions{})
	if err == nil && n.DeletionTimestamp != nil {
		return nil // the last one ends still
	}
	if err := m.install(ctx); err != nil {
		return err
	}
	d, err := m.kube.AppsV1().Deployments(measuring).Get(ctx, measuring, meta.GetOptions{})
	if err != nil || d.Status.ReadyReplicas == 0 {
		return err
	}
	_, err = m.dynamic.Resource(apiServices).Create(ctx, &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
		"metadata": map[string]any{"name": metricsAPI, "labels": map[string]any{"slipway-test": "true"}},
		"spec": map[string]any{
			"group": "metrics.k8s.io", "version": "v1beta1", "groupPriorityMinimum": int64(100), "versionPriority": int64(100),
			"insecureSkipTLSVerify": true, "service": map[string]any{"name": measuring, "namespace": measuring},
		},
	}}, meta.CreateOptions{})
	return thereIsFine(err)
}

func thereIsFine(err error) error {
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

func (m *meter) install(ctx context.Context) error {
	named := meta.ObjectMeta{Name: measuring}
	subject := []rbac.Subject{{Kind: "ServiceAccount", Name: measuring, Namespace: measuring}}
	role := rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "ClusterRole", Name: measuring}
	made := meta.CreateOptions{}
	for _, create := range []func() error{
		func() error {
			_, err := m.kube.CoreV1().Namespaces().Create(ctx, &core.Namespace{ObjectMeta: named}, made)
			return err
		},
		func() error {
			_, err := m.kube.CoreV1().ServiceAccounts(measuring).Create(ctx, &core.ServiceAccount{ObjectMeta: named}, made)
			return err
		},
		func() error {
			_, err := m.kube.RbacV1().ClusterRoles().Create(ctx, &rbac.ClusterRole{ObjectMeta: named, Rules: mayMeasure}, made)
			return err
		},
		func() error {
			_, err := m.kube.RbacV1().ClusterRoleBindings().Create(ctx, &rbac.ClusterRoleBinding{ObjectMeta: named, Subjects: subject, RoleRef: role}, made)
			return err
		},
		func() error {
			_, err := m.kube.CoreV1().Services(measuring).Create(ctx, &core.Service{ObjectMeta: named, Spec: core.ServiceSpec{
				Selector: map[string]string{"app": measuring}, Ports: []core.ServicePort{{Port: 443, TargetPort: intstr.FromInt32(metricsPort)}},
			}}, made)
			return err
		},
		func() error {
			_, err := m.kube.AppsV1().Deployments(measuring).Create(ctx, m.deployment(), made)
			return err
		},
	} {
		if err := thereIsFine(create()); err != nil {
			return err
		}
	}
	return nil
}

// mayMeasure is what metrics-server needs: to see pods and nodes, to ask kubelets,
// and to know who asks it.
var mayMeasure = []rbac.PolicyRule{
	{Verbs: []string{"get", "list", "watch"}, APIGroups: []string{""}, Resources: []string{"pods", "nodes", "configmaps"}},
	{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"nodes/metrics"}},
	{Verbs: []string{"create"}, APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"tokenreviews"}},
	{Verbs: []string{"create"}, APIGroups: []string{"authorization.k8s.io"}, Resources: []string{"subjectaccessreviews"}},
}

// deployment runs it. It is ready once it listens: its own readiness waits for the
// first numbers, and until then the group would not answer.
func (m *meter) deployment() *apps.Deployment {
	labels := map[string]string{"app": measuring}
	return &apps.Deployment{
		ObjectMeta: meta.ObjectMeta{Name: measuring},
		Spec: apps.DeploymentSpec{
			Selector: &meta.LabelSelector{MatchLabels: labels},
			Template: core.PodTemplateSpec{
				ObjectMeta: meta.ObjectMeta{Labels: labels},
				Spec: core.PodSpec{
					ServiceAccountName: measuring,
					Containers: []core.Container{{
						Name: "metrics-server", Image: m.image,
						Args: []string{
							"--cert-dir=/tmp", fmt.Sprintf("--secure-port=%d", metricsPort), "--kubelet-preferred-address-types=InternalIP",
							"--kubelet-use-node-status-port", "--kubelet-insecure-tls", "--metric-resolution=10s", "--kubelet-request-timeout=8s",
						},
						ReadinessProbe: &core.Probe{
							PeriodSeconds: 1, TimeoutSeconds: 5, FailureThreshold: 60,
							ProbeHandler: core.ProbeHandler{HTTPGet: &core.HTTPGetAction{Path: "/livez", Port: intstr.FromInt32(metricsPort), Scheme: core.URISchemeHTTPS}},
						},
						VolumeMounts: []core.VolumeMount{{Name: "tmp", MountPath: "/tmp"}},
					}},
					Volumes: []core.Volume{{Name: "tmp", VolumeSource: core.VolumeSource{EmptyDir: &core.EmptyDirVolumeSource{}}}},
				},
			},
		},
	}
}

// leave takes metrics-server away, unless another test needs it still. One that
// was there by itself stays.
func (m *meter) leave(t testing.TB, namespace string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	list, err := m.kube.CoreV1().Namespaces().List(ctx, meta.ListOptions{LabelSelector: measured})
	if err != nil {
		t.Errorf("who needs metrics-server: %v", err)
		return
	}
	for i := range list.Items {
		if n := &list.Items[i]; n.Name != namespace && n.DeletionTimestamp == nil {
			return
		}
	}
	o, err := m.dynamic.Resource(apiServices).Get(ctx, metricsAPI, meta.GetOptions{})
	if err == nil && o.GetLabels()["slipway-test"] == "" {
		return
	}
	if err == nil {
		err = m.dynamic.Resource(apiServices).Delete(ctx, metricsAPI, meta.DeleteOptions{})
	}
	errs := []error{err}
	errs = append(errs, m.kube.RbacV1().ClusterRoleBindings().Delete(ctx, measuring, meta.DeleteOptions{}),
		m.kube.RbacV1().ClusterRoles().Delete(ctx, measuring, meta.DeleteOptions{}))
	for _, err := range errs {
		if err != nil && !apierrors.IsNotFound(err) {
			t.Errorf("take metrics-server away: %v", err)
		}
	}
	RemoveNamespace(t, measuring)
}

// said is why it does not serve, as far as that is known.
func (m *meter) said(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	o, err := m.dynamic.Resource(apiServices).Get(ctx, metricsAPI, meta.GetOptions{})
	if err == nil {
		return fmt.Errorf("%v", o.Object["status"])
	}
	list, listed := m.kube.CoreV1().Pods(measuring).List(ctx, meta.ListOptions{})
	if listed != nil {
		return errors.Join(err, listed)
	}
	for i := range list.Items {
		err = errors.Join(err, fmt.Errorf("%s: %v", list.Items[i].Name, list.Items[i].Status.ContainerStatuses))
	}
	return err
}
