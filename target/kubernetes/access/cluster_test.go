package access_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	netutil "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
)

func opened(t *testing.T, o access.Options) *access.Cluster {
	t.Helper()
	c, err := access.Open(t.Context(), o)
	if err != nil {
		t.Fatalf("%v; %s", err, deploy.HintOf(err))
	}
	return c
}

func client(t *testing.T, c *access.Cluster) kubernetes.Interface {
	t.Helper()
	k, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestOpens(t *testing.T) {
	namespace := clustertest.Namespace(t)
	path := clustertest.Kubeconfig(t, namespace)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, ".kube"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(home, ".kube", "config"), text, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, o := range map[string]access.Options{
		"by its text":             {Kubeconfig: string(text), Files: []string{"/nowhere"}},
		"by a file":               {Files: []string{path}},
		"by the second of a list": {Files: access.Files("/nowhere:" + path), Home: "/nowhere"},
		"at home":                 {Home: home},
		"by its context":          {Files: []string{path}, Context: "test"},
	} {
		t.Run(name, func(t *testing.T) {
			c := opened(t, o)
			if c.Namespace != namespace || c.Context != "test" || !strings.HasPrefix(c.Version, "v1.") {
				t.Errorf("got %s, %s, %s", c.Namespace, c.Context, c.Version)
			}
			if _, err := client(t, c).CoreV1().Pods(namespace).List(t.Context(), meta.ListOptions{}); err != nil {
				t.Error(err)
			}
			if got := c.Requests(); got["list pods"] != 1 || got["get /version"] != 1 || len(got) != 2 {
				t.Errorf("counted %v", got)
			}
		})
	}
	if c := opened(t, access.Options{Files: []string{path}, Namespace: "elsewhere"}); c.Namespace != "elsewhere" {
		t.Errorf("the namespace is %s", c.Namespace)
	}
}

// A login with the least Role lacks nothing, and the question costs one request.
func TestTheLeastRoleIsEnough(t *testing.T) {
	namespace := clustertest.Namespace(t)
	c := opened(t, access.Options{Files: []string{clustertest.Kubeconfig(t, namespace)}})
	needs := access.Needs{Routes: true, Scaling: true, Policies: true, Hooks: true}
	if err := c.Require(t.Context(), access.Least(namespace, needs)); err != nil {
		t.Errorf("%v\n%s", err, deploy.HintOf(err))
	}
	if n := c.Requests()["create selfsubjectrulesreviews"]; n != 1 || c.Requests()["create selfsubjectaccessreviews"] != 0 {
		t.Errorf("asked %v", c.Requests())
	}
	// And it is no more than that.
	missing, err := c.Missing(t.Context(), []access.Permission{
		{Verb: "create", Resource: "pods"},
		{Verb: "create", Resource: "pods/exec"},
		{Verb: "get", Resource: "pods", Namespace: "default"},
		{Verb: "list", Resource: "nodes", Wide: true},
		{Verb: "delete", Resource: "namespaces", Name: namespace},
		{Verb: "get", Resource: "namespaces", Name: namespace},
	})
	if err != nil || len(missing) != 5 {
		t.Errorf("missing are %v, %v", missing, err)
	}
}

// What the error says to apply is applied, and then nothing is missing.
func TestEveryMissingPermissionIsSaidAtOnce(t *testing.T) {
	namespace := clustertest.Namespace(t)
	c := opened(t, access.Options{Files: []string{clustertest.KubeconfigFor(t, namespace, []access.Permission{{Verb: "get", Resource: "pods", Namespace: namespace}})}})
	wanted := []access.Permission{
		{Verb: "get", Resource: "pods"},
		{Verb: "create", Group: "apps", Resource: "deployments"},
		{Verb: "get", Resource: "pods/log"},
		{Verb: "get", Resource: "namespaces", Name: namespace},
		{Verb: "list", Resource: "nodes", Wide: true},
	}
	err := c.Require(t.Context(), wanted)
	if err == nil {
		t.Fatal("nothing is missing")
	}
	for _, says := range []string{
		"system:serviceaccount:" + namespace + ":slipway-", "create deployments.apps in " + namespace, "get pods/log in " + namespace,
		"get namespaces " + namespace + " in " + namespace, "list nodes in the whole cluster", "nothing was changed",
	} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%q does not say %q", err, says)
		}
	}
	if strings.Contains(err.Error(), "get pods in") {
		t.Errorf("%q names what is there", err)
	}
	apply(t, rbacOf(t, err, namespace))
	deadline := time.Now().Add(30 * time.Second) // rules are seen by the server after a moment
	for err = c.Require(t.Context(), wanted); err != nil && time.Now().Before(deadline); err = c.Require(t.Context(), wanted) {
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		t.Error(err)
	}
}

// ours are the names in what an error says to apply.
var ours = regexp.MustCompile(`name: slipway-[0-9a-f]{8}([,}\n])`)

// rbacOf is the YAML in the hint of an error, with names of this test's own.
func rbacOf(t *testing.T, err error, name string) string {
	t.Helper()
	_, text, found := strings.Cut(deploy.HintOf(err), ":\n")
	if !found {
		t.Fatalf("the hint is %q", deploy.HintOf(err))
	}
	return ours.ReplaceAllString(text, "name: "+name+"$1")
}

// apply brings Roles and bindings into the cluster. Those of the whole cluster end
// with the test.
func apply(t *testing.T, text string) {
	t.Helper()
	admin := clustertest.Client(t).RbacV1()
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(text), 4096)
	for {
		var raw struct {
			Kind     string          `json:"kind"`
			Metadata meta.ObjectMeta `json:"metadata"`
			Rules    []rbac.PolicyRule
			RoleRef  rbac.RoleRef
			Subjects []rbac.Subject
		}
		err := decoder.Decode(&raw)
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		switch raw.Kind {
		case "Role":
			_, err = admin.Roles(raw.Metadata.Namespace).Create(t.Context(), &rbac.Role{ObjectMeta: raw.Metadata, Rules: raw.Rules}, meta.CreateOptions{})
		case "RoleBinding":
			_, err = admin.RoleBindings(raw.Metadata.Namespace).Create(t.Context(), &rbac.RoleBinding{ObjectMeta: raw.Metadata, RoleRef: raw.RoleRef, Subjects: raw.Subjects}, meta.CreateOptions{})
		case "ClusterRole":
			t.Cleanup(func() { _ = admin.ClusterRoles().Delete(context.Background(), raw.Metadata.Name, meta.DeleteOptions{}) })
			_, err = admin.ClusterRoles().Create(t.Context(), &rbac.ClusterRole{ObjectMeta: raw.Metadata, Rules: raw.Rules}, meta.CreateOptions{})
		case "ClusterRoleBinding":
			t.Cleanup(func() {
				_ = admin.ClusterRoleBindings().Delete(context.Background(), raw.Metadata.Name, meta.DeleteOptions{})
			})
			_, err = admin.ClusterRoleBindings().Create(t.Context(), &rbac.ClusterRoleBinding{ObjectMeta: raw.Metadata, RoleRef: raw.RoleRef, Subjects: raw.Subjects}, meta.CreateOptions{})
		default:
			t.Fatalf("a %q in\n%s", raw.Kind, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func TestALoginThatIsRefused(t *testing.T) {
	path := clustertest.WriteKubeconfig(t, "default", &api.AuthInfo{Token: "secret-but-wrong"})
	_, err := access.Open(t.Context(), access.Options{Files: []string{path}})
	if err == nil || !strings.Contains(err.Error(), "refuses the login") || !strings.Contains(err.Error(), "(context test)") {
		t.Errorf("got %v", err)
	}
	if hint := deploy.HintOf(err); !strings.Contains(hint, "fixed token") || strings.Contains(err.Error()+hint, "secret-but-wrong") {
		t.Errorf("the hint is %q", hint)
	}
}

func TestAnErrorOfTheServerSaysWhatIsMissing(t *testing.T) {
	namespace := clustertest.Namespace(t)
	c := opened(t, access.Options{Files: []string{clustertest.Kubeconfig(t, namespace)}})
	_, err := client(t, c).CoreV1().Nodes().List(t.Context(), meta.ListOptions{})
	if err = c.Explain(err); !apierrors.IsForbidden(err) || !strings.Contains(deploy.HintOf(err), "docs/kubernetes-rbac.md") {
		t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
	}
	_, err = client(t, c).CoreV1().Pods(namespace).Get(t.Context(), "nobody", meta.GetOptions{})
	if !apierrors.IsNotFound(c.Explain(err)) || deploy.HintOf(c.Explain(err)) != "" {
		t.Errorf("got %v", err)
	}
}

// An API server that is away for a moment is waited for, with what was to be
// written, too.
func TestAServerThatIsAwayIsWaitedFor(t *testing.T) {
	namespace := clustertest.Namespace(t)
	config := clustertest.Config(t)
	_, behind, _ := strings.Cut(config.Host, "://")
	listener := listen(t, "127.0.0.1:0")
	address := listener.Addr().String()
	path := clustertest.Kubeconfig(t, namespace)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	stop := forward(listener, behind)
	c := opened(t, access.Options{Kubeconfig: strings.ReplaceAll(string(text), config.Host, "https://"+address)})
	// No connection is left that breaks in the middle of the question.
	below, err := rest.TransportFor(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	netutil.CloseIdleConnectionsFor(below)
	stop()

	done := make(chan error, 1)
	go func() {
		_, err := client(t, c).CoreV1().ConfigMaps(namespace).Create(t.Context(), &core.ConfigMap{ObjectMeta: meta.ObjectMeta{Name: "written"}}, meta.CreateOptions{})
		done <- err
	}()
	// Until it was tried in vain at least twice.
	for c.Requests()["create configmaps"] < 2 {
		select {
		case err := <-done:
			t.Fatalf("it did not wait: %v", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
	defer forward(listen(t, address), behind)()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := clustertest.Client(t).CoreV1().ConfigMaps(namespace).Get(t.Context(), "written", meta.GetOptions{}); err != nil {
		t.Error(err)
	}
}

func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// forward carries connections on until it is stopped, which ends them.
func forward(l net.Listener, to string) (stop func()) {
	var open []net.Conn
	opened, done := make(chan net.Conn, 64), make(chan struct{})
	go func() {
		defer close(opened)
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				_ = in.Close()
				continue
			}
			opened <- in
			opened <- out
			go func() { _, _ = io.Copy(out, in); _ = out.Close() }()
			go func() { _, _ = io.Copy(in, out); _ = in.Close() }()
		}
	}()
	go func() {
		defer close(done)
		for c := range opened {
			open = append(open, c)
		}
	}()
	return func() {
		_ = l.Close()
		<-done
		for _, c := range open {
			_ = c.Close()
		}
	}
}

func TestWarningsOfTheServerArePassedOnOnce(t *testing.T) {
	namespace := clustertest.Namespace(t)
	var said []string
	c := opened(t, access.Options{Files: []string{clustertest.Kubeconfig(t, namespace)}, Warn: func(s string) { said = append(said, s) }})
	labels := map[string]string{"app": "twice"}
	for _, name := range []string{"a", "b"} {
		_, err := client(t, c).AppsV1().Deployments(namespace).Create(t.Context(), &apps.Deployment{
			ObjectMeta: meta.ObjectMeta{Name: name},
			Spec: apps.DeploymentSpec{
				Replicas: new(int32), Selector: &meta.LabelSelector{MatchLabels: labels},
				Template: core.PodTemplateSpec{ObjectMeta: meta.ObjectMeta{Labels: labels}, Spec: core.PodSpec{Containers: []core.Container{{
					Name: "app", Image: "nothing", Env: []core.EnvVar{{Name: "A", Value: "1"}, {Name: "A", Value: "2"}},
				}}}},
			},
		}, meta.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(said) != 1 || !strings.Contains(said[0], "hides previous definition") {
		t.Errorf("said %q", said)
	}
}
