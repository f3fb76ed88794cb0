package kubernetes_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/target/kubernetes"
	"github.com/slipway-ci/slipway/target/targettest"
)

// drifting is an environment with a version that was released and settled.
type drifting struct {
	*lab
	target *kubernetes.Target
	env    deploy.Environment
	live   deploy.Revision
	admin  dynamic.Interface
}

func newDrifting(t *testing.T, secrets ...deploy.Secret) *drifting {
	t.Helper()
	d := &drifting{lab: newLab(t)}
	place := d.place()
	place.Isolated = true
	d.env = deploy.Environment{
		Name: "production", Target: deploy.TargetSpec{Kind: "kubernetes", Cluster: place},
		Service: deploy.Service{
			Port: 8080, Health: "/healthz", Replicas: 2, StartTimeout: 2 * time.Minute, Drain: time.Second,
			Env: map[string]string{"COLOR": "blue", "PRICE": "5$"},
		},
	}
	d.target = d.lab.target(t, "shop", d.env)
	image := targettest.Push(t, targettest.Image(t, "-name", "one"), d.repository(), "1.0.0")
	d.live = deploy.NewRevision("shop", d.env, image, secrets)
	var err error
	if d.admin, err = dynamic.NewForConfig(clustertest.Config(t)); err != nil {
		t.Fatal(err)
	}
	d.do(d.target.Start(d.limited(), d.live))
	d.do(d.target.Switch(d.limited(), d.live))
	d.record(deploy.Record{Phase: deploy.PhaseSettled, Outcome: deploy.Promoted, Candidate: d.live})
	return d
}

func (d *drifting) limited() context.Context {
	ctx, cancel := context.WithTimeout(d.Context(), 4*time.Minute)
	d.Cleanup(cancel)
	return ctx
}

func (d *drifting) do(err error) {
	d.Helper()
	if err != nil {
		d.Fatalf("%v\n%s", err, deploy.HintOf(err))
	}
}

func (d *drifting) record(r deploy.Record) {
	d.Helper()
	s, err := d.target.State(d.limited())
	d.do(err)
	r.Version = s.Record.Version
	d.do(d.target.Write(d.limited(), r))
}

// resources by their kind.
var resources = map[string]schema.GroupVersionResource{
	"Deployment":     {Group: "apps", Version: "v1", Resource: "deployments"},
	"Service":        {Version: "v1", Resource: "services"},
	"ServiceAccount": {Version: "v1", Resource: "serviceaccounts"},
	"ConfigMap":      {Version: "v1", Resource: "configmaps"},
	"Secret":         {Version: "v1", Resource: "secrets"},
	"HTTPRoute":      {Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"},
	"Autoscaler":     {Group: "autoscaling", Version: "v2", Resource: "horizontalpodautoscalers"},
	"Budget":         {Group: "policy", Version: "v1", Resource: "poddisruptionbudgets"},
	"Policy":         {Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
}

func (d *drifting) api(kind string) dynamic.ResourceInterface {
	return d.admin.Resource(resources[kind]).Namespace(d.namespace)
}

// edit is what somebody else does, under the name of their tool.
func (d *drifting) edit(kind, name, manager, patch string, subresource ...string) {
	d.Helper()
	form := types.MergePatchType
	switch {
	case strings.HasPrefix(patch, "["):
		form = types.JSONPatchType
	case kind == "Deployment":
		form = types.StrategicMergePatchType
	}
	_, err := d.api(kind).Patch(d.limited(), name, form, []byte(patch), metav1.PatchOptions{FieldManager: manager}, subresource...)
	d.do(err)
}

func (d *drifting) remove(kind, name string) {
	d.Helper()
	d.do(d.api(kind).Delete(d.limited(), name, metav1.DeleteOptions{}))
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		if _, err := d.api(kind).Get(d.limited(), name, metav1.GetOptions{}); err != nil {
			return
		}
		if time.Now().After(end) {
			d.Fatalf("%s %s does not go", kind, name)
		}
	}
}

// drift is what is found, as people read it, without the namespace and times. Of a
// scale the server tells no time.
func (d *drifting) drift() []string {
	d.Helper()
	found, err := d.target.Drift(d.limited())
	d.do(err)
	return d.said(found)
}

func (d *drifting) said(found []deploy.Difference) []string {
	d.Helper()
	var said []string
	for _, f := range found {
		if f.Manager != "" && f.Subresource == "" && (f.At.IsZero() || time.Since(f.At) > time.Hour) {
			d.Errorf("%s: at %s", f, f.At)
		}
		f.At = time.Time{}
		said = append(said, strings.ReplaceAll(f.String(), d.namespace+"/", ""))
	}
	return said
}

// expects demands that exactly these differences are found, in any order.
func (d *drifting) expects(want ...string) {
	d.Helper()
	got := d.drift()
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		d.Errorf("found\n  %s\nnot\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func (d *drifting) repair(secret func(string) string) ([]deploy.Difference, error) {
	if secret == nil {
		secret = func(string) string { return "" }
	}
	return d.target.Repair(d.limited(), secret)
}

// served demands that users are answered again: a gateway learns of pods that are
// ready a moment later.
func (d *drifting) served() {
	d.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		got := d.answer()
		if strings.HasPrefix(got, "200 ") {
			return
		}
		if time.Now().After(end) {
			d.Fatalf("users get %s", got)
		}
	}
}

func (d *drifting) answer() string {
	d.Helper()
	req, err := http.NewRequestWithContext(d.limited(), http.MethodGet, "http://production."+d.namespace+".localhost/", nil)
	d.do(err)
	resp, err := d.users.RoundTrip(req)
	d.do(err)
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	d.do(err)
	return fmt.Sprint(resp.StatusCode, " ", string(body))
}

// What others change of what slipway.yaml alone has come to is found with who did
// it, and put back; what they may change is left.
func TestDriftOfSlipwaysOwnObjects(t *testing.T) {
	t.Parallel()
	d := newDrifting(t)
	base := "shop-production"
	name := base + "-" + d.live.ID
	d.expects()

	// An autoscaler, a restart, a pull secret, and what others may have in a route.
	d.edit("Deployment", name, "kubectl-rollout", `{"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2026-01-02T03:04:05Z"}}}}}`)
	d.edit("ServiceAccount", base, "kubectl-patch", `{"imagePullSecrets":[{"name":"registry"}]}`)
	d.edit("HTTPRoute", base, "kubectl-edit", `[
		{"op":"add","path":"/spec/hostnames/-","value":"also.`+d.namespace+`.localhost"},
		{"op":"add","path":"/spec/rules/0","value":{"matches":[{"path":{"type":"PathPrefix","value":"/api"}}],"backendRefs":[{"name":"api","port":80}]}}]`)
	d.expects()

	d.edit("Deployment", name, "kubectl-edit", `{"spec":{"template":{"spec":{"containers":[{"name":"app","image":"registry.invalid/other:1","env":[{"name":"PORT","value":"9090"},{"name":"DEBUG","value":"1"}],"lifecycle":null}]}}}}`)
	d.edit("Deployment", name, "kubectl", `{"spec":{"replicas":3}}`, "scale")
	d.edit("Service", name, "kubectl-edit", `{"spec":{"selector":{"slipway.dev/revision":"none"}}}`)
	d.edit("HTTPRoute", base, "kubectl-edit", `[
		{"op":"replace","path":"/spec/rules/1/backendRefs/0/weight","value":1},
		{"op":"add","path":"/spec/rules/1/backendRefs/-","value":{"group":"","kind":"Service","name":"other","port":80,"weight":9}},
		{"op":"remove","path":"/spec/hostnames/0"}]`)
	d.remove("Budget", name)
	d.remove("Policy", name)
	d.remove("ConfigMap", name)

	host := "production." + d.namespace + ".localhost"
	d.expects(
		`Deployment `+name+`: .spec.template.spec.containers[name="app"].image was changed by "kubectl-edit" (Update): "`+d.live.Image.Reference()+`" is now "registry.invalid/other:1"`,
		`Deployment `+name+`: .spec.template.spec.containers[name="app"].env[name="PORT"].value was changed by "kubectl-edit" (Update): "8080" is now "9090"`,
		`Deployment `+name+`: .spec.template.spec.containers[name="app"].env[name="DEBUG"] was added by "kubectl-edit" (Update): {"name":"DEBUG","value":"1"}`,
		`Deployment `+name+`: .spec.template.spec.containers[name="app"].lifecycle was removed: {"preStop":{"sleep":{"seconds":1}}}`,
		`Deployment `+name+`: .spec.replicas was changed by "kubectl" (Update of scale): 2 is now 3`,
		`Service `+name+`: .spec.selector.slipway.dev/revision was changed by "kubectl-edit" (Update): "`+d.live.ID+`" is now "none"`,
		`HTTPRoute `+base+`: .spec.rules[1].backendRefs[0].weight was changed by "kubectl-edit" (Update): 10000 is now 1`,
		`HTTPRoute `+base+`: .spec.hostnames was changed by "kubectl-edit" (Update): ["`+host+`","also.`+d.namespace+`.localhost"] is now ["also.`+d.namespace+`.localhost"]`,
		`PodDisruptionBudget `+name+` is missing`,
		`NetworkPolicy `+name+` is missing`,
		`ConfigMap `+name+` is missing`,
	)

	undone, err := d.repair(nil)
	d.do(err)
	if len(undone) != 11 {
		t.Errorf("it says that it has undone %q", d.said(undone))
	}
	d.expects()
	d.served()
	route, err := d.api("HTTPRoute").Get(d.limited(), base, metav1.GetOptions{})
	d.do(err)
	text, err := json.Marshal(route.Object["spec"])
	d.do(err)
	for _, kept := range []string{`"also.` + d.namespace + `.localhost"`, `"value":"/api"`, `"name":"other"`} {
		if !strings.Contains(string(text), kept) {
			t.Errorf("%s is gone: %s", kept, text)
		}
	}
	state, err := d.target.State(d.limited())
	d.do(err)
	if running, runs := state.Find(d.live.ID); !runs || running.Ready() != 2 || running.Replicas[0].Digest != d.live.Image.Digest {
		t.Errorf("there runs %+v", state.Running)
	}
}

// Whatever is removed is known from the journal, and comes back.
func TestDriftOfWhatWasRemoved(t *testing.T) {
	t.Parallel()
	secret := deploy.NewSecret("shop", "production", "API_KEY", "hunter2-the-first")
	d := newDrifting(t, secret)
	base := "shop-production"
	name := base + "-" + d.live.ID
	d.expects()
	secrets, err := d.api("Secret").List(d.limited(), metav1.ListOptions{LabelSelector: "slipway.dev/environment=production"})
	d.do(err)
	if len(secrets.Items) != 1 {
		t.Fatalf("there are %d secrets", len(secrets.Items))
	}
	d.remove("HTTPRoute", base)
	d.remove("Service", base)
	d.remove("Deployment", name)
	d.remove("Secret", secrets.Items[0].GetName())
	d.expects("HTTPRoute "+base+" is missing", "Service "+base+" is missing", "Deployment "+name+" is missing",
		"Secret "+secret.String()+" is missing")

	_, err = d.repair(func(string) string { return "another value" })
	if err == nil || !strings.Contains(err.Error(), secret.String()) || !strings.Contains(deploy.HintOf(err), "API_KEY") {
		t.Errorf("a value that it never had: %v", err)
	}
	d.expects("Secret " + secret.String() + " is missing")
	undone, err := d.repair(func(name string) string {
		if name == "API_KEY" {
			return "hunter2-the-first"
		}
		return ""
	})
	d.do(err)
	if len(undone) != 1 {
		t.Errorf("it says that it has undone %q", d.said(undone))
	}
	d.expects()
	d.served()
}

// A rollout that is held is compared as it is held; one of which nobody knows how
// it ended is not compared at all.
func TestDriftWhileARolloutIsHeld(t *testing.T) {
	t.Parallel()
	d := newDrifting(t)
	image := targettest.Push(t, targettest.Image(t, "-name", "two"), d.repository(), "1.1.0")
	next := deploy.NewRevision("shop", d.env, image, nil)
	d.do(d.target.Start(d.limited(), next))
	d.do(d.target.Split(d.limited(), next, 10))
	d.record(deploy.Record{Phase: deploy.PhaseHeld, Candidate: next, Previous: d.live, Share: 10})
	d.expects()
	base := "shop-production"
	d.edit("HTTPRoute", base, "kubectl-edit", `[{"op":"replace","path":"/spec/rules/0/backendRefs/1/weight","value":5000}]`)
	d.edit("Service", base+"-"+next.ID, "kubectl-edit", `{"spec":{"ports":[{"name":"http","port":80,"targetPort":9}]}}`)
	d.expects(
		`HTTPRoute `+base+`: .spec.rules[0].backendRefs[1].weight was changed by "kubectl-edit" (Update): 1000 is now 5000`,
		`Service `+base+"-"+next.ID+`: .spec.ports[port=80,protocol="TCP"].targetPort was changed by "kubectl-edit" (Update): "http" is now 9`,
	)
	_, err := d.repair(nil)
	d.do(err)
	d.expects()

	d.record(deploy.Record{Phase: deploy.PhaseSettled, Outcome: deploy.Unknown, Candidate: next, Previous: d.live})
	if found, err := d.target.Drift(d.limited()); err == nil || deploy.HintOf(err) == "" {
		t.Errorf("found %v, %v", found, err)
	}
}

func TestDriftOfNothing(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	env := deploy.Environment{Name: "production", Target: deploy.TargetSpec{Kind: "kubernetes", Cluster: l.place()}}
	target := l.target(t, "shop", env)
	if found, err := target.Drift(t.Context()); err != nil || len(found) > 0 {
		t.Errorf("found %v, %v", found, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := target.Drift(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled question: %v", err)
	}
}
