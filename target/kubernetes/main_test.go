package kubernetes_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	client "k8s.io/client-go/kubernetes"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
)

// Where the real parts are: a kubeconfig, a registry that the cluster pulls
// from, and the address at which its gateway listens on this machine.
const (
	envKubeconfig = "KUBECONFIG"
	envRegistry   = "REGISTRY"
	envGateway    = "GATEWAY"
	// envRequired makes a missing cluster a failure.
	envRequired = "SLIPWAY_REQUIRE_KUBERNETES"
)

// unreachable is why there is no cluster; empty where there is one.
var unreachable string

func TestMain(m *testing.M) {
	if unreachable = missing(); unreachable != "" {
		fmt.Printf("without a cluster, nothing of target/kubernetes is tried for real: %s\n", unreachable)
		if os.Getenv(envRequired) == "1" {
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

func missing() string {
	for _, name := range []string{envKubeconfig, envRegistry, envGateway} {
		if os.Getenv(name) == "" {
			return name + " is not set"
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if _, err := access.Open(ctx, options("")); err != nil {
		return err.Error()
	}
	return ""
}

func options(namespace string) access.Options {
	return access.Options{Files: access.Files(os.Getenv(envKubeconfig)), Namespace: namespace}
}

// lab is a namespace of a test's own in the real cluster.
type lab struct {
	*testing.T
	cluster   *access.Cluster
	kube      client.Interface
	namespace string
	// users reaches the gateway.
	users http.RoundTripper
}

// newLab makes a namespace and removes it with all that is in it.
func newLab(t *testing.T) *lab {
	t.Helper()
	if unreachable != "" {
		t.Skip(unreachable)
	}
	c, err := access.Open(t.Context(), options(""))
	if err != nil {
		t.Fatal(err)
	}
	kube, err := client.NewForConfig(c.Config)
	if err != nil {
		t.Fatal(err)
	}
	n, err := kube.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "kube-core-"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := kube.CoreV1().Namespaces().Delete(ctx, n.Name, metav1.DeleteOptions{}); err != nil {
			t.Errorf("remove the namespace: %v", err)
		}
	})
	return &lab{T: t, cluster: c, kube: kube, namespace: n.Name, users: transport()}
}

// repository takes images that the cluster can pull.
func (*lab) repository() string { return os.Getenv(envRegistry) + "/kube-core" }

// place is how environments of the lab are brought about: behind the gateway.
func (l *lab) place() deploy.Cluster {
	return deploy.Cluster{
		Namespace: l.namespace, PreStop: time.Second,
		Gateway: &deploy.Gateway{Name: "gateway", Namespace: "default", Host: "{environment}." + l.namespace + ".localhost"},
	}
}

// target is an environment as a process of its own would have it.
func (l *lab) target(t *testing.T, app string, env deploy.Environment) *kubernetes.Target {
	t.Helper()
	if env.Target.Kind == "" {
		env.Target = deploy.TargetSpec{Kind: "kubernetes", Cluster: l.place()}
	}
	c, err := kubernetes.New(t.Context(), l.cluster, kubernetes.Options{Users: l.users})
	if err != nil {
		t.Fatal(err)
	}
	return c.Target(app, env)
}

// transport reaches every host of the gateway where that listens, and addresses
// on this machine as they are.
func transport() http.RoundTripper {
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	return &http.Transport{
		MaxIdleConnsPerHost: 32,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			if net.ParseIP(host) == nil {
				address = os.Getenv(envGateway)
			}
			return dialer.DialContext(ctx, network, address)
		},
	}
}
