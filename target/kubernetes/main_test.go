package kubernetes_test

import (
	"net/http"
	"testing"
	"time"

	client "k8s.io/client-go/kubernetes"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/target/kubernetes"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
)

func TestMain(m *testing.M) { clustertest.Main(m) }

// lab is a namespace of a test's own in the real cluster, and a login that may do
// there what Slipway needs and no more.
type lab struct {
	*testing.T
	kube       client.Interface
	namespace  string
	kubeconfig string
	// users reaches the gateway.
	users http.RoundTripper
}

// little is what pods of many environments at once ask for, in CPUs: by the default,
// forty of them fill a node of two processors, and the next one waits for room.
const little = "10m"

// newLab skips the test where there is no cluster.
func newLab(t *testing.T) *lab {
	t.Helper()
	l := &lab{T: t, kube: clustertest.Client(t), namespace: clustertest.Namespace(t)}
	may := access.Least(l.namespace, access.Needs{Routes: true, Policies: true, Hooks: true})
	// The gateway's ports are no secret, and not ours.
	may = append(may, access.Permission{Verb: "get", Group: "gateway.networking.k8s.io", Resource: "gateways", Namespace: "default"})
	l.kubeconfig = clustertest.KubeconfigFor(t, l.namespace, may)
	l.users = clustertest.Users(t)
	return l
}

// repository takes images that the cluster can pull.
func (l *lab) repository() string { return clustertest.Registry(l.T) + "/slipway-suite" }

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
	open, err := access.Open(t.Context(), access.Options{Files: []string{l.kubeconfig}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := kubernetes.New(t.Context(), open, kubernetes.Options{Users: l.users})
	if err != nil {
		t.Fatal(err)
	}
	return c.Target(app, env)
}
