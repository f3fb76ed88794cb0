package argo_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/rollout"
	"github.com/slipway-ci/slipway/target/kubernetes"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
	"github.com/slipway-ci/slipway/target/targettest"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// patience bounds whatever a test waits for.
const patience = 4 * time.Minute

// lab is a namespace in which the real controller of Argo Rollouts is at work, and
// a login that may drive a Rollout there and no more.
type lab struct {
	admin      dynamic.Interface
	namespace  string
	kubeconfig string
}

var (
	rollouts = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts"}
	services = schema.GroupVersionResource{Version: "v1", Resource: "services"}
)

// newLab skips the test where there is no cluster, or no controller.
func newLab(t *testing.T) *lab {
	t.Helper()
	admin, err := dynamic.NewForConfig(clustertest.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{admin: admin, namespace: clustertest.Namespace(t)}
	clustertest.Rollouts(t, l.namespace)
	l.kubeconfig = clustertest.KubeconfigFor(t, l.namespace, access.Driven(l.namespace))
	return l
}

func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	var o unstructured.Unstructured
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	return &o
}

// until looks until what is said is as wanted.
func (l *lab) until(t *testing.T, what string, look func() string, met func(string) bool) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		said := look()
		if met(said) {
			return said
		}
		select {
		case <-ctx.Done():
			t.Fatalf("not so: %s; it is %s", what, said)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// bench is one Rollout with its environment.
type bench struct {
	*testing.T
	*lab
	name     string
	strategy deploy.Strategy
	events   *events
}

// onBench applies a Rollout of two replicas with a strategy, and a Service.
func (l *lab) onBench(t *testing.T, replicas int, image, strategy string) *bench {
	t.Helper()
	name := strings.ToLower(strings.ReplaceAll(t.Name()[strings.LastIndex(t.Name(), "/")+1:], "_", "-"))
	b := &bench{T: t, lab: l, name: name, strategy: deploy.DefaultStrategy(), events: &events{}}
	b.strategy.Judging.OnUnknown = deploy.OnUnknownPromote // nobody counts requests here
	b.create(services, fmt.Sprintf(`{apiVersion: v1, kind: Service, metadata: {name: %s}, spec: {selector: {app: %s}, ports: [{port: 80, targetPort: 8080}]}}`, name, name))
	b.create(rollouts, fmt.Sprintf(`
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: %[1]s}
spec:
  replicas: %[2]d
  selector: {matchLabels: {app: %[1]s}}
  strategy: %[4]s
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: web
        image: %[3]s
        args: [-port, "8080"]
        ports: [{containerPort: 8080}]
        readinessProbe: {periodSeconds: 1, httpGet: {path: /healthz, port: 8080}}
`, name, replicas, image, strings.ReplaceAll(strategy, "SERVICE", name)))
	return b
}

func (b *bench) create(resource schema.GroupVersionResource, text string) {
	b.Helper()
	if _, err := b.admin.Resource(resource).Namespace(b.namespace).Create(b.Context(), object(b.T, text), metav1.CreateOptions{}); err != nil {
		b.Fatal(err)
	}
}

// image is one of the suite's app, in the registry.
func (b *bench) image(version string, flags ...string) deploy.Image {
	b.Helper()
	return push(b.T, version, flags...)
}

func push(t *testing.T, version string, flags ...string) deploy.Image {
	t.Helper()
	flags = append([]string{"-name", version + " of " + t.Name()}, flags...)
	return targettest.Push(t, targettest.Image(t, flags...), clustertest.Registry(t)+"/slipway-argo", version)
}

// environment is what slipway.yaml says.
func (b *bench) environment() deploy.Environment {
	return deploy.Environment{
		Name: b.name, Strategy: b.strategy,
		Service: deploy.Service{Port: 8080, Replicas: 1, StartTimeout: 90 * time.Second, Drain: time.Second},
		Target:  deploy.TargetSpec{Kind: "kubernetes", Cluster: deploy.Cluster{Namespace: b.namespace, Rollout: b.name}},
	}
}

// target is the environment as a process of its own would have it.
func (b *bench) target() *kubernetes.Rollout {
	b.Helper()
	open, err := access.Open(b.Context(), access.Options{Files: []string{b.kubeconfig}})
	if err != nil {
		b.Fatal(err)
	}
	c, err := kubernetes.New(b.Context(), open, kubernetes.Options{})
	if err != nil {
		b.Fatal(err)
	}
	t := c.Rollout("shop", b.environment())
	if err := t.Permitted(b.Context()); err != nil {
		b.Fatal(err)
	}
	return t
}

// decided is the environment as the Rollout has it.
func (b *bench) decided(t *kubernetes.Rollout) deploy.Environment {
	b.Helper()
	e, _, err := t.Decided(b.Context(), b.environment())
	if err != nil {
		b.Fatal(err)
	}
	return e
}

// release brings a version in, as slipway release does.
func (b *bench) release(image deploy.Image, checks ...deploy.Check) rollout.Result {
	b.Helper()
	t := b.target()
	e := b.decided(t)
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	return b.engine(t).Deploy(ctx, rollout.Deployment{
		Target: t, Candidate: deploy.NewRevision("shop", e, image, nil), Strategy: e.Strategy, Checks: checks,
		Owner: deploy.Owner{Run: b.name}, Operation: "release",
	})
}

// engine tells what it sees to the bench.
func (b *bench) engine(t *kubernetes.Rollout) *rollout.Engine {
	b.events.target = t
	return &rollout.Engine{Reporter: b.events}
}

// ends requires an outcome.
func (b *bench) ends(r rollout.Result, want deploy.Outcome) {
	b.Helper()
	if r.Outcome != want {
		b.Fatalf("the outcome is %s, not %s: %s (%s)", r.Outcome, want, r.Reason, r.Hint)
	}
}

// events are what an engine told, with the share at the end of each stage.
type events struct {
	target deploy.Target
	mu     sync.Mutex
	shares []deploy.Percent
	// reached is called after each stage that users had a part in.
	reached func(deploy.Event)
}

func (e *events) Report(ctx context.Context, event deploy.Event) error {
	if event.Kind != deploy.StagePassed {
		return nil
	}
	s, err := e.target.State(ctx)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.shares = append(e.shares, s.Share)
	if e.reached != nil {
		e.reached(event)
	}
	return nil
}

// is is a field of the Rollout, "-" where it is not there.
func (b *bench) is(path ...string) string {
	b.Helper()
	o, err := b.admin.Resource(rollouts).Namespace(b.namespace).Get(context.WithoutCancel(b.Context()), b.name, metav1.GetOptions{})
	if err != nil {
		b.Fatal(err)
	}
	v, has, err := unstructured.NestedFieldNoCopy(o.Object, path...)
	if err != nil || !has {
		return "-"
	}
	return fmt.Sprint(v)
}

// runs requires that all pods of the Rollout are of one image, and that it is
// healthy and not left aborted.
func (b *bench) runs(image deploy.Image) {
	b.Helper()
	b.until(b.T, "it is healthy with "+image.Version, func() string {
		return strings.ReplaceAll(fmt.Sprintf("%s %s %s %s", b.is("status", "phase"), b.is("status", "abort"), b.is("status", "message"), b.image1()), " false ", " - ") // a retry leaves false
	}, func(said string) bool { return said == "Healthy - - "+image.Reference() })
	s, err := b.target().State(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if s.Live == nil || s.Live.Image.Digest != image.Digest || s.Candidate != nil || s.Share != 0 {
		b.Errorf("live is %v, candidate %v at %s", s.Live, s.Candidate, s.Share)
	}
}

// image1 is the image that the Rollout shall run.
func (b *bench) image1() string {
	o, err := b.admin.Resource(rollouts).Namespace(b.namespace).Get(b.Context(), b.name, metav1.GetOptions{})
	if err != nil {
		b.Fatal(err)
	}
	all, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
	return fmt.Sprint(all[0].(map[string]any)["image"])
}

// somebody patches the Rollout as another actor would.
func (b *bench) somebody(patch string, subresource ...string) {
	b.Helper()
	_, err := b.admin.Resource(rollouts).Namespace(b.namespace).
		Patch(context.WithoutCancel(b.Context()), b.name, types.MergePatchType, []byte(patch), metav1.PatchOptions{FieldManager: "somebody"}, subresource...)
	if err != nil {
		b.Fatal(err)
	}
}
