package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/plumbing/object"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	gvr "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/internal/workshop"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
)

// byReplicas is an environment without a gateway, with the strategy in it. A caller's
// connection stays with its pod, and a gateway asks a quick app by one or two that it
// keeps: with these, it could be that nobody meets a canary.
const byReplicas = `service: {port: 8080, health: /healthz, replicas: 3, drain: 1s, env: {HOST: 0.0.0.0, KEEP_ALIVE: off}}
judge:
  on-unknown: promote
  metrics: [{name: memory, kubernetes: memory, kubelets: true, every: 1s, ratio: 1.5, for: 2s}]
environments:
  preview: {target: {kubernetes: {pre-stop: 1s}}, ttl: 1h, service: {replicas: 1}}
  production:
    target: {kubernetes: {pre-stop: 2s}}
    strategy: STRATEGY
`

// newByReplicas is a folder with that file, and a login that may touch no route.
func newByReplicas(t *testing.T) *inKubernetes {
	t.Helper()
	k := inNamespace(t)
	k.login(t, append(access.Least(k.namespace, access.Needs{Shares: true}), access.Kubelets()))
	return k
}

func (k *inKubernetes) strategy(t *testing.T, strategy string) {
	t.Helper()
	k.releases(t, strings.ReplaceAll(byReplicas, "STRATEGY", strategy))
}

// callers come to the environment's Service as others in the cluster do: by its own
// address, which the node's proxy leads to one of its pods. They stand outside, behind
// a route of the test's own, which Slipway knows nothing of.
func (k *inKubernetes) callers(t *testing.T) *workshop.Users {
	t.Helper()
	api, err := dynamic.NewForConfig(clustertest.Config(t))
	if err != nil {
		t.Fatal(err)
	}
	// By this, the gateway goes to the Service and not to its endpoints.
	_, err = clustertest.Client(t).CoreV1().Services(k.namespace).Patch(t.Context(), "hello-production", types.MergePatchType,
		[]byte(`{"metadata":{"annotations":{"traefik.io/service.nativelb":"true"}}}`), metav1.PatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	routes := gvr.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}
	_, err = api.Resource(routes).Namespace(k.namespace).Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": map[string]any{"name": "callers"},
		"spec": map[string]any{
			"parentRefs": []any{map[string]any{"name": "gateway", "namespace": "default"}},
			"hostnames":  []any{k.host},
			"rules":      []any{map[string]any{"backendRefs": []any{map[string]any{"name": "hello-production", "port": int64(80)}}}},
		},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	gateway := clustertest.Gateway(t)
	for end := time.Now().Add(patience); ; time.Sleep(100 * time.Millisecond) {
		got, err := k.served(t.Context(), gateway)
		if err == nil && strings.HasPrefix(got, "200 ") {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("callers get %q, %v", got, err)
		}
	}
	u := workshop.SendBy(clustertest.Users(t), "http://"+k.host, 40)
	t.Cleanup(func() { u.End() })
	return u
}

// commit makes a repository of the folder, with all that is in it.
func (k *inKubernetes) commit(t *testing.T) {
	t.Helper()
	repo, err := git.PlainInit(k.dir, false)
	if err != nil {
		t.Fatal(err)
	}
	tree, err := repo.Worktree()
	if err == nil {
		err = tree.AddGlob(".")
	}
	if err == nil {
		who := &object.Signature{Name: "Tester", Email: "tester@example.com", When: time.Now()}
		_, err = tree.Commit("change", &git.CommitOptions{Author: who, Committer: who})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestKubernetesByReplicas releases without a gateway as a user does, while somebody
// in the cluster calls the Service all the time: a canary and a rolling, one that
// fails, one that is taken back, a way back by hand, and a preview. No call is lost.
func TestKubernetesByReplicas(t *testing.T) {
	t.Parallel()
	k := newByReplicas(t)
	lives := func(version string) {
		t.Helper()
		if live, _, share := k.environment(t); live != version || share != 0 {
			t.Errorf("%s is live and %v%% have another, want %s for all", live, share, version)
		}
	}
	k.strategy(t, "{canary: {steps: [10%, 100%], hold: 2s}}")
	k.use(t, "HELLO_1_0_0")
	k.ends(t, 0, []string{"promoted: 1.0.0"}, "release", "--version", "1.0.0")
	lives("1.0.0")
	callers := k.callers(t)

	k.use(t, "HELLO_1_1_0")
	k.ends(t, 0, []string{"10% is 25% here: 1 of 4 replicas that serve", "replicas: 9 or a gateway make it 10%", "nothing was changed"}, "plan", "--version", "1.1.0")
	k.ends(t, 0, []string{"promoted: 1.1.0"}, "release", "--version", "1.1.0")
	lives("1.1.0")

	k.use(t, "HELLO_CRASH")
	k.ends(t, 1, []string{"cannot start: start", "nothing changed for users"}, "release", "--version", "1.3.0")
	lives("1.1.0")

	k.strategy(t, "{canary: {steps: [50%, 100%], hold: 10m}}")
	k.use(t, "HELLO_LEAK")
	k.ends(t, 3, []string{"memory ", "the limit is 1.5 times as much"}, "release", "--version", "1.5.0")
	lives("1.1.0")

	k.strategy(t, "{rolling: {batch: 1, hold: 1s}}")
	k.ends(t, 0, []string{"promoted: 1.0.0"}, "rollback", "--environment", "production", "--to", "1.0.0")
	lives("1.0.0")

	k.use(t, "HELLO_1_1_0")
	k.commit(t)
	k.ends(t, 0, []string{"promoted: "}, "preview", "--pull-request", "12")
	pods := func(environment string) int {
		list, err := clustertest.Client(t).CoreV1().Pods(k.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "slipway.dev/environment=" + environment})
		if err != nil {
			t.Fatal(err)
		}
		return len(list.Items)
	}
	if n := pods("pr-12"); n != 1 {
		t.Errorf("the preview has %d pods", n)
	}
	k.ends(t, 0, nil, "preview", "--pull-request", "12", "--close")
	if p, n := pods("pr-12"), pods("production"); p != 0 || n != 3 {
		t.Errorf("the preview is closed and has %d pods, production has %d", p, n)
	}

	count := callers.End()
	t.Logf("%d calls: %v", count.Sent, count.Answered)
	if count.Failed() > 0 {
		t.Errorf("%d of %d calls failed, and %d were lost, such as %s", count.Failed(), count.Sent, count.Lost, count.FirstLost)
	}
	for _, version := range []string{"1.0.0", "1.1.0"} {
		if count.Answered[version] == 0 {
			t.Errorf("nobody met %s: %v", version, fmt.Sprint(count.Answered))
		}
	}
}
