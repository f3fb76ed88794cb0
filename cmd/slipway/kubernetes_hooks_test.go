package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
)

// hooked is a slipway.yaml with a chart whose hooks go as the words say.
func (k *inKubernetes) hooked(t *testing.T, migration, reindex string) {
	t.Helper()
	k.releases(t, fmt.Sprintf(`environments:
  production:
    target:
      kubernetes:
        pre-stop: 1s
        chart: deploy
        set: ["host=%s", "worker.enabled=false", "migration=%s", "reindex=%s"]
        hook-timeout: 3m
    strategy: {blue-green: {keep: 0s}}
`, k.host, migration, reindex))
}

// TestKubernetesHooks releases a chart whose hooks work, fail, and are under way when
// the run is killed, and goes back to what was before.
func TestKubernetesHooks(t *testing.T) {
	t.Parallel()
	k := withManifests(t, "chart", "chart: deploy", "{blue-green: {keep: 0s}}")
	gateway := clustertest.Gateway(t)
	serves := func(version string) {
		t.Helper()
		for range 5 {
			if got, err := k.served(t.Context(), gateway); err != nil || !strings.HasPrefix(got, "200 hello from "+version) {
				t.Errorf("users get %q (%v), want %s", got, err, version)
			}
		}
	}

	k.use(t, "HELLO_1_0_0")
	k.hooked(t, "0s", "0s")
	k.ends(t, 1, []string{"may not", "create jobs.batch in " + k.namespace}, "release", "--version", "1.0.0")
	may := append(access.Least(k.namespace, access.Needs{Routes: true, Hooks: true}), access.Gateway("default", "gateway"))
	k.env = []string{"KUBECONFIG=" + clustertest.KubeconfigFor(t, k.namespace, may)}
	k.ends(t, 0, []string{
		"before anything starts, the task ConfigMap/hello-work: the chart's hook pre-install",
		"before anything starts, the task Job/hello-migrate: the chart's hook pre-install, for 3m0s at most",
		"once it is live for good, the task Pod/hello-reindex: the chart's hook post-install", "what helm test runs is not run: Pod/hello-test",
	}, "plan", "--version", "1.0.0")
	k.ends(t, 0, []string{
		"│ ConfigMap " + k.namespace + "/hello-work created", "│ hello 1.0.0: migrate: begins with ***", "│ hello 1.0.0: migrate: done",
		"│ hello 1.0.0: reindex: done", "promoted: 1.0.0",
	}, "release", "--version", "1.0.0")
	serves("1.0.0")
	k.haveJobs(t, " hello-reindex") // the other goes when it has succeeded
	k.ends(t, 0, []string{"unchanged"}, "release", "--version", "1.0.0")
	k.ends(t, 0, nil, "drift", "production")

	k.use(t, "HELLO_1_1_0")
	k.hooked(t, "fail", "0s")
	k.ends(t, 1, []string{"the task Job/hello-migrate of 1.1.0", "exited with code 3", "migrate: no such table", "nothing changed for users"},
		"release", "--version", "1.1.0")
	serves("1.0.0")

	k.hooked(t, "20s", "fail")
	k.killed(t, " hello-migrate", "release", "--version", "1.1.0")
	serves("1.0.0")
	k.ends(t, 1, []string{
		"they are taken up where they are", "it is waited for, not run again", "hello 1.1.0: migrate: done",
		"promoted: 1.1.0", "is live, and the task Pod/hello-reindex of 1.1.0", "exited with code 3",
	}, "release", "--version", "1.1.0")
	serves("1.1.0")

	k.ends(t, 0, []string{"the chart's hook pre-rollback", "hello 1.0.0: migrate: done", "promoted: 1.0.0"}, "rollback", "--environment", "production")
	serves("1.0.0")
	k.haveJobs(t) // those of what it replaced are gone
}
