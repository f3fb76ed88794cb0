package kubernetes_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
)

// wide is what a set may have of the whole cluster: a kind of its own, with an object
// of it; a role; and a namespace with something in it. GROUP is a test's own.
const wide = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: discounts.GROUP}
spec:
  group: GROUP
  scope: Namespaced
  names: {kind: Discount, plural: discounts, singular: discount}
  versions:
  - name: v1
    served: true
    storage: true
    schema: {openAPIV3Schema: {type: object, description: DESCRIPTION, properties: {spec: {type: object, properties: {percent: {type: integer}}}}}}
---
apiVersion: GROUP/v1
kind: Discount
metadata: {name: summer}
spec: {percent: 20}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: ROLE}
rules: []
---
`

const beside = `
apiVersion: v1
kind: Namespace
metadata: {name: BESIDE}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: there, namespace: BESIDE}
data: {word: there}
---
`

var (
	clusterRoles = schema.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterroles"}
	definitions  = schema.GroupVersionResource{Group: "apiextensions.k8s.io", Version: "v1", Resource: "customresourcedefinitions"}
	namespaces   = schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}
	configMaps   = schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}
)

// everywhere is a site whose set has objects of the whole cluster.
type everywhere struct {
	*site
	admin dynamic.Interface
}

func newEverywhere(t *testing.T) *everywhere {
	t.Helper()
	e := &everywhere{site: newLab(t).site()}
	var err error
	e.admin, err = dynamic.NewForConfig(clustertest.Config(t))
	must(t, err)
	ctx := context.WithoutCancel(t.Context())
	t.Cleanup(func() {
		for of, name := range map[schema.GroupVersionResource]string{definitions: "discounts." + e.group(), clusterRoles: e.namespace} {
			if err := e.admin.Resource(of).Delete(ctx, name, metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
				t.Errorf("clean up %s %s: %v", of.Resource, name, err)
			}
		}
	})
	return e
}

// group is the API group of the test's own kind.
func (e *everywhere) group() string { return e.namespace + ".example.com" }

func (e *everywhere) other() string { return e.namespace + "-beside" }

func (e *everywhere) discounts() schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: e.group(), Version: "v1", Resource: "discounts"}
}

// set is a part of the manifests, with the names of this test.
func (e *everywhere) set(text, description, role string) string {
	return strings.NewReplacer("GROUP", e.group(), "DESCRIPTION", description, "ROLE", role, "BESIDE", e.other()).Replace(strings.TrimPrefix(text, "\n"))
}

// get is an object as it is; nil where it is not there.
func (e *everywhere) object(t *testing.T, of schema.GroupVersionResource, namespace, name string) *unstructured.Unstructured {
	t.Helper()
	o, err := e.admin.Resource(of).Namespace(namespace).Get(t.Context(), name, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil
	}
	must(t, err)
	return o
}

// least is the login's Role with what the sets of these tests need.
func (e *everywhere) least(namespace string) []access.Permission {
	may := append(access.Least(namespace, access.Needs{Routes: true}), access.Gateway("default", "gateway"))
	may = append(may, access.Applied(e.group(), "discounts", namespace)...)
	may = append(may, access.Lasting("apiextensions.k8s.io", "customresourcedefinitions")...)
	return append(may, access.Lasting("rbac.authorization.k8s.io", "clusterroles")...)
}

// A set may bring the kind of an object that is in it, and the namespace of another:
// what that needs is told before, and what has gone from the set is pruned, but for
// what others may have things in.
func TestDefinitionsAndNamespacesOfASet(t *testing.T) {
	t.Parallel()
	e := newEverywhere(t)
	e.grant(t)
	first := e.bundle(t, "one", e.set(wide+beside, "first", e.namespace))
	target := e.target(t, "shop", first.Configure(e.env))
	must(t, target.Use(first))
	err := target.Permitted(t.Context())
	for _, part := range []string{
		"create customresourcedefinitions.apiextensions.k8s.io in the whole cluster", "patch discounts." + e.group() + " in " + e.namespace,
		"watch namespaces in the whole cluster", "create configmaps in " + e.other(), "nothing was changed",
	} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("it does not say %q: %v", part, err)
		}
	}

	may := append(e.least(e.namespace), access.Lasting("", "namespaces")...)
	for _, p := range access.Applied("", "configmaps", e.other()) {
		p.Wide, p.Namespace = true, "" // a Role cannot be where no namespace is yet
		may = append(may, p)
	}
	e.kubeconfig = clustertest.KubeconfigFor(t, e.namespace, may)
	t.Cleanup(func() { clustertest.RemoveNamespace(t, e.other()) })
	target, v1 := e.version(t, "v1", first)
	must(t, target.Start(t.Context(), v1))
	must(t, target.Switch(t.Context(), v1))
	if e.object(t, e.discounts(), e.namespace, "summer") == nil || e.object(t, configMaps, e.other(), "there") == nil {
		t.Error("what needs a definition or a namespace of the set is not there")
	}
	must(t, target.Write(t.Context(), deploy.Record{Phase: deploy.PhaseSettled, Outcome: deploy.Promoted, Candidate: v1}))
	if found, err := target.Drift(t.Context()); err != nil || len(found) > 0 {
		t.Errorf("it drifts after a release: %v, %v", found, err)
	}

	target, v2 := e.version(t, "v2", e.bundle(t, "two", ""))
	must(t, target.Start(t.Context(), v2))
	must(t, target.Switch(t.Context(), v2))
	must(t, target.Stop(t.Context(), v1))
	must(t, target.Write(t.Context(), deploy.Record{Version: 1, Phase: deploy.PhaseSettled, Outcome: deploy.Promoted, Candidate: v2, Previous: v1}))
	if e.object(t, e.discounts(), e.namespace, "summer") != nil {
		t.Error("an object that the set has no more is there still")
	}
	for what, o := range map[string]*unstructured.Unstructured{
		"the definition": e.object(t, definitions, "", "discounts."+e.group()), "the role": e.object(t, clusterRoles, "", e.namespace),
		"the namespace": e.object(t, namespaces, "", e.other()), "what is in it": e.object(t, configMaps, e.other(), "there"),
	} {
		if o == nil || o.GetDeletionTimestamp() != nil {
			t.Errorf("%s was removed, in which others may have something", what)
		}
	}
}

// A preview of the same manifests takes nothing from the environment that is there,
// and leaves nothing behind: neither what it has in its namespace, nor what it has
// brought of the whole cluster.
func TestPreviewsOfManifests(t *testing.T) {
	t.Parallel()
	e := newEverywhere(t)
	e.kubeconfig = clustertest.KubeconfigFor(t, e.namespace, e.least(e.namespace))
	target, v1 := e.version(t, "v1", e.bundle(t, "one", e.set(wide, "production", e.namespace)))
	must(t, target.Start(t.Context(), v1))
	must(t, target.Switch(t.Context(), v1))

	p := &everywhere{site: &site{lab: e.lab, env: e.env}, admin: e.admin}
	p.env.Name = "pr-12"
	space := e.namespace + "-pr-12"
	p.env.Target.Cluster.Namespace = e.namespace + "-{environment}"
	p.env.Target.Cluster.Quota = &deploy.Quota{Pods: 9}
	t.Cleanup(func() { clustertest.RemoveNamespace(t, space) })
	may := access.Least("", access.Needs{Routes: true, Previews: true})
	may = append(may, access.Applied(e.group(), "discounts", "")...)
	may = append(may, access.Applied("rbac.authorization.k8s.io", "clusterroles", "")...)
	may = append(may, access.Permission{Verb: "get", Group: "apiextensions.k8s.io", Resource: "customresourcedefinitions"})
	for i := range may { // as the documents have it: the Role in every such namespace
		may[i].Wide, may[i].Namespace, may[i].Name = true, "", ""
	}
	p.kubeconfig = clustertest.KubeconfigFor(t, e.namespace, append(may, access.Gateway("default", "gateway")))

	refused := func(why, text string) {
		t.Helper()
		b := p.bundle(t, "two", text)
		target := p.target(t, "shop", b.Configure(p.env))
		err := target.Use(b)
		if err == nil {
			err = errors.Join(target.Permitted(t.Context()), target.Accepts(t.Context()))
		}
		if err == nil || !strings.Contains(err.Error(), why) || deploy.HintOf(err) == "" {
			t.Errorf("want %q with a hint, got %v\n%s", why, err, deploy.HintOf(err))
		}
		if p.object(t, namespaces, "", space) != nil {
			t.Error("what was refused has made a namespace")
		}
	}
	refused("HTTPRoute/web brings in users of "+e.host()+", a name that is not of the preview pr-12 alone", "")
	p.env.Target.Cluster.Gateway = &deploy.Gateway{Name: "gateway", Namespace: "default", Host: "{environment}." + e.host()}
	refused("ClusterRole "+e.namespace+" belongs to shop-production", e.set(wide, "a pull request", e.namespace))
	refused("ConfigMap "+e.other()+"/there is outside of the namespace "+space, e.set(beside, "", ""))

	preview, v2 := p.version(t, "v2", p.bundle(t, "two", p.set(wide, "a pull request", space)))
	must(t, preview.Start(t.Context(), v2))
	must(t, preview.Switch(t.Context(), v2))
	if summer := p.object(t, p.discounts(), space, "summer"); summer == nil {
		t.Error("the preview has no object of the kind that is there")
	}
	if route := p.object(t, httpRoutes, space, "web"); !equalHosts(route, "pr-12."+e.host()) {
		t.Errorf("the preview's route is %v", route)
	}
	definition, err := p.admin.Resource(definitions).Get(t.Context(), "discounts."+e.group(), metav1.GetOptions{})
	must(t, err)
	text, err := definition.MarshalJSON()
	must(t, err)
	if strings.Contains(string(text), "a pull request") {
		t.Error("the preview has changed the definition that all share")
	}
	quota, err := e.kube.CoreV1().ResourceQuotas(space).Get(t.Context(), "shop-pr-12", metav1.GetOptions{})
	if err != nil || quota.Status.Used.Pods().Value() < 2 {
		t.Errorf("the quota counts %v of the two pods (%v)", quota.Status.Used, err)
	}
	if got := e.answers(t, "/env?SHARED"); got["one"] != 100 {
		t.Errorf("users of production get %v", got)
	}
	must(t, preview.Write(t.Context(), deploy.Record{Phase: deploy.PhaseSettled, Outcome: deploy.Promoted, Candidate: v2}))
	if found, err := preview.Drift(t.Context()); err != nil || len(found) > 0 {
		t.Errorf("the preview drifts: %v, %v", found, err)
	}

	must(t, p.later(t).Remove(t.Context()))
	if p.object(t, namespaces, "", space) != nil || p.object(t, clusterRoles, "", space) != nil {
		t.Error("the preview has left its namespace or its role")
	}
	if e.object(t, clusterRoles, "", e.namespace) == nil || e.object(t, definitions, "", "discounts."+e.group()) == nil {
		t.Error("what production has is gone")
	}
}

func equalHosts(route *unstructured.Unstructured, want string) bool {
	if route == nil {
		return false
	}
	names, _, _ := unstructured.NestedStringSlice(route.Object, "spec", "hostnames")
	return len(names) == 1 && names[0] == want
}
