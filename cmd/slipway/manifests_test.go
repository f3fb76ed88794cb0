package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
)

// withManifests is a folder with the manifests of a user's own, beside slipway.yaml.
func withManifests(t *testing.T, folder, target, strategy string) *inKubernetes {
	t.Helper()
	k := inNamespace(t)
	if err := os.CopyFS(filepath.Join(k.dir, "deploy"), os.DirFS(filepath.Join("testdata", folder))); err != nil {
		t.Fatal(err)
	}
	k.login(t, append(access.Least(k.namespace, access.Needs{Routes: true}), access.Gateway("default", "gateway")))
	k.releases(t, fmt.Sprintf(`environments:
  production:
    target: {kubernetes: {pre-stop: 1s, %s}}
    strategy: %s
`, strings.ReplaceAll(target, "HOST", k.host), strategy))
	return k
}

// TestKubernetesChart releases a Helm chart as a user does: planned, brought in,
// split by the chart's own route, and brought back.
func TestKubernetesChart(t *testing.T) {
	t.Parallel()
	k := withManifests(t, "chart", `chart: deploy, set: ["host=HOST", "worker.enabled=true"], hooks: false, workload: hello-web`,
		"{canary: {steps: [50%, 100%], hold: 1s, errors: 100%}}")
	gateway := clustertest.Gateway(t)
	lives := func(version string) {
		t.Helper()
		for range 10 {
			if got, err := k.served(t.Context(), gateway); err != nil || !strings.HasPrefix(got, "200 hello from "+version) {
				t.Errorf("users get %q (%v), want %s", got, err, version)
			}
		}
	}
	k.use(t, "HELLO_1_0_0")
	k.ends(t, 0, []string{"hooks of the chart are not run: ", "Job/hello-migrate (pre-install, pre-upgrade, pre-rollback)", "nothing was changed"}, "plan", "--version", "1.0.0")
	k.ends(t, 0, []string{"promoted: 1.0.0"}, "release", "--version", "1.0.0")
	lives("1.0.0")
	k.ends(t, 0, []string{"unchanged"}, "release", "--version", "1.0.0")
}

// TestKubernetesKustomization releases a Kustomization, without a gateway, and goes
// back to what was before by what the cluster keeps alone. A plan ends as the release
// would that it plans.
func TestKubernetesKustomization(t *testing.T) {
	t.Parallel()
	k := withManifests(t, "kustomization", `kustomization: deploy, workload: Deployment/blue-web`, "{blue-green: {keep: 0s}}")
	k.use(t, "HELLO_1_0_0")
	k.ends(t, 0, []string{"promoted: 1.0.0"}, "release", "--version", "1.0.0")
	k.use(t, "HELLO_CRASH")
	k.ends(t, 1, []string{"cannot start: start", "nothing changed for users"}, "release", "--version", "1.3.0")
	k.use(t, "HELLO_1_1_0")
	k.planned(t)
	k.ends(t, 0, []string{"promoted: 1.1.0"}, "release", "--version", "1.1.0")
	if err := os.RemoveAll(filepath.Join(k.dir, "deploy")); err != nil {
		t.Fatal(err)
	}
	k.ends(t, 0, []string{"promoted: 1.0.0"}, "rollback", "--environment", "production")
	if live, _, _ := k.environment(t); live != "1.0.0" {
		t.Errorf("%s is live after the rollback, want 1.0.0", live)
	}
	k.ends(t, 0, nil, "drift", "production")
	k.ends(t, 2, []string{"kustomization"}, "release", "--version", "1.2.0")
}

// planned demands of plans of 1.1.0 that each reason why it would be refused is told
// once, beside all else, and that they end as the release would: for a field that
// somebody else has, and for a login that lacks a permission.
func (k *inKubernetes) planned(t *testing.T) {
	t.Helper()
	once := func(out, text string) {
		t.Helper()
		if n := strings.Count(out, text); n != 1 {
			t.Errorf("%q is told %d times:\n%s", text, n, out)
		}
	}
	edit := func(port string) {
		t.Helper()
		patch := fmt.Sprintf(`{"spec":{"template":{"spec":{"containers":[{"name":"cache","env":[{"name":"PORT","value":%q}]}]}}}}`, port)
		_, err := clustertest.Client(t).AppsV1().Deployments(k.namespace).Patch(t.Context(), "blue-cache", types.StrategicMergePatchType,
			[]byte(patch), metav1.PatchOptions{FieldManager: "kubectl-edit"})
		if err != nil {
			t.Fatal(err)
		}
	}
	edit("8087")
	out := k.ends(t, 2, []string{"would replace 1.0.0", "objects: ", "a release to production would be refused"}, "plan", "--version", "1.1.0")
	once(out, "is owned by")
	once(out, "take it over with force: true")
	once(k.ends(t, 2, nil, "release", "--version", "1.1.0"), "is owned by")
	edit("8086") // it is theirs, and as it is written

	may := slices.DeleteFunc(access.Least(k.namespace, access.Needs{}), func(p access.Permission) bool {
		return p.Resource == "deployments" && p.Verb == "delete"
	})
	env := k.env
	k.env = []string{"KUBECONFIG=" + clustertest.KubeconfigFor(t, k.namespace, may)}
	out = k.ends(t, 1, []string{"would replace 1.0.0", "objects: ", "a release to production would be refused"}, "plan", "--version", "1.1.0")
	once(out, "may not delete deployments.apps in "+k.namespace)
	once(out, "kind: RoleBinding")
	once(k.ends(t, 1, nil, "release", "--version", "1.1.0"), "may not delete deployments.apps in "+k.namespace)
	k.env = env
	k.ends(t, 0, []string{"nothing was changed"}, "plan", "--version", "1.1.0")
}
