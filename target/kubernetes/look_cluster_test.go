package kubernetes_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/retry"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/target/kubernetes"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
	"github.com/slipway-ci/slipway/target/targettest"
)

// crowd are users who ask the stable URL one after the other, without an end.
type crowd struct {
	stop context.CancelFunc
	done sync.WaitGroup

	mu   sync.Mutex
	got  map[string]int
	lost []string
}

func (l *lab) crowd(t *testing.T, url string) *crowd {
	ctx, stop := context.WithCancel(t.Context())
	c := &crowd{stop: stop, got: map[string]int{}}
	for range 2 {
		c.done.Go(func() {
			for ctx.Err() == nil {
				c.ask(ctx, l.users, url)
				time.Sleep(20 * time.Millisecond)
			}
		})
	}
	t.Cleanup(c.end)
	return c
}

func (c *crowd) end() { c.stop(); c.done.Wait() }

func (c *crowd) ask(ctx context.Context, by http.RoundTripper, url string) {
	status, body, err := ask(ctx, by, url, "")
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case ctx.Err() != nil: // this one was broken off by the test
	case err != nil:
		c.lost = append(c.lost, err.Error())
	case status != http.StatusOK:
		c.lost = append(c.lost, fmt.Sprintf("%d %q", status, body))
	default:
		c.got[body]++
	}
}

// meets waits until somebody has had an answer of a version.
func (c *crowd) meets(t *testing.T, version string) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		c.mu.Lock()
		n := c.got[version]
		c.mu.Unlock()
		if n > 0 {
			return
		}
	}
	t.Errorf("nobody meets %s", version)
}

// unharmed demands that nobody has lost a request.
func (c *crowd) unharmed(t *testing.T) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	t.Logf("answers: %v", c.got)
	if len(c.lost) > 0 {
		t.Errorf("%d requests were lost, such as %s", len(c.lost), c.lost[0])
	}
	c.lost = nil
}

// ask gets a URL, as one who looks for a revision where look is not empty.
func ask(ctx context.Context, by http.RoundTripper, url, look string) (status int, body string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, "", err
	}
	if look != "" {
		req.Header.Set(objects.LookHeader, look)
	}
	resp, err := by.RoundTrip(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), err
}

// diary is a log for several goroutines.
type diary struct {
	mu   sync.Mutex
	text strings.Builder
}

func (d *diary) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.Write(p)
}

func (d *diary) all() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.text.String()
}

func (d *diary) says(text string) bool { return strings.Contains(d.all(), text) }

func (d *diary) count(text string) int { return strings.Count(d.all(), text) }

// blind is what is told of a gateway that does not reach a version.
const blind = "the gateway is not seen to reach"

// TestGatewayThatIsBehind moves users to versions that are ready, and which the
// gateway does not reach yet: their Services get the port by which it comes only
// while Slipway is about to send users there. Nobody loses a request, by a share
// and by a switch.
func TestGatewayThatIsBehind(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	env := deploy.Environment{
		Name:    "production",
		Target:  deploy.TargetSpec{Kind: "kubernetes", Cluster: l.place()},
		Service: deploy.Service{Port: 8080, Health: "/healthz", Replicas: 1, StartTimeout: 5 * time.Minute, Drain: time.Second},
	}
	place := objects.Place{App: "shop", Environment: env.Name, Namespace: l.namespace, Cluster: env.Target.Cluster}
	var told diary
	target := l.targetTelling(t, env, &told)
	made := func(version string, flags ...string) deploy.Revision {
		image := targettest.Push(t, targettest.Image(t, append(flags, "-name", version)...), l.repository(), version)
		return deploy.NewRevision("shop", env, image, nil)
	}
	act := func(what string, f func(context.Context) error) {
		t.Helper()
		if err := f(t.Context()); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	services := l.kube.CoreV1().Services(l.namespace)
	port := func(r deploy.Revision, n int32) {
		err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
			s, err := services.Get(t.Context(), place.Name(r.ID), metav1.GetOptions{})
			if err != nil {
				return err
			}
			s.Spec.Ports[0].Port = n
			_, err = services.Update(t.Context(), s, metav1.UpdateOptions{})
			return err
		})
		if err != nil {
			t.Errorf("give %s the port %d: %v", r, n, err)
		}
	}
	// late starts a revision that the gateway cannot reach until a moment after
	// users are moved.
	late := func(r deploy.Revision, move func(context.Context) error) {
		t.Helper()
		s := place.Service(r)
		s.Spec.Ports[0].Port = 81
		if _, err := services.Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		act("start", func(ctx context.Context) error { return target.Start(ctx, r) })
		var mend sync.WaitGroup
		mend.Go(func() {
			time.Sleep(1500 * time.Millisecond)
			port(r, objects.ServicePort)
		})
		act("move", move)
		mend.Wait()
	}

	a, b, c := made("1.0.0"), made("1.1.0"), made("1.2.0")
	act("start", func(ctx context.Context) error { return target.Start(ctx, a) })
	act("switch", func(ctx context.Context) error { return target.Switch(ctx, a) })
	s, err := target.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	users := l.crowd(t, s.URL)
	users.meets(t, "1.0.0")
	late(b, func(ctx context.Context) error { return target.Split(ctx, b, 50) })
	users.meets(t, "1.1.0")
	users.unharmed(t)

	// Whoever does not know the key is answered by the gateway.
	for _, look := range []string{"", "always", b.ID, "-" + b.ID} {
		if status, _, err := ask(t.Context(), l.users, s.URL+objects.ProbePath, look); err != nil || status != http.StatusFound {
			t.Errorf("asked for %q it answers %d, %v", look, status, err)
		}
	}

	act("split", func(ctx context.Context) error { return target.Split(ctx, b, 0) })
	act("stop", func(ctx context.Context) error { return target.Stop(ctx, b) })
	late(c, func(ctx context.Context) error { return target.Switch(ctx, c) })
	users.meets(t, "1.2.0")
	users.unharmed(t)
	if told.says(blind) {
		t.Errorf("it reaches both, and is told not to: %s", told.all())
	}

	// The way back is not kept waiting by what cannot be seen.
	users.end()
	port(a, 81)
	l.unseen(t, place, s.URL, a.ID)
	act("switch back", func(ctx context.Context) error { return target.Switch(ctx, a) })
	if !told.says(blind) || !told.says("Internal Server Error") && !told.says("Service Unavailable") {
		t.Errorf("that it is not reached is not told: %s", told.all())
	}
	port(a, objects.ServicePort)
	act("stop", func(ctx context.Context) error { return target.Stop(ctx, c) })
	l.unasked(t, place)
}

// TestVersionThatAnswersWithErrors sends users to a version that answers whatever
// it is asked with an error: that is no gateway which does not reach it.
func TestVersionThatAnswersWithErrors(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	env := deploy.Environment{
		Name:    "production",
		Target:  deploy.TargetSpec{Kind: "kubernetes", Cluster: l.place()},
		Service: deploy.Service{Port: 8080, Health: "/healthz", Replicas: 1, StartTimeout: 5 * time.Minute, Drain: time.Second},
	}
	var told diary
	target := l.targetTelling(t, env, &told)
	image := targettest.Push(t, targettest.Image(t, "-fail-each", "1"), l.repository(), "1.0.0")
	r := deploy.NewRevision("shop", env, image, nil)
	if err := target.Start(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if err := target.Switch(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	s, err := target.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if status, body, err := ask(t.Context(), l.users, s.URL, ""); status != http.StatusInternalServerError || !strings.HasPrefix(body, "error from") {
		t.Errorf("users get %d %q, %v", status, body, err)
	}
	if told.says(blind) {
		t.Errorf("it is told: %s", told.all())
	}
}

// targetTelling is target with a log.
func (l *lab) targetTelling(t *testing.T, env deploy.Environment, log io.Writer) *kubernetes.Target {
	t.Helper()
	open, err := access.Open(t.Context(), access.Options{Files: []string{l.kubeconfig}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := kubernetes.New(t.Context(), open, kubernetes.Options{Users: l.users, Log: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return c.Target("shop", env)
}

// traffic is who has the users, as the route says it, and the route.
func (l *lab) traffic(t *testing.T, place objects.Place) (objects.Traffic, *unstructured.Unstructured) {
	t.Helper()
	client, err := dynamic.NewForConfig(clustertest.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	routes := client.Resource(schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"})
	o, err := routes.Namespace(l.namespace).Get(t.Context(), place.RouteName(), metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	traffic, err := objects.ReadTraffic(o.GetAnnotations())
	if err != nil {
		t.Fatal(err)
	}
	return traffic, o
}

// unseen waits until the gateway does not reach a revision any more.
func (l *lab) unseen(t *testing.T, place objects.Place, url, id string) {
	t.Helper()
	traffic, _ := l.traffic(t, place)
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		status, _, err := ask(t.Context(), l.users, url+objects.ProbePath, traffic.LookValue(id))
		if err == nil && status >= http.StatusInternalServerError {
			return
		}
	}
	t.Fatalf("the gateway reaches %s for ever", id)
}

// unasked demands that a route has no rule any more by which revisions are asked
// for, and no key.
func (l *lab) unasked(t *testing.T, place objects.Place) {
	t.Helper()
	traffic, o := l.traffic(t, place)
	if traffic != (objects.Traffic{Live: traffic.Live}) {
		t.Errorf("its annotations say %+v", traffic)
	}
	if text := fmt.Sprint(o.Object["spec"]); strings.Contains(text, objects.LookHeader) {
		t.Errorf("a rule is left: %s", text)
	}
}
