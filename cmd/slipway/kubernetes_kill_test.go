package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/internal/workshop"
	"github.com/slipway-ci/slipway/target/kubernetes"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
)

// walksInClusters are as walks. What the sandbox tries at each moment is tried
// here where a target may tell the difference: a cluster takes seconds for each.
var walksInClusters = map[string][]moment{
	"{canary: {steps: [50%, 100%], hold: 1s}}": {{deploy.PhaseStarting, 1}, {deploy.PhaseHolding, 2}, {deploy.PhasePromoting, 3}},
	"{blue-green: {keep: 1s}}":                 {{deploy.PhaseHolding, 2}, {deploy.PhasePromoting, 2}},
	"{rolling: {batch: 1, hold: 1s}}":          {{deploy.PhaseHolding, 2}, {deploy.PhaseHolding, 3}},
	"{recreate: {hold: 1s}}":                   {{deploy.PhaseShifting, 1}, {deploy.PhaseHolding, 1}},
}

// newSceneInKubernetes is newScene in a real cluster, behind a real gateway.
func newSceneInKubernetes(t *testing.T, strategy string) *inKubernetes {
	t.Helper()
	k := inNamespace(t)
	k.login(t, append(access.Least(k.namespace, access.Needs{Routes: true}), access.Gateway("default", "gateway")))
	k.releases(t, fmt.Sprintf(`service: {port: 8080, health: /healthz, replicas: 2, start-timeout: 3m, drain: 1s, env: {HOST: 0.0.0.0}}
judge: {on-unknown: promote}
environments:
  production:
    target: {kubernetes: {cpu: 10m, pre-stop: 2s, gateway: {name: gateway, namespace: default, host: %s}}}
    strategy: %s
`, k.host, strategy))
	k.use(t, "HELLO_1_0_0")
	k.must(t, "release", "--version", "1.0.0")
	open, err := access.Open(t.Context(), access.Options{Files: []string{k.kubeconfig}})
	if err != nil {
		t.Fatal(err)
	}
	c, err := kubernetes.New(t.Context(), open, kubernetes.Options{Users: clustertest.Users(t)})
	if err != nil {
		t.Fatal(err)
	}
	k.target = c.Target("hello", deploy.Environment{Name: "production", Target: deploy.TargetSpec{Kind: "kubernetes", Cluster: deploy.Cluster{
		Namespace: k.namespace, Gateway: &deploy.Gateway{Name: "gateway", Namespace: "default", Host: k.host},
	}}})
	return k
}

// TestKubernetesKillAndSettle kills a release to a real cluster with SIGKILL in
// stages of every strategy while users send requests. Settle waits for the hold of
// the dead run and leaves one whole version, and no user has noticed (but for
// recreate, which has a downtime).
func TestKubernetesKillAndSettle(t *testing.T) {
	for strategy, moments := range walksInClusters {
		name, _, _ := strings.Cut(strings.TrimPrefix(strategy, "{"), ":")
		for _, m := range moments {
			t.Run(name+"/"+m.String(), func(t *testing.T) {
				t.Parallel() // each waits for the hold of its own dead run
				killInCluster(t, strategy, m, name != "recreate")
			})
		}
	}
}

func killInCluster(t *testing.T, strategy string, m moment, seamless bool) {
	t.Helper()
	s := newSceneInKubernetes(t, strategy)
	users := workshop.SendBy(clustertest.Users(t), s.state(t).URL, 50)
	t.Cleanup(func() { users.End() })
	for end := time.Now().Add(patience); users.Count().Answered["1.0.0"] < 10; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("nobody is answered: %+v", users.Count())
		}
	}
	s.use(t, "HELLO_1_1_0")
	left := s.killAt(t, m)
	s.must(t, "settle")
	want := "1.0.0"
	if left == deploy.PhasePromoting {
		want = "1.1.0"
	}
	s.whole(t, want)
	count := users.End()
	t.Logf("%d of %d requests were lost", count.Failed(), count.Sent)
	if seamless && count.Failed() > 0 {
		t.Errorf("%d requests failed, and %d were lost, such as %s", count.Failed(), count.Lost, count.FirstLost)
	}
	all, err := clustertest.Client(t).AppsV1().Deployments(s.namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(all.Items) != 1 {
		t.Errorf("%d Deployments are left: %v", len(all.Items), err)
	}
}
