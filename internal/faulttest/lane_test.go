package faulttest

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	client "k8s.io/client-go/kubernetes"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/internal/workshop"
	"github.com/slipway-ci/slipway/rollout"
	"github.com/slipway-ci/slipway/target/kubernetes"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
	"github.com/slipway-ci/slipway/target/targettest"
)

const (
	app = "web"
	// patience is for what a busy machine may take its time with.
	patience = 2 * time.Minute
	// first is the version that is live before anything happens.
	first = "1.0.0"
)

// field is a namespace of a test's own in the real cluster, and a login that may
// do there what Slipway needs and no more.
type field struct {
	kube       client.Interface
	namespace  string
	kubeconfig string
}

func newField(t *testing.T) field {
	t.Helper()
	f := field{kube: clustertest.Client(t), namespace: clustertest.Namespace(t)}
	may := append(access.Least(f.namespace, access.Needs{Routes: true}), access.Gateway("default", "gateway"))
	f.kubeconfig = clustertest.KubeconfigFor(t, f.namespace, may)
	return f
}

// lane is an environment with two replicas of the first version, and users.
type lane struct {
	field
	env deploy.Environment
	// way is that of its users.
	way    http.RoundTripper
	target *kubernetes.Target
	users  *workshop.Users
	runs   int
}

// newLane opens an environment by a kubeconfig, with what is changed in it, brings the
// first version to it, and lets users come.
func newLane(t *testing.T, f field, name string, s deploy.Strategy, perSecond int, changes ...func(*deploy.Environment)) *lane {
	t.Helper()
	l := &lane{field: f, way: clustertest.Users(t), env: deploy.Environment{
		Name: name, Strategy: s.WithDefaults(),
		Service: deploy.Service{
			Port: 8080, Health: "/healthz", Replicas: 2, StartTimeout: patience, Drain: time.Second,
			Env: map[string]string{"HOST": "0.0.0.0"},
		},
		Target: deploy.TargetSpec{Kind: "kubernetes", Cluster: deploy.Cluster{
			Namespace: f.namespace, PreStop: 2 * time.Second,
			Pod:     deploy.Pod{CPU: "10m"}, // there is room for all environments at once
			Gateway: &deploy.Gateway{Name: "gateway", Namespace: "default", Host: "{environment}." + f.namespace + ".localhost"},
		}},
	}}
	for _, change := range changes {
		change(&l.env)
	}
	l.target = l.open(t, f.kubeconfig)
	result := l.deploy(t, rollout.Engine{}, l.revision(t, first))
	if result.Outcome != deploy.Promoted {
		t.Fatalf("the first version is %s: %s", result.Outcome, result.Reason)
	}
	l.users = workshop.SendBy(l.way, result.URL, perSecond)
	t.Cleanup(func() { l.users.End() })
	l.serves(t, first)
	return l
}

// open is the environment as a process of its own would have it.
func (l *lane) open(t *testing.T, kubeconfig string) *kubernetes.Target {
	t.Helper()
	open, err := access.Open(t.Context(), access.Options{Files: []string{kubeconfig}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := kubernetes.New(t.Context(), open, kubernetes.Options{Users: l.way})
	if err != nil {
		t.Fatal(err)
	}
	return c.Target(app, l.env)
}

// image is one of the tests' app that is bad as the flags say.
func image(t *testing.T, version string, flags ...string) deploy.Image {
	t.Helper()
	flags = append([]string{"-name", "hello from " + version}, flags...)
	return targettest.Push(t, targettest.Image(t, flags...), clustertest.Registry(t)+"/slipway-faults", version)
}

func (l *lane) revision(t *testing.T, version string, flags ...string) deploy.Revision {
	t.Helper()
	return deploy.NewRevision(app, l.env, image(t, version, flags...), nil)
}

// deploy brings a revision to the environment, as a run of its own.
func (l *lane) deploy(t *testing.T, e rollout.Engine, r deploy.Revision) rollout.Result {
	t.Helper()
	l.runs++
	return e.Deploy(t.Context(), rollout.Deployment{
		Target: l.target, Candidate: r, Strategy: l.env.Strategy, Operation: "release",
		Owner: deploy.Owner{Run: fmt.Sprintf("%s %d", t.Name(), l.runs)},
	})
}

// serves waits until users have had fifty more answers of a version, and none of
// another one is sent any more.
func (l *lane) serves(t *testing.T, version string) {
	t.Helper()
	began, before := time.Now(), l.users.Count().Answered[version]
	for end := began.Add(patience); l.users.Count().Answered[version] < before+50; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("users do not meet %s: %+v", version, l.users.Count())
		}
	}
	for other, last := range l.users.Count().Last {
		if other != version && last.After(began) {
			t.Errorf("a user meets %s, and %s is live", other, version)
		}
	}
}

// settled demands that a version has all users and is whole, and that nothing is
// left of a rollout: no other version, no hold, no open journal.
func (l *lane) settled(t *testing.T, version string, outcome deploy.Outcome) {
	t.Helper()
	state, err := l.target.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if state.Live == nil || state.Live.Image.Version != version {
		t.Fatalf("live is %v, want %s", state.Live, version)
	}
	if state.Candidate != nil || state.Share != 0 || len(state.Running) != 1 || state.Running[0].Ready() < 2 {
		t.Errorf("candidate %v, share %s, running %+v", state.Candidate, state.Share, state.Running)
	}
	if r := state.Record; r.Phase != deploy.PhaseSettled || r.Outcome != outcome {
		t.Errorf("the journal ends with %s, %s: %s", r.Phase, r.Outcome, r.Reason)
	}
	if state.Lock != nil {
		t.Errorf("it is still held: %+v", state.Lock)
	}
	if lease, err := l.kube.CoordinationV1().Leases(l.namespace).Get(t.Context(), app+"-"+l.env.Name, metav1.GetOptions{}); err == nil {
		t.Errorf("the Lease is left: %+v", lease.Spec)
	}
	l.alone(t, state.Live.ID)
	l.serves(t, version)
}

// alone demands that the cluster has objects of one revision and of no other.
func (l *lane) alone(t *testing.T, id string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		left := l.others(t, id)
		if len(left) == 0 {
			return
		}
		if time.Now().After(end) {
			t.Errorf("left over: %s", strings.Join(left, ", "))
			return
		}
	}
}

// others are the objects of other revisions. What the cluster collects by itself
// once its owner is gone, such as ReplicaSets, may take a moment.
func (l *lane) others(t *testing.T, id string) (left []string) {
	t.Helper()
	ctx := t.Context()
	o := metav1.ListOptions{LabelSelector: objects.LabelEnvironment + "=" + l.env.Name + "," + objects.LabelRevision + "," + objects.LabelRevision + "!=" + id}
	note := func(kind string, name string) { left = append(left, kind+" "+name) }
	deployments, err := l.kube.AppsV1().Deployments(l.namespace).List(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range deployments.Items {
		note("Deployment", deployments.Items[i].Name)
	}
	sets, err := l.kube.AppsV1().ReplicaSets(l.namespace).List(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range sets.Items {
		note("ReplicaSet", sets.Items[i].Name)
	}
	services, err := l.kube.CoreV1().Services(l.namespace).List(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range services.Items {
		note("Service", services.Items[i].Name)
	}
	budgets, err := l.kube.PolicyV1().PodDisruptionBudgets(l.namespace).List(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range budgets.Items {
		note("PodDisruptionBudget", budgets.Items[i].Name)
	}
	pods, err := l.kube.CoreV1().Pods(l.namespace).List(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range pods.Items {
		note("Pod", pods.Items[i].Name)
	}
	return left
}

// span is a time in which it is known whose fault a lost request is.
type span struct{ from, to time.Time }

// toll is what a case cost users.
type toll struct {
	Sent, Own, Lost int
	firstLost       string
}

// since is the toll of what was sent after a count. Own are answers of the bad
// version with an error, and what was lost in the spans; all else is Lost.
func (l *lane) since(before workshop.Count, losses int, bad string, spans []span) toll {
	c := l.users.Count().Since(before)
	t := toll{Sent: c.Sent}
	for version, n := range c.Faults {
		if version == bad {
			t.Own += n
			continue
		}
		t.Lost += n
		t.firstLost = fmt.Sprintf("%d errors of %s", n, version)
	}
	for _, loss := range l.users.Losses()[losses:] {
		if within(loss, spans) {
			t.Own++
			continue
		}
		t.Lost++
		t.firstLost = loss.Fate
	}
	return t
}

// within reports whether a request was under way in one of the spans.
func within(loss workshop.Loss, spans []span) bool {
	for _, s := range spans {
		if !s.from.IsZero() && loss.Ended.After(s.from) && (s.to.IsZero() || loss.Sent.Before(s.to)) {
			return true
		}
	}
	return false
}

// diary keeps what an engine tells, and calls whoever listens.
type diary struct {
	mu     sync.Mutex
	events []deploy.Event
	listen func(deploy.Event)
}

// Report implements deploy.Reporter.
func (d *diary) Report(_ context.Context, e deploy.Event) error {
	d.mu.Lock()
	d.events = append(d.events, e)
	d.mu.Unlock()
	if d.listen != nil {
		d.listen(e)
	}
	return nil
}

// at is when an event of a kind was told that is as is asked for; zero when none
// was.
func (d *diary) at(kind deploy.EventKind, is func(deploy.Event) bool) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range d.events {
		if e.Kind == kind && (is == nil || is(e)) {
			return e.At
		}
	}
	return time.Time{}
}
