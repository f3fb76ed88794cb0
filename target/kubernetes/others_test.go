package kubernetes_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/target/kubernetes"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
)

// besides are workloads beside the app, of its image.
const besides = `apiVersion: apps/v1
kind: Deployment
metadata: {name: mailer}
spec:
  selector: {matchLabels: {app: mailer}}
  template:
    metadata: {labels: {app: mailer}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: mailer, image: IMAGE, command: [MAILER], env: [{name: PORT, value: "7070"}]}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  replicas: 2
  serviceName: web
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: db
        image: IMAGE
        command: [DB]
        env: [{name: PORT, value: "7070"}]
        readinessProbe: {httpGet: {path: /healthz, port: 7070}, periodSeconds: 1}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{name: agent, image: IMAGE, env: [{name: PORT, value: "7070"}], readinessProbe: {httpGet: {path: /healthz, port: 7070}, periodSeconds: 1}}]
---
`

// running are the pods of an app that are ready and stay, by name.
func (s *site) running(t *testing.T, app string) map[string]*corev1.Pod {
	t.Helper()
	list, err := s.kube.CoreV1().Pods(s.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=" + app})
	must(t, err)
	all := map[string]*corev1.Pod{}
	for i := range list.Items {
		p := &list.Items[i]
		ready := slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})
		if ready && p.DeletionTimestamp == nil {
			all[p.Name] = p
		}
	}
	return all
}

// run reports whether so many pods of an app are ready, all of them of a revision.
func (s *site) run(t *testing.T, app string, n int, r deploy.Revision) bool {
	t.Helper()
	all := s.running(t, app)
	for _, p := range all {
		if p.Spec.Containers[0].Image != r.Image.Reference() {
			return false
		}
	}
	return len(all) == n
}

// A Deployment, a StatefulSet and a DaemonSet beside the app are waited for until their
// pods are replaced. A StatefulSet whose new pod is broken is told at once, and goes back.
func TestWorkloadsBesideTheApp(t *testing.T) {
	t.Parallel()
	s := newLab(t).site()
	may := append(access.Least(s.namespace, access.Needs{Routes: true, Ordered: true}), access.Gateway("default", "gateway"))
	for _, kind := range []string{"statefulsets", "daemonsets"} {
		may = append(may, access.Applied("apps", kind, s.namespace)...)
		may = append(may, access.Permission{Verb: "watch", Group: "apps", Resource: kind, Namespace: s.namespace})
	}
	s.kubeconfig = clustertest.KubeconfigFor(t, s.namespace, may)
	bring := func(name, mailer, db string) (*kubernetes.Target, deploy.Revision) {
		return s.version(t, name, s.bundle(t, name, strings.NewReplacer("MAILER", mailer, "DB", db).Replace(besides)))
	}
	nodes := len(s.nodes(t))
	var previous deploy.Revision
	for _, name := range []string{"v1", "v2"} {
		target, r := bring(name, "/app", "/app")
		must(t, target.Start(t.Context(), r))
		if !s.run(t, "db", 2, r) || !s.run(t, "agent", nodes, r) {
			t.Fatalf("%s is ready before its StatefulSet, %v, and its DaemonSet, %v, are", name, s.running(t, "db"), s.running(t, "agent"))
		}
		must(t, target.Switch(t.Context(), r))
		if !previous.IsZero() {
			must(t, target.Stop(t.Context(), previous))
		}
		previous = r
	}

	target, broken := bring("v3", "/app", "/missing")
	err := target.Start(t.Context(), broken)
	doomed, is := errors.AsType[*deploy.Doomed](err)
	if !is {
		t.Fatalf("a StatefulSet whose pod cannot run comes to %v", err)
	}
	if e := doomed.Evidence; e.Replica != "db-1" || !strings.Contains(e.Reason, "cannot be started") || !strings.Contains(e.Reason, "container db") || !strings.Contains(err.Error(), "StatefulSet") {
		t.Errorf("told is %v with %+v", err, e)
	}
	was, err := s.kube.CoreV1().Pods(s.namespace).Get(t.Context(), "db-1", metav1.GetOptions{})
	must(t, err)
	must(t, target.Stop(t.Context(), broken))
	for range 300 {
		if s.run(t, "db", 2, previous) {
			break
		}
		time.Sleep(200 * time.Millisecond)
	}
	all := s.running(t, "db")
	if !s.run(t, "db", 2, previous) || all["db-1"] == nil || all["db-1"].UID == was.UID {
		t.Errorf("a minute after it was taken back %v are ready, not two pods of the version before", all)
	}

	// The old pod of a Deployment is ready, and stays while the new one is not.
	target, broken = bring("v4", "/missing", "/app")
	err = target.Start(t.Context(), broken)
	if _, is := errors.AsType[*deploy.Doomed](err); !is || !strings.Contains(err.Error(), "Deployment mailer") {
		t.Errorf("a Deployment whose new pod cannot run comes to %v", err)
	}
	must(t, target.Stop(t.Context(), broken))
	must(t, target.Remove(t.Context()))
}

// nodes are those that run pods of a DaemonSet.
func (s *site) nodes(t *testing.T) []corev1.Node {
	t.Helper()
	list, err := s.kube.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{})
	must(t, err)
	return list.Items
}
