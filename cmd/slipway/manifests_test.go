package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
// back to what was before by what the cluster keeps alone.
func TestKubernetesKustomization(t *testing.T) {
	t.Parallel()
	k := withManifests(t, "kustomization", `kustomization: deploy, workload: Deployment/blue-web`, "{blue-green: {keep: 0s}}")
	k.use(t, "HELLO_1_0_0")
	k.ends(t, 0, []string{"promoted: 1.0.0"}, "release", "--version", "1.0.0")
	k.use(t, "HELLO_CRASH")
	k.ends(t, 1, []string{"cannot start: start", "nothing changed for users"}, "release", "--version", "1.3.0")
	k.use(t, "HELLO_1_1_0")
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
