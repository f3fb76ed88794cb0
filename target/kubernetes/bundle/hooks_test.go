package bundle_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/bundle"
	"github.com/slipway-ci/slipway/target/kubernetes/manifests"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

const hooks = `
apiVersion: batch/v1
kind: Job
metadata: {name: migrate, annotations: {helm.sh/hook: "pre-install,pre-upgrade", helm.sh/hook-delete-policy: POLICY}}
spec:
  ttlSecondsAfterFinished: 1
  activeDeadlineSeconds: 7200
  template:
    spec:
      restartPolicy: Never
      containers: [{name: migrate, image: "ghcr.io/acme/shop:dev", envFrom: [{configMapRef: {name: settings}}, {secretRef: {name: only-hooks}}, {configMapRef: {name: words}}]}]
---
apiVersion: v1
kind: Pod
metadata: {name: back-up, annotations: {helm.sh/hook: pre-upgrade, helm.sh/hook-weight: "-1"}}
spec: {containers: [{name: back-up, image: busybox}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: words, annotations: {helm.sh/hook: pre-upgrade}}
---
apiVersion: v1
kind: Pod
metadata: {name: try, annotations: {helm.sh/hook: test}}
---
apiVersion: v1
kind: Secret
metadata: {name: only-hooks}
stringData: {A: plain text}
data: {B: aW4gYmFzZTY0}
`

// chart reads the shop as a chart with more in it.
func chart(t *testing.T, more string) (*bundle.Bundle, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "templates"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\n", "templates/shop.yaml": shop, "templates/more.yaml": more,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, err := manifests.Load(manifests.Source{Chart: dir, Release: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	return bundle.New(set, manifests.Names{}, "ghcr.io/acme/shop")
}

func TestHooks(t *testing.T) {
	b, err := chart(t, strings.Replace(hooks, "POLICY", "hook-succeeded", 1))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, h := range b.Hooks("pre-upgrade") {
		names = append(names, h.Name())
	}
	if want := []string{"Pod/back-up", "ConfigMap/words", "Job/migrate"}; !slices.Equal(names, want) {
		t.Errorf("the hooks are %q, not %q", names, want)
	}
	all := b.Hooks("pre-upgrade")
	backup, migrate := all[0], all[2]
	if !backup.Removed(bundle.BeforeCreation) || migrate.Removed(bundle.BeforeCreation) || !migrate.Removed(bundle.WhenSucceeded) {
		t.Error("the policies are not those of the chart, or of Helm where it has none")
	}
	notes := strings.Join(b.Notes(true), "\n")
	if !strings.Contains(notes, "helm test") || !strings.Contains(notes, "Pod/try") || strings.Contains(notes, "migrate") {
		t.Errorf("the notes are %q", notes)
	}
	if secret := b.Confidential(); !slices.Contains(secret, "plain text") || !slices.Contains(secret, "in base64") {
		t.Errorf("confidential are %q", secret)
	}

	r := deploy.Revision{ID: "0123456789ab", Image: deploy.Image{Repository: "ghcr.io/acme/shop", Digest: "sha256:" + strings.Repeat("1", 64)}}
	job, err := b.HookJob(place, r, migrate, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	copied, err := b.Copies(place)
	if err != nil {
		t.Fatal(err)
	}
	var copies []string
	for _, o := range copied {
		copies = append(copies, o.GetName())
	}
	c := job.Spec.Template.Spec.Containers[0]
	switch {
	case c.Image != r.Image.Reference(), job.Name != "migrate", job.Namespace != "shop":
		t.Errorf("the Job is %s/%s with %s", job.Namespace, job.Name, c.Image)
	case len(copies) != 2, !slices.Contains(copies, c.EnvFrom[0].ConfigMapRef.Name), !slices.Contains(copies, c.EnvFrom[1].SecretRef.Name), c.EnvFrom[2].ConfigMapRef.Name != "words":
		t.Errorf("it reads %v, and the copies are %q", c.EnvFrom, copies)
	case *job.Spec.ActiveDeadlineSeconds != 90, *job.Spec.TTLSecondsAfterFinished != 3600:
		t.Errorf("it may take %d s, and is kept for %d", *job.Spec.ActiveDeadlineSeconds, *job.Spec.TTLSecondsAfterFinished)
	case job.Labels[objects.LabelTaskOf] != r.ID, job.Spec.Template.Labels[objects.LabelHook] != "pre-upgrade":
		t.Errorf("its labels are %v", job.Labels)
	}
	job, err = b.HookJob(place, r, backup, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if p := job.Spec.Template.Spec; p.RestartPolicy != "Never" || p.Containers[0].Image != "busybox" || *job.Spec.BackoffLimit != 0 {
		t.Errorf("the Pod became %+v", job.Spec)
	}
}

func TestHooksThatCannotBeRunAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ more, says string }{
		"a policy that there is not": {strings.Replace(hooks, "POLICY", "hook-done", 1), `by the policy "hook-done", which Helm has not`},
		"a misspelt field":           {strings.ReplaceAll(hooks, "envFrom", "envForm"), "the hook Job/migrate"},
		"one that is there twice":    {hooks + "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: words, annotations: {helm.sh/hook: pre-upgrade}}\n", "ConfigMap/words is there twice for pre-upgrade"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := chart(t, strings.Replace(c.more, "POLICY", "hook-failed", 1))
			if err == nil || !deploy.IsUsage(err) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want an error of usage that says %q", err, c.says)
			}
		})
	}
}

func TestAHookInAnotherNamespaceIsRefused(t *testing.T) {
	b, err := chart(t, strings.Replace(strings.Replace(hooks, "name: migrate,", "name: migrate, namespace: other,", 1), "POLICY", "hook-failed", 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Fits(place); err == nil || !strings.Contains(err.Error(), "the hook Job/migrate is in the namespace other") {
		t.Errorf("got %v", err)
	}
}
