package pods_test

import (
	"context"
	"encoding/json"
	"flag"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/target/kubernetes/pods"
)

// update writes down the lives of pods in the real cluster.
var update = flag.Bool("update", false, "write testdata anew")

// moment is a pod as it was told at a time.
type moment struct {
	At  time.Time   `json:"at"`
	Pod *corev1.Pod `json:"pod"`
}

// record follows the pods of a Deployment until what it returns is called. That
// says when a pod was first seen doomed or ready that was not so before, the
// last one of them, and writes the life of the first pod down with -update.
func record(t *testing.T, c *cluster, name string) func() time.Time {
	ctx, cancel := context.WithCancel(t.Context())
	w, err := c.client.CoreV1().Pods(c.namespace).Watch(ctx, metav1.ListOptions{LabelSelector: "app=" + name, ResourceVersion: "0"})
	if err != nil {
		t.Fatal(err)
	}
	var moments []moment
	var last time.Time
	var running sync.WaitGroup
	running.Go(func() {
		judged := map[string]bool{}
		for e := range w.ResultChan() {
			pod, is := e.Object.(*corev1.Pod)
			if !is {
				continue
			}
			if s := pods.Judge(pod, time.Now(), pods.Limits{}).State; !judged[pod.Name] && (s == pods.Ready || s == pods.Doomed) {
				judged[pod.Name], last = true, time.Now()
			}
			if len(moments) == 0 || moments[0].Pod.Name == pod.Name {
				moments = append(moments, moment{time.Now().UTC(), trimmed(pod)})
			}
		}
	})
	return func() time.Time {
		if *update {
			time.Sleep(2 * time.Second) // what comes after the verdict is of interest, too
		}
		cancel()
		running.Wait()
		if *update {
			write(t, filepath.Join("testdata", name+".json"), moments)
		}
		return last
	}
}

func write(t *testing.T, path string, what any) {
	text, err := json.MarshalIndent(what, "", " ")
	if err == nil {
		err = os.WriteFile(path, append(text, '\n'), 0o644)
	}
	if err != nil {
		t.Error(err)
	}
}

// trimmed is a pod without what no rule looks at.
func trimmed(pod *corev1.Pod) *corev1.Pod {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Name: pod.Name, UID: pod.UID, CreationTimestamp: pod.CreationTimestamp, DeletionTimestamp: pod.DeletionTimestamp,
	}, Status: pod.Status}
	p.Spec.NodeName, p.Spec.RestartPolicy = pod.Spec.NodeName, pod.Spec.RestartPolicy
	for _, c := range pod.Spec.InitContainers {
		p.Spec.InitContainers = append(p.Spec.InitContainers, corev1.Container{Name: c.Name, Image: c.Image, RestartPolicy: c.RestartPolicy})
	}
	for _, c := range pod.Spec.Containers {
		p.Spec.Containers = append(p.Spec.Containers, corev1.Container{Name: c.Name, Image: c.Image})
	}
	p.Status.PodIP, p.Status.PodIPs, p.Status.HostIP, p.Status.HostIPs = "", nil, "", nil
	return p
}

// newServer serves on this machine until the test ends.
func newServer(t *testing.T, h http.Handler) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(h)
	_ = s.Listener.Close()
	s.Listener = l
	s.Start()
	t.Cleanup(s.Close)
	return l.Addr().String()
}

func (c *cluster) evict(ctx context.Context, pod string) error {
	return c.client.PolicyV1().Evictions(c.namespace).Evict(ctx, &policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod, Namespace: c.namespace}})
}

// together runs tests at the same time, however many processors there are: they
// wait for the cluster, and use none.
func together[T any](t *testing.T, all map[string]T, run func(t *testing.T, one T)) {
	t.Helper()
	var running sync.WaitGroup
	defer running.Wait()
	for name, one := range all {
		running.Go(func() { t.Run(name, func(t *testing.T) { run(t, one) }) })
	}
}

// each runs tests that have nothing but a body.
func each(t *testing.T, all map[string]func(t *testing.T)) {
	t.Helper()
	together(t, all, func(t *testing.T, body func(*testing.T)) { body(t) })
}
