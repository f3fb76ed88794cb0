package manifests

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/manifests/documents"
)

const image = "ghcr.io/acme/shop@" + digest

// found are the parts of an app, by kind and name.
func found(app App) string {
	var said []string
	for _, o := range []*unstructured.Unstructured{app.Workload, app.Template, app.Service, app.Route, app.Autoscaler} {
		if o == nil {
			said = append(said, "-")
			continue
		}
		said = append(said, title(o))
	}
	return strings.Join(said, " ") + " " + app.Container
}

const pair = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: app, image: ghcr.io/acme/shop}, {name: side, image: ghcr.io/acme/side}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: web}
spec:
  template:
    metadata: {labels: {app: store}}
    spec: {containers: [{name: store, image: ghcr.io/acme/store}]}
`

const rollout = `
apiVersion: argoproj.io/v1alpha1
kind: Rollout
metadata: {name: web}
spec: {workloadRef: {apiVersion: apps/v1, kind: Deployment, name: web}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: app, image: ghcr.io/acme/other}]}
`

const two = `
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}}
---
apiVersion: v1
kind: Service
metadata: {name: web-canary}
spec: {selector: {app: web}}
---
apiVersion: v1
kind: Service
metadata: {name: elsewhere, namespace: other}
spec: {selector: {app: web}}
---
apiVersion: v1
kind: Service
metadata: {name: without}
spec: {}
---
`

func TestFindsTheApp(t *testing.T) {
	plain := load(t, Source{Files: "testdata/plain"}).Objects
	for name, c := range map[string]struct {
		objects []*unstructured.Unstructured
		names   Names
		image   string
		want    string
	}{
		"by its image":             {plain, Names{}, image, "Deployment/web Deployment/web Service/web HTTPRoute/shop HorizontalPodAutoscaler/web app"},
		"by another's":             {plain, Names{}, "ghcr.io/acme/worker", "Deployment/worker Deployment/worker - - - worker"},
		"by name":                  {plain, Names{Workload: "queue"}, image, "StatefulSet/queue StatefulSet/queue Service/queue - - queue"},
		"all by name":              {plain, Names{Workload: "deployment/web", Container: "metrics", Service: "web-pods", Route: "shop"}, image, "Deployment/web Deployment/web Service/web-pods HTTPRoute/shop HorizontalPodAutoscaler/web metrics"},
		"the only one":             {load(t, Source{Kustomization: "testdata/kustomize/production"}).Objects, Names{}, "ghcr.io/acme/else", "Deployment/web Deployment/web Service/web - - app"},
		"in a chart":               {load(t, shop).Objects, Names{}, image, "Deployment/prod-shop Deployment/prod-shop Service/prod-shop - HorizontalPodAutoscaler/prod-shop shop"},
		"a Rollout's Deployment":   {objects(t, rollout), Names{}, image, "Rollout/web Deployment/web - - - app"},
		"a kind and a name":        {objects(t, pair), Names{Workload: "StatefulSet/web"}, image, "StatefulSet/web StatefulSet/web - - - store"},
		"services elsewhere":       {objects(t, strings.Replace(two, "name: web-canary", "name: web-canary, namespace: other", 1)+pair), Names{}, image, "Deployment/web Deployment/web Service/web - - app"},
		"one of two services":      {objects(t, two+pair), Names{Service: "web-canary"}, image, "Deployment/web Deployment/web Service/web-canary - - app"},
		"the repository in full":   {objects(t, strings.ReplaceAll(pair, "ghcr.io/acme/shop", "shop")), Names{}, "docker.io/library/shop:1", "Deployment/web Deployment/web - - - app"},
		"a port is part of a name": {objects(t, strings.ReplaceAll(pair, "ghcr.io/acme/shop", "127.0.0.1:5055/shop:1")), Names{}, "127.0.0.1:5055/shop", "Deployment/web Deployment/web - - - app"},
	} {
		t.Run(name, func(t *testing.T) {
			app, err := Find(c.objects, c.names, c.image)
			if err != nil {
				t.Fatalf("%v\n%s", err, deploy.HintOf(err))
			}
			if got := found(app); got != c.want {
				t.Errorf("found %s\nnot   %s", got, c.want)
			}
		})
	}
}

func TestWhatCannotBeDecidedNamesTheCandidates(t *testing.T) {
	plain := load(t, Source{Files: "testdata/plain"}).Objects
	route := load(t, Source{Files: "testdata/plain/route.yaml"}).Objects[0].DeepCopy()
	route.SetName("second")
	for name, c := range map[string]struct {
		objects    []*unstructured.Unstructured
		names      Names
		image      string
		want, hint string
	}{
		"no workload":           {objects(t, settings1), Names{}, image, "there is no workload in the manifests", "Deployment"},
		"several workloads":     {plain, Names{}, "ghcr.io/acme/none", "there are 3 workloads in the manifests", "Deployment/web, Deployment/worker, StatefulSet/queue"},
		"another workload":      {plain, Names{Workload: "wbe"}, image, `there is no workload "wbe"`, "Deployment/web, Deployment/worker, StatefulSet/queue"},
		"two of one name":       {objects(t, pair), Names{Workload: "web"}, image, "there are 2 workloads of the name web", "Deployment/web, StatefulSet/web"},
		"another container":     {plain, Names{Container: "nginx"}, image, `Deployment/web has no container "nginx"`, "app, metrics"},
		"several containers":    {plain, Names{Workload: "web"}, "ghcr.io/acme/none", "Deployment/web has 2 containers", "app, metrics"},
		"several services":      {objects(t, two+pair), Names{}, image, "there are 2 services that select the pods of Deployment/web", "Service/web, Service/web-canary"},
		"another service":       {plain, Names{Service: "shop"}, image, `there is no service "shop"`, "Service/queue, Service/web, Service/web-pods"},
		"several routes":        {append(plain, route), Names{}, image, "there are 2 routes that lead to Service/web", "HTTPRoute/second, HTTPRoute/shop"},
		"a route, and none is":  {objects(t, pair), Names{Route: "shop"}, image, `there is no route "shop"`, "or name none"},
		"a Rollout without one": {objects(t, rollout)[:1], Names{}, image, "Rollout/web refers to Deployment/web, which is not there", "same manifests"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Find(c.objects, c.names, c.image)
			if err == nil || !deploy.IsUsage(err) {
				t.Fatalf("no error of usage: %v", err)
			}
			if !strings.Contains(err.Error(), c.want) || !strings.Contains(deploy.HintOf(err), c.hint) {
				t.Errorf("said %q (%s)", err, deploy.HintOf(err))
			}
		})
	}
}

// objects reads a text as it would be read from a file.
func objects(t *testing.T, text string) []*unstructured.Unstructured {
	t.Helper()
	all, err := documents.Read("a.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestTheImageGoesWhereItBelongs(t *testing.T) {
	set := load(t, Source{Files: "testdata/plain"})
	app, err := Find(set.Objects, Names{}, image)
	if err != nil {
		t.Fatal(err)
	}
	// The app, its init container, and the nightly job.
	if n := SetImage(set.Objects, app, image); n != 3 {
		t.Errorf("put into %d containers, not 3", n)
	}
	golden(t, "image", set)
}

func TestTheAppsContainerGetsTheImageWhateverItHad(t *testing.T) {
	all := objects(t, pair)
	app, err := Find(all, Names{Workload: "Deployment/web", Container: "side"}, "127.0.0.1:5055/copy")
	if err != nil {
		t.Fatal(err)
	}
	if n := SetImage(all, app, "127.0.0.1:5055/copy@"+digest); n != 1 {
		t.Errorf("put into %d containers", n)
	}
	got := map[string]any{}
	for _, c := range containers(all[0], "containers") {
		got[nameOf(c)] = c["image"]
	}
	if got["side"] != "127.0.0.1:5055/copy@"+digest || got["app"] != "ghcr.io/acme/shop" {
		t.Errorf("the images are %v", got)
	}
}
