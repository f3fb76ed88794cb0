package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	apischema "k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
)

// ofRollouts are what the manifests in testdata/rollout are made of, and may be
// looked at.
var ofRollouts = apischema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts"}

// withRollout is a folder with a Rollout and what belongs to it, in a namespace where
// the real controller is at work.
type withRollout struct {
	*inKubernetes
	admin dynamic.Interface
}

func newWithRollout(t *testing.T) *withRollout {
	t.Helper()
	k := &withRollout{inKubernetes: inNamespace(t)}
	clustertest.Rollouts(t, k.namespace)
	var err error
	if k.admin, err = dynamic.NewForConfig(clustertest.Config(t)); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(k.dir, "deploy"), os.DirFS(filepath.Join("testdata", "rollout"))); err != nil {
		t.Fatal(err)
	}
	may := access.DrivenSet(k.namespace)
	may = append(may, access.Applied("", "services", k.namespace)...)
	may = append(may, access.Applied("networking.k8s.io", "ingresses", k.namespace)...)
	k.login(t, may)
	k.releases(t, `judge: {on-unknown: promote}
environments:
  production:
    target: {kubernetes: {manifests: deploy}}
    strategy: {canary: {hold: 1s}}
`)
	return k
}

// object is one of the namespace, as it is.
func (k *withRollout) object(t *testing.T, resource apischema.GroupVersionResource, name string) *unstructured.Unstructured {
	t.Helper()
	o, err := k.admin.Resource(resource).Namespace(k.namespace).Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// edit changes the Rollout by hand.
func (k *withRollout) edit(t *testing.T, kind types.PatchType, patch string) {
	t.Helper()
	_, err := k.admin.Resource(ofRollouts).Namespace(k.namespace).
		Patch(t.Context(), "web", kind, []byte(patch), metav1.PatchOptions{FieldManager: "somebody"})
	if err != nil {
		t.Fatal(err)
	}
}

// change writes a text in a file of the manifests in place of another.
func (k *withRollout) change(t *testing.T, file, old, now string) {
	t.Helper()
	path := filepath.Join(k.dir, "deploy", file)
	text, err := os.ReadFile(path)
	if err != nil || !strings.Contains(string(text), old) {
		t.Fatalf("%s has no %q: %v", file, old, err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), old, now)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// lives demands that all users have a version, that the Rollout is at rest with it,
// and that its pods read the settings of that version.
func (k *withRollout) lives(t *testing.T, version, greeting string) {
	t.Helper()
	if live, _, share := k.environment(t); live != version || share != 0 {
		t.Errorf("%s is live and %v%% have another, want %s for all", live, share, version)
	}
	o := k.object(t, ofRollouts, "web")
	phase, _, _ := unstructured.NestedString(o.Object, "status", "phase")
	current, _, _ := unstructured.NestedString(o.Object, "status", "currentPodHash")
	stable, _, _ := unstructured.NestedString(o.Object, "status", "stableRS")
	if phase != "Healthy" || current != stable {
		t.Errorf("the Rollout is %s, and %s of %s is stable", phase, stable, current)
	}
	core := apischema.GroupVersionResource{Version: "v1", Resource: "services"}
	if hash, _, _ := unstructured.NestedString(k.object(t, core, "web").Object, "spec", "selector", "rollouts-pod-template-hash"); hash != stable {
		t.Errorf("the Service leads to %q, not to %q", hash, stable)
	}
	containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
	from, _, _ := unstructured.NestedSlice(containers[0].(map[string]any), "envFrom")
	settings, _, _ := unstructured.NestedString(from[0].(map[string]any), "configMapRef", "name")
	read := k.object(t, apischema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, settings)
	if got, _, _ := unstructured.NestedString(read.Object, "data", "GREETING"); got != greeting {
		t.Errorf("its pods read %q from %s, want %q", got, settings, greeting)
	}
}

// TestKubernetesRollout releases manifests with a Rollout of Argo Rollouts as a user
// does, beside its real controller: the first version, one that goes through the
// Rollout's own steps, one that never starts, back by what the cluster keeps, with
// what somebody has changed by hand, and with a run that is killed in the middle.
func TestKubernetesRollout(t *testing.T) {
	t.Parallel()
	k := newWithRollout(t)
	k.use(t, "HELLO_1_0_0")
	k.ends(t, 0, []string{"the Rollout web is not there yet: it is made", "1. start without users", "nothing was changed"}, "plan", "--version", "1.0.0")
	k.use(t, "HELLO_CRASH")
	k.ends(t, 1, []string{"cannot start: start"}, "release", "--version", "1.3.0")
	if list, err := k.admin.Resource(ofRollouts).Namespace(k.namespace).List(t.Context(), metav1.ListOptions{}); err != nil || len(list.Items) > 0 {
		t.Fatalf("a first version that does not start leaves its Rollout (%v)", err)
	}
	k.use(t, "HELLO_1_0_0")
	k.ends(t, 0, []string{"promoted: 1.0.0"}, "release", "--version", "1.0.0")
	k.lives(t, "1.0.0", "good morning")
	k.ends(t, 0, []string{"unchanged"}, "release", "--version", "1.0.0")

	k.use(t, "HELLO_CRASH")
	k.change(t, "around.yaml", "good morning", "good night")
	k.ends(t, 3, []string{"cannot start: start", "reverted"}, "release", "--version", "1.3.0")
	k.lives(t, "1.0.0", "good morning")

	k.use(t, "HELLO_1_1_0")
	k.change(t, "around.yaml", "good night", "good day")
	k.change(t, "rollout.yaml", "setWeight: 60", "setWeight: 70")
	k.ends(t, 0, []string{"1. start, with 20% of the users at once", "2. 70% of the users"}, "plan", "--version", "1.1.0")
	k.ends(t, 0, []string{"promoted: 1.1.0"}, "release", "--version", "1.1.0")
	k.lives(t, "1.1.0", "good day")
	k.ends(t, 0, nil, "drift")

	t.Run("drift", func(t *testing.T) { k.drifts(t) })
	t.Run("killed", func(t *testing.T) { k.killed(t) })
	if err := os.RemoveAll(filepath.Join(k.dir, "deploy")); err != nil {
		t.Fatal(err)
	}
	// What somebody has changed does not stand in the way back.
	k.edit(t, types.JSONPatchType, `[{"op": "remove", "path": "/spec/strategy/canary/steps/3"}]`)
	k.ends(t, 0, []string{"promoted: 1.0.0", "taken over"}, "rollback", "--environment", "production")
	k.lives(t, "1.0.0", "good morning")
	k.ends(t, 0, nil, "drift")
}

// drifts has somebody change the image, the steps and a Service.
func (k *withRollout) drifts(t *testing.T) {
	k.edit(t, types.JSONPatchType, `[{"op": "remove", "path": "/spec/strategy/canary/steps/3"}]`)
	// A release does not go over it, and is refused before anything is built.
	k.ends(t, 2, []string{"the manifests cannot be applied to", "nothing was changed", ".spec.strategy.canary.steps", "somebody"}, "release", "--version", "1.2.0")
	k.edit(t, types.JSONPatchType, `[
		{"op": "replace", "path": "/spec/template/spec/containers/0/image", "value": "127.0.0.1:1/other:1"},
		{"op": "add", "path": "/spec/paused", "value": true}]`)
	k.ends(t, 4, []string{"/web: .spec.template.spec.containers[0].image was changed", ".spec.strategy.canary.steps was changed", ".spec.paused was added", "3 differences"}, "drift")
	k.ends(t, 0, []string{"3 differences put back"}, "drift", "--repair")
	k.lives(t, "1.1.0", "good day")
}

// killed kills a release while users are on both versions.
func (k *withRollout) killed(t *testing.T) {
	k.use(t, "HELLO_1_0_0")
	k.change(t, "around.yaml", "good day", "good evening")
	k.change(t, "rollout.yaml", "setWeight: 70", "setWeight: 80")
	text, err := os.ReadFile(filepath.Join(k.dir, "slipway.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	k.write(t, strings.Replace(string(text), "hold: 1s", "hold: 10m", 1))
	cmd := k.command("release", "--version", "1.5.0")
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	for {
		if _, _, share := k.environment(t); share == 20 {
			break
		}
		if ctx.Err() != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			t.Fatalf("it never had a fifth of the users:\n%s", said.String())
		}
		time.Sleep(200 * time.Millisecond)
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	k.ends(t, 0, []string{"reverted"}, "settle")
	k.lives(t, "1.1.0", "good day")
	k.write(t, string(text))
}
