package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	coordination "k8s.io/api/coordination/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
)

// TestKubernetesDrift finds what somebody has changed in a real cluster since a release, tells
// it to people, programs and a runner, and puts it back.
func TestKubernetesDrift(t *testing.T) {
	t.Parallel()
	k := newInKubernetes(t)
	k.releases(t, `service: {port: 8080, health: /healthz, replicas: 1, start-timeout: 3m, drain: 1s, env: {HOST: 0.0.0.0}}
environments:
  local: {target: sandbox}
  production:
    target: {kubernetes: {pre-stop: 1s}}
    strategy: blue-green
`)
	k.use(t, "HELLO_1_0_0")
	k.ends(t, 0, []string{"hello is as it was released in production", "local cannot drift"}, "drift")
	k.ends(t, 2, []string{"local cannot drift"}, "drift", "local", "production")
	k.ends(t, 0, []string{"promoted: 1.0.0"}, "release", "--version", "1.0.0", "--environment", "production")
	k.ends(t, 0, []string{"it is as it was released"}, "drift", "production")

	services := clustertest.Client(t).CoreV1().Services(k.namespace)
	patch := []byte(`{"spec":{"selector":{"slipway.dev/revision":"none"}}}`)
	if _, err := services.Patch(t.Context(), "hello-production", types.MergePatchType, patch, meta.PatchOptions{FieldManager: "kubectl-edit"}); err != nil {
		t.Fatal(err)
	}
	k.ends(t, 4, []string{`.spec.selector.slipway.dev/revision was changed by "kubectl-edit" (Update, `, `is now "none"`, "slipway drift --repair"}, "drift", "production")
	k.driftAsJSON(t)
	k.driftOnARunner(t)
	k.refusedWhileHeld(t)

	k.ends(t, 0, []string{"1 difference put back in production"}, "drift", "--repair", "production", "--reason", "somebody has typed")
	s, err := services.Get(t.Context(), "hello-production", meta.GetOptions{})
	if err != nil || s.Spec.Selector["slipway.dev/revision"] == "none" {
		t.Errorf("it leads to %v (%v)", s.Spec.Selector, err)
	}
	k.ends(t, 0, []string{"unchanged"}, "drift", "--repair", "production")
	if left, err := os.ReadDir(k.home); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v on this machine (%v)", left, err)
	}
}

func (k *inKubernetes) driftAsJSON(t *testing.T) {
	t.Helper()
	out, err := k.command("drift", "--json").Output()
	var said struct {
		App          string
		Environments []struct {
			Name     string
			Repaired bool
			Found    []map[string]any
			Error    string
		}
	}
	if wrong := json.Unmarshal(out, &said); wrong != nil || err == nil || len(said.Environments) != 1 {
		t.Fatalf("%v, %v: %s", wrong, err, out)
	}
	e := said.Environments[0]
	if said.App != "hello" || e.Name != "production" || e.Repaired || e.Error != "" || len(e.Found) != 1 {
		t.Fatalf("%s", out)
	}
	found := e.Found[0]
	if found["object"] != "Service "+k.namespace+"/hello-production" || found["change"] != "changed" ||
		found["manager"] != "kubectl-edit" || found["live"] != `"none"` || found["at"] == nil {
		t.Errorf("%s", out)
	}
}

func (k *inKubernetes) driftOnARunner(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	outputs, summary := filepath.Join(dir, "outputs"), filepath.Join(dir, "summary")
	cmd := k.command("auto")
	cmd.Env = append(cmd.Env, "GITHUB_ACTIONS=true", "GITHUB_OUTPUT="+outputs, "GITHUB_STEP_SUMMARY="+summary,
		"INPUT_COMMAND=drift", "INPUT_ENVIRONMENT=production", "INPUT_REPORT=drift.json")
	out, _ := cmd.CombinedOutput()
	if code := cmd.ProcessState.ExitCode(); code != 4 {
		t.Fatalf("exit code %d\n%s", code, out)
	}
	for path, says := range map[string][]string{
		outputs:                            {"drift<<", "\n1\n", "outcome<<", "\nheld\n"},
		summary:                            {"1 difference from what was released in production", "| Service ", "kubectl-edit"},
		filepath.Join(k.dir, "drift.json"): {`"drift": {`, `"manager": "kubectl-edit"`, `"outcome": "held"`},
	} {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		for _, text := range says {
			if !strings.Contains(string(content), text) {
				t.Errorf("%s does not say %q:\n%s", filepath.Base(path), text, content)
			}
		}
	}
	if !strings.Contains(string(out), "::warning") {
		t.Errorf("it annotates nothing:\n%s", out)
	}
}

// refusedWhileHeld lets another run hold the environment, for longer than any that
// would be waited for.
func (k *inKubernetes) refusedWhileHeld(t *testing.T) {
	t.Helper()
	now := time.Now().UTC()
	text, err := json.Marshal(deploy.Lock{
		Owner: deploy.Owner{Run: "another", Who: "octocat", Reason: "release 1.1.0", URL: "https://github.com/acme/hello/actions/runs/7"}, Since: now, Expires: now.Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	leases := clustertest.Client(t).CoordinationV1().Leases(k.namespace)
	_, err = leases.Create(t.Context(), &coordination.Lease{ObjectMeta: meta.ObjectMeta{
		Name: "hello-production", Annotations: map[string]string{"slipway.dev/hold": string(text)},
		Labels: map[string]string{"slipway.dev/app": "hello", "app.kubernetes.io/name": "hello", "slipway.dev/environment": "production", "app.kubernetes.io/managed-by": "slipway"},
	}}, meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	k.ends(t, 1, []string{"a release is under way", "octocat (release 1.1.0)", "actions/runs/7"}, "drift", "production")
	k.ends(t, 1, []string{"held by octocat (release 1.1.0)", "actions/runs/7"}, "drift", "production", "--repair")
	if err := leases.Delete(t.Context(), "hello-production", meta.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
}
