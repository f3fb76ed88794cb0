package kubernetes_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/dynamic"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/target/kubernetes"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
	"github.com/slipway-ci/slipway/target/kubernetes/bundle"
	"github.com/slipway-ci/slipway/target/kubernetes/manifests"
	"github.com/slipway-ci/slipway/target/targettest"
)

// own is what a user has written: their app behind a Service and a route of their
// own, with a second rule that is nobody's business, and a worker of the same image.
const own = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web, app.kubernetes.io/name: website}}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web, app.kubernetes.io/name: website}}
    spec:
      terminationGracePeriodSeconds: 5
      containers:
      - name: sidecar
        image: IMAGE
        env: [{name: PORT, value: "9000"}]
      - name: web
        image: IMAGE:latest
        ports: [{name: http, containerPort: 7070}]
        env:
        - {name: PORT, value: "7070"}
        - {name: SHARED, valueFrom: {configMapKeyRef: {name: settings, key: word}}}
        readinessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 1}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {word: WORD}
---
EXTRA
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: web}}
spec:
  selector: {app: web}
  ports: [{name: http, port: 8080, targetPort: http}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: worker}
spec:
  selector: {matchLabels: {app: worker}}
  template:
    metadata: {labels: {app: worker}}
    spec: {containers: [{name: worker, image: IMAGE, env: [{name: PORT, value: "7070"}]}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec:
  parentRefs: [{name: gateway, namespace: default}]
  hostnames: [HOST]
  rules:
  - matches: [{path: {type: PathPrefix, value: /}}]
    filters: [{type: ResponseHeaderModifier, responseHeaderModifier: {set: [{name: X-Ours, value: "yes"}]}}]
    backendRefs: [{name: web, port: 8080}]
  - matches: [{path: {type: PathPrefix, value: /moved}}]
    filters: [{type: RequestRedirect, requestRedirect: {hostname: elsewhere.example, statusCode: 302}}]
`

// seed is a Job of the set, with the version's image, and so never the same. It is
// suspended, so that it ends when somebody removes it.
const seed = `apiVersion: batch/v1
kind: Job
metadata: {name: seed}
spec:
  suspend: true
  template: {spec: {restartPolicy: Never, containers: [{name: seed, image: IMAGE}]}}
---
`

// site is an app that is deployed with manifests of a user's own.
type site struct {
	*lab
	env deploy.Environment
}

func (l *lab) site() *site {
	return &site{lab: l, env: deploy.Environment{
		Name: "production", Repository: l.repository(),
		Target:  deploy.TargetSpec{Kind: "kubernetes", Cluster: deploy.Cluster{Namespace: l.namespace, PreStop: time.Second, Manifests: &deploy.Manifests{Files: "deploy"}}},
		Service: deploy.Service{StartTimeout: 2 * time.Minute, Env: map[string]string{"ADDED": "by slipway.yaml"}},
	}}
}

func (s *site) host() string { return s.namespace + ".localhost" }

// bundle are the manifests with a word in the ConfigMap, and an object besides.
func (s *site) bundle(t *testing.T, word, extra string) *bundle.Bundle {
	t.Helper()
	return s.read(t, strings.NewReplacer("WORD", word, "EXTRA", extra).Replace(own))
}

// read are manifests as they are written but for the image and the host.
func (s *site) read(t *testing.T, text string) *bundle.Bundle {
	t.Helper()
	text = strings.NewReplacer("IMAGE", s.repository(), "HOST", s.host()).Replace(text)
	path := filepath.Join(t.TempDir(), "all.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := manifests.Load(manifests.Source{Files: path})
	if err != nil {
		t.Fatal(err)
	}
	b, err := bundle.New(set, manifests.Names{Workload: "web", Container: "web"}, s.repository())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// version is a target that brings manifests in, with the revision of an image.
func (s *site) version(t *testing.T, name string, b *bundle.Bundle) (*kubernetes.Target, deploy.Revision) {
	t.Helper()
	env := b.Configure(s.env)
	target := s.target(t, "shop", env)
	if err := target.Use(b); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(target.Permitted(t.Context()), target.Accepts(t.Context())); err != nil {
		t.Fatalf("%v\n%s", err, deploy.HintOf(err))
	}
	image := targettest.Push(t, targettest.Image(t, "-name", name), s.repository(), name)
	return target, deploy.NewRevision("shop", env, image, nil)
}

// later is a process without the manifests.
func (s *site) later(t *testing.T) *kubernetes.Target {
	t.Helper()
	target := s.target(t, "shop", s.env)
	if err := target.Recall(t.Context()); err != nil {
		t.Fatal(err)
	}
	return target
}

// get is what a user of the gateway is told.
func (s *site) get(t *testing.T, path string) (string, http.Header) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.host()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := s.users.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(body)), res.Header
}

// answers counts who answers a hundred requests of users.
func (s *site) answers(t *testing.T, path string) map[string]int {
	t.Helper()
	n := map[string]int{}
	for range 100 {
		body, header := s.get(t, path)
		if header.Get("X-Ours") != "yes" {
			t.Fatalf("the route's own filter is gone: %v", header)
		}
		n[body]++
	}
	return n
}

// behind are the pods that the user's Service leads to, by the label app of ours
// where they have it, and "old" where not.
func (s *site) behind(t *testing.T) []string {
	t.Helper()
	slices1, err := s.kube.DiscoveryV1().EndpointSlices(s.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: discoveryv1.LabelServiceName + "=web"})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, slice := range slices1.Items {
		for _, e := range slice.Endpoints {
			pod, err := s.kube.CoreV1().Pods(s.namespace).Get(t.Context(), e.TargetRef.Name, metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			who := pod.Labels["slipway.dev/revision"]
			if who == "" {
				who = "old"
			}
			all = append(all, who)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func (s *site) waitBehind(t *testing.T, want string) {
	t.Helper()
	var got []string
	for range 150 {
		if got = s.behind(t); slices.Equal(got, []string{want}) {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatalf("the Service leads to %v, not to %s alone", got, want)
}

// word is that of the user's own ConfigMap.
func (s *site) word(t *testing.T) string {
	t.Helper()
	m, err := s.kube.CoreV1().ConfigMaps(s.namespace).Get(t.Context(), "settings", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return m.Data["word"]
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v\n%s", err, deploy.HintOf(err))
	}
}

// An app of a user's own manifests is taken over from what ran before, split by
// their own route, taken back and brought in, and its old settings come back from
// the cluster alone.
func TestManifests(t *testing.T) {
	t.Parallel()
	s := newLab(t).site()
	s.grant(t)
	s.before(t)
	s.waitBehind(t, "old")

	target, v1 := s.version(t, "v1", s.bundle(t, "one", seed+large("extra")+large("another")))
	must(t, target.Start(t.Context(), v1))
	s.waitBehind(t, "old") // a candidate has the labels by which the Service selects
	must(t, target.Switch(t.Context(), v1))
	s.waitBehind(t, v1.ID)
	if got := s.answers(t, "/env?SHARED"); got["one"] != 100 {
		t.Errorf("users get %v, not the word of v1", got)
	}
	if body, _ := s.get(t, "/env?ADDED"); body != "by slipway.yaml" {
		t.Errorf("the app has %q of slipway.yaml", body)
	}
	must(t, target.Write(t.Context(), deploy.Record{Phase: deploy.PhaseSettled, Outcome: deploy.Promoted, Candidate: v1}))
	if n := s.parts(t); n != 2 {
		t.Errorf("a large set is kept in %d parts", n)
	}

	// A candidate with other settings gets half of the users, and goes again.
	s.removeSeed(t)
	target, v2 := s.version(t, "v2", s.bundle(t, "two", seed))
	must(t, target.Start(t.Context(), v2))
	if got := s.answers(t, "/env?SHARED"); got["one"] != 100 {
		t.Errorf("users get %v before they are moved, not the word of v1", got)
	}
	must(t, target.Split(t.Context(), v2, 50))
	// A gateway that hears of somebody else's route begins its turns anew.
	if got := s.answers(t, "/env?SHARED"); got["one"]+got["two"] != 100 || got["one"] < 40 || got["two"] < 40 {
		t.Errorf("users get %v, not half and half", got)
	}
	if s.word(t) != "two" {
		t.Errorf("the user's ConfigMap has the word %q while v2 is a candidate", s.word(t))
	}
	must(t, target.Split(t.Context(), v2, 0))
	must(t, target.Stop(t.Context(), v2)) // with the Job of v2, which cannot be changed back
	if got := s.answers(t, "/env?SHARED"); got["one"] != 100 || s.word(t) != "one" {
		t.Errorf("after going back users get %v, and the user's ConfigMap has %q", got, s.word(t))
	}

	// It is brought in, and what it has no more is pruned.
	s.removeSeed(t)
	target, v2 = s.version(t, "v2", s.bundle(t, "two", seed))
	must(t, target.Start(t.Context(), v2))
	must(t, target.Switch(t.Context(), v2))
	must(t, target.Stop(t.Context(), v1))
	state, err := target.State(t.Context())
	must(t, err)
	must(t, target.Write(t.Context(), deploy.Record{Version: state.Record.Version, Phase: deploy.PhaseSettled, Outcome: deploy.Promoted, Candidate: v2, Previous: v1}))
	if _, err := s.kube.CoreV1().ConfigMaps(s.namespace).Get(t.Context(), "extra", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the ConfigMap extra is not pruned: %v", err)
	}
	s.route(t)

	// Another process brings the first one back, from what the cluster has.
	again := s.later(t)
	state, err = again.State(t.Context())
	must(t, err)
	if state.Live == nil || state.Live.ID != v2.ID || len(state.History) != 2 {
		t.Fatalf("a process without manifests sees %+v", state)
	}
	back := state.History[0].Candidate
	must(t, again.Start(t.Context(), back))
	must(t, again.Switch(t.Context(), back))
	must(t, again.Stop(t.Context(), v2))
	if got := s.answers(t, "/env?SHARED"); got["one"] != 100 {
		t.Errorf("users get %v, not the word of v1", got)
	}
	if got, _ := s.get(t, "/"); got != "v1" {
		t.Errorf("users get %q, not v1", got)
	}
	must(t, again.Remove(t.Context()))
	s.gone(t)
	s.waitBehind(t, "old")
}

// removeSeed removes the Job, as one that has to make room.
func (s *site) removeSeed(t *testing.T) {
	t.Helper()
	background := metav1.DeletePropagationBackground
	must(t, s.kube.BatchV1().Jobs(s.namespace).Delete(t.Context(), "seed", metav1.DeleteOptions{PropagationPolicy: &background}))
}

// grant gives the lab's login what these manifests need besides.
func (s *site) grant(t *testing.T) { s.grantFor(t, access.Needs{Routes: true}) }

// grantScaling is grant, with an autoscaler in the manifests.
func (s *site) grantScaling(t *testing.T) { s.grantFor(t, access.Needs{Routes: true, Scaling: true}) }

func (s *site) grantFor(t *testing.T, needs access.Needs) {
	t.Helper()
	may := access.Least(s.namespace, needs)
	may = append(may, access.Gateway("default", "gateway"))
	may = append(may, access.Applied("batch", "jobs", s.namespace)...)
	s.kubeconfig = clustertest.KubeconfigFor(t, s.namespace, may)
}

// before is what somebody has applied with kubectl.
func (s *site) before(t *testing.T) {
	t.Helper()
	s.standing(t)
	labels := map[string]string{"app": "web"}
	_, err := s.kube.CoreV1().Services(s.namespace).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Labels: labels},
		Spec:       corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Name: "http", Port: 8080, TargetPort: intstr.FromString("http")}}},
	}, metav1.CreateOptions{FieldManager: "kubectl-client-side-apply"})
	must(t, err)
}

// standing is the Deployment of that.
func (s *site) standing(t *testing.T) {
	t.Helper()
	image := targettest.Push(t, targettest.Image(t, "-name", "old"), s.repository(), "old")
	labels := map[string]string{"app": "web"}
	_, err := s.kube.AppsV1().Deployments(s.namespace).Create(t.Context(), &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: "web", Labels: labels},
		Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{Containers: []corev1.Container{{
				Name: "web", Image: image.Reference(), Env: []corev1.EnvVar{{Name: "PORT", Value: "7070"}},
				Ports: []corev1.ContainerPort{{Name: "http", ContainerPort: 7070}},
			}}}},
		},
	}, metav1.CreateOptions{FieldManager: "kubectl-client-side-apply"})
	must(t, err)
}

var httpRoutes = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}

// route holds that of the user's route which is nobody's business is as it was.
func (s *site) route(t *testing.T) {
	t.Helper()
	client, err := dynamic.NewForConfig(clustertest.Config(t))
	must(t, err)
	o, err := client.Resource(httpRoutes).Namespace(s.namespace).Get(t.Context(), "web", metav1.GetOptions{})
	must(t, err)
	rules, _, _ := unstructured.NestedSlice(o.Object, "spec", "rules")
	if len(rules) != 3 {
		t.Fatalf("the route has %d rules, not the two of the user and the one that answers for it: %v", len(rules), rules)
	}
	second := fmt.Sprint(rules[1])
	if !strings.Contains(second, "elsewhere.example") || strings.Contains(second, "backendRefs") {
		t.Errorf("the user's second rule is %s", second)
	}
	if list, err := client.Resource(httpRoutes).Namespace(s.namespace).List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) != 1 {
		t.Errorf("there are %d routes (%v), not the user's alone", len(list.Items), err)
	}
}

// gone holds that nothing of the app is left, and what was there before is.
func (s *site) gone(t *testing.T) {
	t.Helper()
	services, err := s.kube.CoreV1().Services(s.namespace).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	for _, o := range services.Items {
		if o.Name != "web" { // it was there before, and is another tool's as well
			t.Errorf("the Service %s is left", o.Name)
			continue
		}
		for name := range o.Annotations {
			if strings.HasPrefix(name, "slipway.dev/") {
				t.Errorf("the Service that was there before still has the annotation %s", name)
			}
		}
	}
	secrets, err := s.kube.CoreV1().Secrets(s.namespace).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	for _, o := range secrets.Items {
		t.Errorf("the Secret %s is left", o.Name)
	}
	maps, err := s.kube.CoreV1().ConfigMaps(s.namespace).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	for _, o := range maps.Items {
		if o.Name != "kube-root-ca.crt" {
			t.Errorf("the ConfigMap %s is left", o.Name)
		}
	}
	deployments, err := s.kube.AppsV1().Deployments(s.namespace).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	for _, o := range deployments.Items {
		if o.Name != "web" && o.DeletionTimestamp == nil {
			t.Errorf("the Deployment %s is left", o.Name)
		}
	}
}

// copiesOf are the copies of a ConfigMap that revisions read.
func (s *site) copiesOf(t *testing.T, name string) []corev1.ConfigMap {
	t.Helper()
	list, err := s.kube.CoreV1().ConfigMaps(s.namespace).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	return slices.DeleteFunc(list.Items, func(m corev1.ConfigMap) bool {
		return m.Annotations["slipway.dev/copy-of"] == "" || !strings.HasPrefix(m.Name, name+"-")
	})
}
