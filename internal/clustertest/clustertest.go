// Package clustertest lends tests a real Kubernetes cluster: a namespace of their
// own, a login that may do what Slipway needs and no more, images in a registry
// that the cluster pulls from.
//
// The cluster is the one that KUBECONFIG names, as an administrator, and REGISTRY
// says where it pulls from, host:port; without both a test is skipped, so that
// nobody's own cluster is taken for one to test with. With
// SLIPWAY_REQUIRE_KUBERNETES set, it fails. GATEWAY is the address of a gateway
// named "gateway" in the namespace "default".
package clustertest

import (
	"context"
	"errors"
	"flag"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	authentication "k8s.io/api/authentication/v1"
	core "k8s.io/api/core/v1"
	rbac "k8s.io/api/rbac/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/slipway-ci/slipway/target/kubernetes/access"
)

// patience bounds each call of this package.
const patience = 60 * time.Second

// atOnce is how many tests of a cluster run at the same time: they mostly wait for
// it, so that the number of processors says nothing of it.
const atOnce = "6"

// Main runs the tests of a package that mostly wait for the cluster, more of them
// at the same time than there are processors, unless -parallel says how many. It
// is for TestMain, and does not return. Pods of many environments at once should ask
// for little CPU: forty that ask for what Slipway asks for by default fill a node of
// two processors.
func Main(m *testing.M) {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given && flag.Set("test.parallel", atOnce) != nil {
		os.Exit(2) // there is no such flag any more
	}
	os.Exit(m.Run())
}

// admin is the login of the administrator, found once in a process.
var admin = sync.OnceValues(func() (*access.Cluster, error) {
	path := os.Getenv("KUBECONFIG")
	if path == "" || os.Getenv("REGISTRY") == "" {
		return nil, errors.New("KUBECONFIG and REGISTRY do not name one")
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return access.Open(ctx, access.Options{Files: access.Files(path)})
})

// Config is the administrator's, for what a test arranges. Where there is no
// cluster, the test ends here.
func Config(t testing.TB) *rest.Config {
	t.Helper()
	c, err := admin()
	switch {
	case err == nil:
		return rest.CopyConfig(c.Config)
	case os.Getenv("SLIPWAY_REQUIRE_KUBERNETES") != "":
		t.Fatalf("no cluster: %v", err)
	default:
		t.Skipf("no cluster: %v", err)
	}
	return nil
}

// Client is the administrator's.
func Client(t testing.TB) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(Config(t))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// Namespace makes one for this test, which ends with it. Its name begins with that
// of the test.
func Namespace(t testing.TB) string {
	t.Helper()
	client := Client(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	made, err := client.CoreV1().Namespaces().Create(ctx, &core.Namespace{ObjectMeta: meta.ObjectMeta{
		GenerateName: label(t.Name()) + "-", Labels: map[string]string{"slipway-test": "true"},
	}}, meta.CreateOptions{})
	if err != nil {
		t.Fatalf("make a namespace: %v", err)
	}
	t.Cleanup(func() { RemoveNamespace(t, made.Name) })
	return made.Name
}

// RemoveNamespace begins to remove a namespace; one that is not there is fine. The
// cluster finishes by itself.
func RemoveNamespace(t testing.TB, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
	defer cancel()
	now := int64(0)
	err := Client(t).CoreV1().Namespaces().Delete(ctx, name, meta.DeleteOptions{GracePeriodSeconds: &now})
	if err != nil && !strings.Contains(err.Error(), "not found") {
		t.Errorf("remove the namespace %s: %v", name, err)
	}
}

// label is a name that a cluster takes, with room for what makes it unique.
func label(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, s)
	return strings.Trim("t-"+s[:min(len(s), 40)], "-")
}

// Kubeconfig makes an account in the namespace that may do what Slipway needs
// there, by access.Least, and no more. It gives the path of a kubeconfig for it,
// whose context is "test" and whose namespace is this one.
func Kubeconfig(t testing.TB, namespace string) string {
	t.Helper()
	return KubeconfigFor(t, namespace, access.Least(namespace, access.Needs{Routes: true, Scaling: true, Policies: true, Hooks: true}))
}

// KubeconfigFor is Kubeconfig with permissions of the test's choice.
func KubeconfigFor(t testing.TB, namespace string, may []access.Permission) string {
	t.Helper()
	account := Account(t, namespace, may)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	hours := int64(3600)
	token, err := Client(t).CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account,
		&authentication.TokenRequest{Spec: authentication.TokenRequestSpec{ExpirationSeconds: &hours}}, meta.CreateOptions{})
	if err != nil {
		t.Fatalf("make a token: %v", err)
	}
	return WriteKubeconfig(t, namespace, &api.AuthInfo{Token: token.Status.Token})
}

// Account makes an account in the namespace with permissions of the test's choice,
// and gives its name: what a pod of the test may run as.
func Account(t testing.TB, namespace string, may []access.Permission) string {
	t.Helper()
	client := Client(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	account, err := client.CoreV1().ServiceAccounts(namespace).Create(ctx, &core.ServiceAccount{ObjectMeta: meta.ObjectMeta{GenerateName: "slipway-"}}, meta.CreateOptions{})
	if err != nil {
		t.Fatalf("make an account: %v", err)
	}
	if err := grant(ctx, t, client, account, may); err != nil {
		t.Fatalf("grant it what Slipway needs: %v", err)
	}
	return account.Name
}

// WriteKubeconfig is a kubeconfig for the cluster with another login.
func WriteKubeconfig(t testing.TB, namespace string, login *api.AuthInfo) string {
	t.Helper()
	config := Config(t)
	authority := config.CAData
	if len(authority) == 0 && config.CAFile != "" {
		var err error
		if authority, err = os.ReadFile(config.CAFile); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	err := clientcmd.WriteToFile(api.Config{
		Clusters:       map[string]*api.Cluster{"test": {Server: config.Host, CertificateAuthorityData: authority}},
		AuthInfos:      map[string]*api.AuthInfo{"test": login},
		Contexts:       map[string]*api.Context{"test": {Cluster: "test", AuthInfo: "test", Namespace: namespace}},
		CurrentContext: "test",
	}, path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// grant binds the permissions to the account: those of namespaces by a Role in
// each, those of the whole cluster by a ClusterRole that ends with the test.
func grant(ctx context.Context, t testing.TB, client kubernetes.Interface, account *core.ServiceAccount, may []access.Permission) error {
	t.Helper()
	subject := rbac.Subject{Kind: "ServiceAccount", Name: account.Name, Namespace: account.Namespace}
	named := meta.ObjectMeta{Name: account.Namespace + "-" + account.Name}
	for place, rules := range access.Rules(may) {
		if place == "" {
			if err := grantWide(ctx, t, client, named, subject, rules); err != nil {
				return err
			}
			continue
		}
		if _, err := client.RbacV1().Roles(place).Create(ctx, &rbac.Role{ObjectMeta: named, Rules: rules}, meta.CreateOptions{}); err != nil {
			return err
		}
		_, err := client.RbacV1().RoleBindings(place).Create(ctx, &rbac.RoleBinding{
			ObjectMeta: named, Subjects: []rbac.Subject{subject},
			RoleRef: rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "Role", Name: named.Name},
		}, meta.CreateOptions{})
		if err != nil {
			return err
		}
	}
	return nil
}

func grantWide(ctx context.Context, t testing.TB, client kubernetes.Interface, named meta.ObjectMeta, subject rbac.Subject, rules []rbac.PolicyRule) error {
	t.Helper()
	if _, err := client.RbacV1().ClusterRoles().Create(ctx, &rbac.ClusterRole{ObjectMeta: named, Rules: rules}, meta.CreateOptions{}); err != nil {
		return err
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = client.RbacV1().ClusterRoleBindings().Delete(ctx, named.Name, meta.DeleteOptions{})
		_ = client.RbacV1().ClusterRoles().Delete(ctx, named.Name, meta.DeleteOptions{})
	})
	_, err := client.RbacV1().ClusterRoleBindings().Create(ctx, &rbac.ClusterRoleBinding{
		ObjectMeta: named, Subjects: []rbac.Subject{subject},
		RoleRef: rbac.RoleRef{APIGroup: rbac.GroupName, Kind: "ClusterRole", Name: named.Name},
	}, meta.CreateOptions{})
	return err
}

// PushImage brings an image to the registry that the cluster pulls from, and gives
// its reference by digest.
func PushImage(t testing.TB, image v1.Image) string {
	t.Helper()
	Config(t)
	digest, err := image.Digest()
	if err != nil {
		t.Fatal(err)
	}
	reference, err := name.NewDigest(Registry(t)+"/slipway-test@"+digest.String(), name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := remote.Write(reference, image, remote.WithContext(ctx)); err != nil {
		t.Fatalf("push to %s: %v", reference.Context(), err)
	}
	return reference.String()
}

// Registry is the address of the registry that the cluster pulls from, host:port.
func Registry(t testing.TB) string {
	t.Helper()
	return variable(t, "REGISTRY")
}

// Gateway is the address of the gateway, host:port.
func Gateway(t testing.TB) string {
	t.Helper()
	return variable(t, "GATEWAY")
}

// GatewayMetrics is where the gateway counts, as a URL that a Prometheus scrapes.
func GatewayMetrics(t testing.TB) string {
	t.Helper()
	return variable(t, "GATEWAY_METRICS")
}

// Users reaches every host of the gateway where that listens, as users do, and
// addresses on this machine as they are.
func Users(t testing.TB) *http.Transport {
	t.Helper()
	gateway, dialer := Gateway(t), &net.Dialer{Timeout: 10 * time.Second}
	return &http.Transport{
		MaxIdleConnsPerHost: 32,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			host, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			if net.ParseIP(host) == nil {
				address = gateway
			}
			return dialer.DialContext(ctx, network, address)
		},
	}
}

func variable(t testing.TB, name string) string {
	t.Helper()
	Config(t)
	value := os.Getenv(name)
	if value == "" {
		t.Fatalf("%s is not set: the cluster's own env says it", name)
	}
	return value
}
