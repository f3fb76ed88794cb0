package bundle_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/bundle"
	"github.com/slipway-ci/slipway/target/kubernetes/manifests"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

const shop = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: web
        image: ghcr.io/acme/shop:dev
        ports: [{name: web, containerPort: 7070}]
        envFrom: [{configMapRef: {name: settings}}, {secretRef: {name: elsewhere}}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {a: b}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: web}]}
`

var place = objects.Place{App: "shop", Environment: "production", Namespace: "shop"}

func read(t *testing.T, text string) (*bundle.Bundle, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "all.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	set, err := manifests.Load(manifests.Source{Files: path})
	if err != nil {
		t.Fatal(err)
	}
	return bundle.New(set, manifests.Names{}, "ghcr.io/acme/shop")
}

// A Bundle that was kept is the same, and one that was changed is refused.
func TestAKeptBundleIsTheSame(t *testing.T) {
	b, err := read(t, shop)
	if err != nil {
		t.Fatal(err)
	}
	data, err := b.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := bundle.Decode(data, b.Digest)
	if err != nil {
		t.Fatal(err)
	}
	if again.Port() != 7070 || again.Replicas() != 3 || again.App.Service.GetName() != "web" || again.App.Container != "web" {
		t.Errorf("got port %d, %d replicas, %+v", again.Port(), again.Replicas(), again.App)
	}
	if _, err := bundle.Decode(data, "sha256:other"); err == nil {
		t.Error("manifests of another digest are taken")
	}
}

// A revision's Deployment has the image, reads the copies, and keeps what is of
// nobody in the set.
func TestDeployment(t *testing.T) {
	b, err := read(t, shop)
	if err != nil {
		t.Fatal(err)
	}
	r := deploy.Revision{
		ID: "0123456789ab", Image: deploy.Image{Repository: "ghcr.io/acme/shop", Digest: "sha256:" + strings.Repeat("1", 64)},
		Config: deploy.Config{StartTimeout: time.Minute, Env: map[string]string{"A": "$B"}},
	}
	d, err := b.Deployment(place, r, 2)
	if err != nil {
		t.Fatal(err)
	}
	c := d.Spec.Template.Spec.Containers[0]
	copied, err := b.Copies(place)
	if err != nil || len(copied) != 1 {
		t.Fatalf("got %d copies (%v)", len(copied), err)
	}
	switch {
	case d.Name != place.Name(r.ID), *d.Spec.Replicas != 2, d.Spec.Selector.MatchLabels["app"] != "web",
		d.Spec.Selector.MatchLabels[objects.LabelRevision] != r.ID:
		t.Errorf("got %s, %d replicas, selector %v", d.Name, *d.Spec.Replicas, d.Spec.Selector.MatchLabels)
	case c.Image != r.Image.Reference(), c.Env[0].Value != "$$B", c.Lifecycle.PreStop.Sleep == nil:
		t.Errorf("the container is %+v", c)
	case c.EnvFrom[0].ConfigMapRef.Name != copied[0].GetName(), c.EnvFrom[1].SecretRef.Name != "elsewhere":
		t.Errorf("it reads %v, and the copy is %s", c.EnvFrom, copied[0].GetName())
	}
}

func TestWhatCannotRunByRevisionsIsRefused(t *testing.T) {
	for name, c := range map[string]struct{ from, to, says string }{
		"a stateful app":      {"kind: Deployment", "kind: StatefulSet", "StatefulSet/web is a StatefulSet: two versions of it cannot run side by side"},
		"a port of nobody":    {"targetPort: web", "targetPort: http", "leads to the port http, which no container of Deployment/web has"},
		"a misspelt field":    {"envFrom:", "envForm:", "envForm"},
		"a port that is none": {"ports: [{name: web, containerPort: 7070}]", "", "leads to the port web"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := read(t, strings.Replace(shop, c.from, c.to, 1))
			if err == nil || !deploy.IsUsage(err) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want an error of usage that says %q", err, c.says)
			}
		})
	}
}

func TestAnotherNamespaceIsRefused(t *testing.T) {
	b, err := read(t, strings.ReplaceAll(shop, "metadata: {name: web}", "metadata: {name: web, namespace: other}"))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Fits(place); err == nil || !strings.Contains(err.Error(), "Deployment/web is in the namespace other") {
		t.Errorf("got %v", err)
	}
}

const shopRoute = `---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web}
spec: {parentRefs: [{name: public}], rules: [{backendRefs: [{name: web, port: 80}]}]}
`

// What kustomize makes of a route when it gives names a prefix is told, and not that
// users come by the Service alone.
func TestARouteToANameBeforeAPrefixIsRefused(t *testing.T) {
	prefixed := strings.Replace(shop, "kind: Service\nmetadata: {name: web}", "kind: Service\nmetadata: {name: prod-web}", 1)
	_, err := read(t, prefixed+shopRoute)
	if err == nil || !deploy.IsUsage(err) || !strings.Contains(err.Error(), "HTTPRoute/web leads to the Service web, which is called prod-web") ||
		!strings.Contains(deploy.HintOf(err), "nameReference") {
		t.Errorf("got %v (%s)", err, deploy.HintOf(err))
	}
	for name, text := range map[string]string{
		"the name it has": shop + shopRoute,
		"another Service": prefixed + shopRoute + "---\napiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {selector: {app: other}, ports: [{port: 80}]}\n",
		"one elsewhere":   prefixed + strings.Replace(shopRoute, "backendRefs: [{name: web", "backendRefs: [{name: blog", 1),
	} {
		if _, err := read(t, text); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
