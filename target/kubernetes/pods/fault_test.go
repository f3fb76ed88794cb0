package pods_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/pods"
)

// counting passes requests on and counts them; some it answers itself.
type counting struct {
	next http.RoundTripper
	// answers are given in place of the cluster's, each to the first request
	// that it is meant for.
	lock    sync.Mutex
	answers []answer
	seen    []string
}

// answer is what a request gets that the cluster never sees.
type answer struct {
	// to is a part of the request's line, such as "watch pods".
	to     string
	status int
	header http.Header
	body   string
}

func (c *counting) RoundTrip(r *http.Request) (*http.Response, error) {
	line := verb(r)
	c.lock.Lock()
	c.seen = append(c.seen, line)
	var given *answer
	for i, a := range c.answers {
		if strings.HasPrefix(line, a.to) {
			given, c.answers = &a, append(c.answers[:i:i], c.answers[i+1:]...)
			break
		}
	}
	c.lock.Unlock()
	if given == nil {
		return c.next.RoundTrip(r)
	}
	h := given.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set("Content-Type", "application/json")
	return &http.Response{
		Status: http.StatusText(given.status), StatusCode: given.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: h, Body: io.NopCloser(strings.NewReader(given.body)), ContentLength: int64(len(given.body)), Request: r,
	}, nil
}

// verb is "list pods" or "watch deployments" and the like.
func verb(r *http.Request) string {
	parts := strings.Split(r.URL.Path, "/")
	resource := parts[len(parts)-1]
	switch {
	case r.URL.Query().Get("watch") == "true":
		return "watch " + resource
	case r.Method == http.MethodGet:
		return "list " + resource
	}
	return strings.ToLower(r.Method) + " " + resource
}

// through is a client whose requests pass here.
func (c *cluster) through(t *testing.T, answers ...answer) (kubernetes.Interface, *counting) {
	t.Helper()
	between := &counting{answers: answers}
	config := rest.CopyConfig(c.config)
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		between.next = next
		return between
	})
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client, between
}

func (c *counting) requests() []string {
	c.lock.Lock()
	defer c.lock.Unlock()
	return append([]string(nil), c.seen...)
}

// deploy makes a Deployment of the test app, and the options to wait for it.
func (c *cluster) deploy(t *testing.T, name string, flags ...string) pods.Options {
	t.Helper()
	if _, err := c.client.AppsV1().Deployments(c.namespace).Create(t.Context(), app(name, c.image(t, flags...)), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return pods.Options{Workload: pods.Workload{Kind: "Deployment", Name: name}, Timeout: patience}
}

// status is an error of the API as the server words it.
func status(code int, reason metav1.StatusReason) string {
	return fmt.Sprintf(`{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"as the test wants it","reason":%q,"code":%d}`, reason, code)
}

func TestWatchesThatBreakAreTakenUpAgain(t *testing.T) {
	t.Parallel()
	c := open(t)
	gone := status(http.StatusGone, metav1.StatusReasonExpired)
	together(t, map[string][]answer{
		"told to wait": {
			{to: "list pods", status: http.StatusTooManyRequests, header: http.Header{"Retry-After": {"1"}}, body: status(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests)},
			{to: "watch deployments", status: http.StatusTooManyRequests, header: http.Header{"Retry-After": {"1"}}, body: status(http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests)},
		},
		"server errors": {
			{to: "list pods", status: http.StatusInternalServerError, body: status(http.StatusInternalServerError, metav1.StatusReasonInternalError)},
			{to: "watch pods", status: http.StatusServiceUnavailable, body: status(http.StatusServiceUnavailable, metav1.StatusReasonServiceUnavailable)},
			{to: "watch pods", status: http.StatusBadGateway, body: "<html>no JSON"},
			{to: "list deployments", status: http.StatusGatewayTimeout, body: status(http.StatusGatewayTimeout, metav1.StatusReasonTimeout)},
		},
		"too old a version": {
			{to: "watch pods", status: http.StatusGone, body: gone},
			{to: "watch pods", status: http.StatusOK, body: `{"type":"ERROR","object":` + gone + "}\n"},
		},
		"ends at once": {
			{to: "watch pods", status: http.StatusOK},
			{to: "watch pods", status: http.StatusOK, body: `{"type":"MODI`},
			{to: "watch deployments", status: http.StatusOK},
		},
	}, func(t *testing.T, answers []answer) {
		_, name, _ := strings.Cut(t.Name(), "/")
		name = strings.ReplaceAll(name, "_", "-")
		o := c.deploy(t, name, "-start-after", "4s")
		client, between := c.through(t, answers...)
		if err := pods.Wait(t.Context(), client, c.namespace, "app="+name, 1, o); err != nil {
			t.Error(err)
		}
		if len(between.answers) > 0 {
			t.Errorf("never given: %+v", between.answers)
		}
		t.Log(between.requests())
	})
}

func TestRequestsAreFew(t *testing.T) {
	t.Parallel()
	c := open(t)
	each(t, map[string]func(t *testing.T){
		"good": func(t *testing.T) {
			o := c.deploy(t, "few", "-start-after", "3s")
			client, between := c.through(t)
			if err := pods.Wait(t.Context(), client, c.namespace, "app=few", 1, o); err != nil {
				t.Error(err)
			}
			if n := len(between.requests()); n != 4 {
				t.Errorf("%d requests, not a list and a watch of pods and of the Deployment: %q", n, between.requests())
			}
		},
		"doomed": func(t *testing.T) {
			o := c.deploy(t, "few-words", "-exit", "5")
			client, between := c.through(t)
			var doomed *deploy.Doomed
			if err := pods.Wait(t.Context(), client, c.namespace, "app=few-words", 1, o); !errors.As(err, &doomed) {
				t.Error(err)
			}
			if n := len(between.requests()); n > 7 {
				t.Errorf("%d requests: %q", n, between.requests())
			}
		},
	})
}

// door is a way to the API server that can be shut.
type door struct {
	to       string
	listener net.Listener
	lock     sync.Mutex
	shut     bool
	turned   int
	open     map[net.Conn]bool
	serving  sync.WaitGroup
}

func (c *cluster) door(t *testing.T) (*door, kubernetes.Interface) {
	t.Helper()
	to, err := url.Parse(c.config.Host)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{to: to.Host, listener: l, open: map[net.Conn]bool{}}
	d.serving.Go(d.serve)
	t.Cleanup(func() {
		_ = l.Close()
		d.set(true)
		d.serving.Wait()
	})
	config := rest.CopyConfig(c.config)
	config.Host, config.ServerName = "https://"+l.Addr().String(), to.Hostname()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return d, client
}

func (d *door) serve() {
	for {
		in, err := d.listener.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", d.to)
		if err != nil || !d.enter(in, out) {
			_ = in.Close()
			continue
		}
		for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
			d.serving.Go(func() {
				_, _ = io.Copy(way[0], way[1])
				_ = in.Close()
				_ = out.Close()
			})
		}
	}
}

// enter lets a connection through, unless the door is shut.
func (d *door) enter(conns ...net.Conn) bool {
	d.lock.Lock()
	defer d.lock.Unlock()
	if d.shut {
		d.turned++
		for _, c := range conns {
			_ = c.Close()
		}
		return false
	}
	for _, c := range conns {
		d.open[c] = true
	}
	return true
}

// set shuts the door, which ends all that goes through, or opens it.
func (d *door) set(shut bool) {
	d.lock.Lock()
	defer d.lock.Unlock()
	if d.shut = shut; shut {
		for c := range d.open {
			_ = c.Close()
		}
		clear(d.open)
	}
}

// until calls f until it is true.
func until(t *testing.T, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if f() {
			return
		}
	}
	t.Fatal("it never came to that")
}

// ready reports whether an app's pod is, by the administrator's own way.
func (c *cluster) ready(t *testing.T, name string) bool {
	list, err := c.client.CoreV1().Pods(c.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=" + name})
	if err != nil {
		t.Error(err)
		return true
	}
	for i := range list.Items {
		if pods.Judge(&list.Items[i], time.Now(), pods.Limits{}).State == pods.Ready {
			return true
		}
	}
	return false
}

func TestAServerThatIsGoneForAWhile(t *testing.T) {
	t.Parallel()
	c := open(t)
	each(t, map[string]func(t *testing.T){
		"comes back": func(t *testing.T) {
			o := c.deploy(t, "back", "-start-after", "3s")
			d, client := c.door(t)
			told := make(chan error, 1)
			go func() { told <- pods.Wait(t.Context(), client, c.namespace, "app=back", 1, o) }()
			until(t, func() bool { d.lock.Lock(); defer d.lock.Unlock(); return len(d.open) > 0 })
			d.set(true)
			// All that is waited for happens meanwhile.
			until(t, func() bool { return c.ready(t, "back") })
			time.Sleep(10 * time.Second)
			d.set(false)
			began := time.Now()
			if err := <-told; err != nil {
				t.Error(err)
			}
			t.Logf("told %s after the server was back, having been turned away %d times", time.Since(began).Round(10*time.Millisecond), d.turned)
			if d.turned == 0 {
				t.Error("nobody found the server gone")
			}
		},
		"stays away": func(t *testing.T) {
			o := c.deploy(t, "away")
			o.Timeout = 8 * time.Second
			d, client := c.door(t)
			d.set(true)
			var doomed *deploy.Doomed
			err := pods.Wait(t.Context(), client, c.namespace, "app=away", 1, o)
			if err == nil || errors.As(err, &doomed) || !strings.Contains(err.Error(), "it is not known whether") || deploy.HintOf(err) == "" {
				t.Errorf("a cluster that says nothing has not said that it is doomed: %v", err)
			}
		},
	})
}

func TestWaitsThatEnd(t *testing.T) {
	t.Parallel()
	c := open(t)
	each(t, map[string]func(t *testing.T){
		"interrupted": func(t *testing.T) {
			o := c.deploy(t, "interrupted", "-sick")
			ctx, cancel := context.WithTimeoutCause(t.Context(), 2*time.Second, errors.New("the run was cancelled"))
			defer cancel()
			err := pods.Wait(ctx, c.client, c.namespace, "app=interrupted", 1, o)
			if err == nil || !strings.Contains(err.Error(), "interrupted while") || !strings.Contains(err.Error(), "the run was cancelled") {
				t.Error(err)
			}
		},
		"not allowed": func(t *testing.T) {
			config := rest.CopyConfig(c.config)
			config.Impersonate = rest.ImpersonationConfig{UserName: "nobody-in-particular"}
			client, err := kubernetes.NewForConfig(config)
			if err != nil {
				t.Fatal(err)
			}
			err = pods.Wait(t.Context(), client, c.namespace, "app=x", 1, pods.Options{Timeout: patience})
			if err == nil || !strings.Contains(err.Error(), `cannot list resource "pods"`) || deploy.HintOf(err) == "" {
				t.Error(err)
			}
		},
		"no such workload": func(t *testing.T) {
			err := pods.Wait(t.Context(), c.client, c.namespace, "app=x", 1, pods.Options{Timeout: patience, Workload: pods.Workload{Kind: "Deployment", Name: "x"}})
			if err == nil || err.Error() != "Deployment x is not there" {
				t.Error(err)
			}
		},
		"no such kind": func(t *testing.T) {
			err := pods.Wait(t.Context(), c.client, c.namespace, "app=x", 1, pods.Options{Workload: pods.Workload{Kind: "CronJob", Name: "x"}})
			if err == nil || !strings.Contains(err.Error(), "Deployment") {
				t.Error(err)
			}
		},
		"removed meanwhile": func(t *testing.T) {
			o := c.deploy(t, "removed", "-sick")
			told := make(chan error, 1)
			go func() { told <- pods.Wait(t.Context(), c.client, c.namespace, "app=removed", 1, o) }()
			if err := c.client.AppsV1().Deployments(c.namespace).Delete(t.Context(), "removed", metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
			if err := <-told; err == nil || err.Error() != "Deployment removed is not there" {
				t.Error(err)
			}
		},
	})
}

// TestPodsThatTheClusterRefuses has a namespace in which no pod like ours may be.
func TestPodsThatTheClusterRefuses(t *testing.T) {
	t.Parallel()
	c := open(t)
	_, err := c.client.CoreV1().Namespaces().Patch(t.Context(), c.namespace, "application/merge-patch+json",
		[]byte(`{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"restricted"}}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	o := c.deploy(t, "refused")
	var doomed *deploy.Doomed
	if err := pods.Wait(t.Context(), c.client, c.namespace, "app=refused", 1, o); !errors.As(err, &doomed) || !strings.Contains(err.Error(), "violates PodSecurity") {
		t.Errorf("want why it is refused, got %v", err)
	}
	t.Log(doomed)
}

func TestNoSecretIsShown(t *testing.T) {
	t.Parallel()
	c := open(t)
	o := c.deploy(t, "indiscreet", "-exit", "6", "-say", "my token is hunter2-hunter2, and the other one is s3cr3t!")
	o.Revision.Secrets = []deploy.Secret{deploy.KnownSecret("TOKEN", "1", "hunter2-hunter2")}
	o.Hide = []string{"s3cr3t", "s3cr3t!", "on"}
	var doomed *deploy.Doomed
	err := pods.Wait(t.Context(), c.client, c.namespace, "app=indiscreet", 1, o)
	if !errors.As(err, &doomed) {
		t.Fatal(err)
	}
	if want := "my token is ***, and the other one is ***"; len(doomed.Evidence.Log) != 1 || doomed.Evidence.Log[0] != want {
		t.Errorf("its log is %q", doomed.Evidence.Log)
	}
	later, err := pods.Evidence(t.Context(), c.client, c.namespace, "app=indiscreet", o)
	if err != nil || later.Replica != doomed.Evidence.Replica || len(later.Log) != 1 || !strings.Contains(later.Reason, "code 6") {
		t.Errorf("asked later: %+v, %v", later, err)
	}
}
