package clustertest

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"sigs.k8s.io/yaml"
)

var (
	rollouts    = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts"}
	definitions = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
)

// rolloutsPatience bounds the wait until the cluster knows a new kind.
const rolloutsPatience = 2 * time.Minute

// Rollouts has the real controller of Argo Rollouts at work in a namespace until the
// test ends. It skips the test where there is none: ARGO_ROLLOUTS names its folder,
// with the program rollouts-controller and its definitions in crds.
func Rollouts(t *testing.T, namespace string) {
	t.Helper()
	config := Config(t)
	folder := os.Getenv("ARGO_ROLLOUTS")
	switch {
	case folder != "":
	case os.Getenv("SLIPWAY_REQUIRE_ARGO_ROLLOUTS") != "":
		t.Fatal("ARGO_ROLLOUTS does not name the controller's folder")
	default:
		t.Skip("no controller of Argo Rollouts: ARGO_ROLLOUTS does not name its folder")
	}
	admin, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	define(t, admin, namespace, filepath.Join(folder, "crds"))
	control(t, namespace, filepath.Join(folder, "rollouts-controller"))
}

// define has the cluster know Rollouts. The definitions stay: they are the whole
// cluster's, and other tests may be at work.
func define(t *testing.T, admin dynamic.Interface, namespace, folder string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no definitions in %s: %v", folder, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var o unstructured.Unstructured
		if err := yaml.Unmarshal(text, &o.Object); err != nil {
			t.Fatal(err)
		}
		_, err = admin.Resource(definitions).Create(t.Context(), &o, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	for end := time.Now().Add(rolloutsPatience); ; time.Sleep(50 * time.Millisecond) {
		_, err := admin.Resource(rollouts).Namespace(namespace).List(t.Context(), metav1.ListOptions{})
		if err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("the cluster does not know Rollouts: %v", err)
		}
	}
}

// control runs the controller, for one namespace alone.
func control(t *testing.T, namespace, program string) {
	t.Helper()
	log, err := os.Create(filepath.Join(t.TempDir(), "controller.log"))
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(program, "--kubeconfig", os.Getenv("KUBECONFIG"), "--namespaced", "--namespace", namespace, "--leader-elect=false",
		"--metricsport", freePort(t), "--healthzPort", freePort(t), "--loglevel", "warn")
	c.Stdout, c.Stderr = log, log
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	started := make(chan error)
	ended := make(chan struct{})
	go func() { // the thread that starts it has to stay, or Pdeathsig comes early
		started <- c.Start()
		_ = c.Wait()
		close(ended)
	}()
	if err := <-started; err != nil {
		t.Fatalf("start %s: %v", program, err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		<-ended
		_ = log.Close()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("the controller said:\n%s", text[max(0, len(text)-4000):])
		}
	})
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, p, _ := net.SplitHostPort(l.Addr().String())
	return p
}
