package objects_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

var renew = flag.Bool("update", false, "write golden files anew")

func place() objects.Place {
	return objects.Place{App: "hello", Environment: "production", Namespace: "shop", Cluster: deploy.Cluster{
		Isolated: true,
		Gateway:  &deploy.Gateway{Name: "public", Namespace: "gateways", Host: "{environment}.example.com"},
	}}
}

func revision(spec deploy.Cluster, secrets ...deploy.Secret) deploy.Revision {
	env := deploy.Environment{
		Name:   "production",
		Target: deploy.TargetSpec{Kind: "kubernetes", Cluster: spec},
		Service: deploy.Service{
			Port: 8080, Health: "/healthz", Replicas: 3, StartTimeout: time.Minute, Drain: 10 * time.Second,
			Env: map[string]string{"PRICE": "$(OTHER) costs $5"},
		},
	}
	image := deploy.Image{Repository: "ghcr.io/acme/hello", Digest: "sha256:" + strings.Repeat("1", 64), Version: "1.4.2+build.5"}
	return deploy.NewRevision("hello", env, image, secrets)
}

// TestObjectsOfSlipwayYAML holds what slipway.yaml alone comes to against the
// golden file: read the difference before it is written anew.
func TestObjectsOfSlipwayYAML(t *testing.T) {
	p := place()
	r := revision(deploy.Cluster{
		Pod: deploy.Pod{CPU: "250m", Memory: "128Mi"}, Autoscale: &deploy.Autoscale{Min: 3, Max: 8},
	}, deploy.KnownSecret("API_KEY", "v1", ""))
	d, err := p.Deployment(r, 3)
	if err != nil {
		t.Fatal(err)
	}
	var docs []string
	for _, o := range []any{p.ServiceAccount(), p.Settings(r), d, p.Service(r), p.Budget(r), p.Fence(r), p.TaskFence(r), p.Autoscaler(r, 5, "uid"), p.Entry(r.ID), routeOf(t, p, objects.Traffic{Live: r.ID}).Object} {
		text, err := yaml.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		docs = append(docs, string(text))
	}
	got := strings.Join(docs, "---\n")
	path := filepath.Join("testdata", "objects.yaml")
	if *renew {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	back, err := objects.RevisionOf(d)
	if err != nil || back.ID != r.ID || back.Config.Settings["cpu"] != "250m" {
		t.Errorf("read back %+v, %v", back, err)
	}
}

func TestSecretsAreKeptByVersionAndNeverWrittenElsewhere(t *testing.T) {
	p := place()
	first := deploy.NewSecret("hello", "production", "API_KEY", "s3cr3t-value")
	second := deploy.NewSecret("hello", "production", "API_KEY", "another-value")
	if p.SecretName(first) == p.SecretName(second) {
		t.Error("two versions share an object")
	}
	r := revision(deploy.Cluster{}, first)
	d, err := p.Deployment(r, 1)
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(d)
	if err != nil || strings.Contains(string(text), "s3cr3t-value") {
		t.Errorf("the value is in the Deployment, or %v", err)
	}
	s := p.Secret(first)
	if s.Immutable == nil || !*s.Immutable || string(s.Data["API_KEY"]) != "s3cr3t-value" {
		t.Errorf("the object is %+v", s)
	}
}

// What slipway.yaml says of a variable goes over what the container would have
// anyway, and a revision without settings needs no object for them.
func TestSettings(t *testing.T) {
	p, r := place(), revision(deploy.Cluster{}, deploy.KnownSecret("API_KEY", "v1", ""))
	names := func() string {
		d, err := p.Deployment(r, 1)
		if err != nil {
			t.Fatal(err)
		}
		c := d.Spec.Template.Spec.Containers[0]
		text := ""
		for _, from := range c.EnvFrom {
			text += "all of " + from.ConfigMapRef.Name + " "
		}
		for _, v := range c.Env {
			text += v.Name + " "
		}
		return text
	}
	if got, want := names(), "all of "+p.Name(r.ID)+" PORT API_KEY "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	r.Config.Env["PORT"] = "9999"
	if got, want := names(), "all of "+p.Name(r.ID)+" API_KEY "; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	r.Config.Env = nil
	if got, want := names(), "PORT API_KEY "; got != want || p.Settings(r) != nil {
		t.Errorf("got %q and %v, want %q", got, p.Settings(r), want)
	}
}

func TestNamesAreOnesThatClustersTake(t *testing.T) {
	long := strings.Repeat("a", 63)
	for _, c := range [][2]string{{"hello", "production"}, {"1st", "pr-12"}, {long, "production"}, {long, long}, {"9", long}, {"a", "b"}} {
		p := objects.Place{App: c[0], Environment: c[1]}
		for _, name := range []string{p.Base(), p.Name("0123456789ab"), p.Name("0123456789ab-baseline")} {
			if wrong := validation.IsDNS1035Label(name); len(wrong) > 0 {
				t.Errorf("%v: %s: %v", c, name, wrong)
			}
		}
		if wrong := validation.IsDNS1123Subdomain(p.SecretName(deploy.KnownSecret("A", "1", ""))); len(wrong) > 0 {
			t.Errorf("%v: %v", c, wrong)
		}
		if name := p.Name("0123456789ab-baseline"); len(name) > 57 {
			t.Errorf("%v: the names of pods do not begin with %s", c, name)
		}
		if !p.Own(p.Base()) || !p.Own(p.Name("0123456789ab")) || !p.Own(p.Name("0123456789ab-baseline")) || p.Own(p.Base()+"-canary") || p.Own(p.Base()+"-baseline") || p.Own("x"+p.Base()) {
			t.Errorf("%v: it does not know its own names", c)
		}
	}
	if (objects.Place{App: long, Environment: "a"}).Base() == (objects.Place{App: long, Environment: "b"}).Base() {
		t.Error("what is cut off makes two environments one")
	}
}

func TestUsersAndQuantitiesThatCannotBe(t *testing.T) {
	for _, pod := range []deploy.Pod{{User: "0"}, {User: "root"}, {User: "-1"}, {CPU: "much"}, {Memory: "1X"}} {
		_, err := place().Deployment(revision(deploy.Cluster{Pod: pod}), 1)
		if !deploy.IsUsage(err) || deploy.HintOf(err) == "" {
			t.Errorf("%+v: want an error of usage with a hint, got %v", pod, err)
		}
	}
}

// othersRoute is our route after somebody else was there: another host, a rule
// of their own, a header and a mirror in ours, a backend beside ours.
func TestAutoscalersStayWithinTheirBounds(t *testing.T) {
	p := place()
	if a := p.Autoscaler(revision(deploy.Cluster{}), 3, "uid"); a != nil {
		t.Errorf("nobody asked for %+v", a)
	}
	r := revision(deploy.Cluster{Autoscale: &deploy.Autoscale{Min: 3, Max: 8, CPU: 90}})
	for floor, want := range map[int]int32{0: 3, 3: 3, 5: 5, 8: 8, 12: 8} {
		a := p.Autoscaler(r, floor, "uid")
		if *a.Spec.MinReplicas != want || a.Spec.MaxReplicas != 8 || *a.Spec.Metrics[0].Resource.Target.AverageUtilization != 90 {
			t.Errorf("a floor of %d is %+v", floor, a.Spec)
		}
	}
}

const othersRoute = `
metadata: {name: hello-production, namespace: shop, annotations: {slipway.dev/host: old.example.com, mine: kept}}
spec:
  hostnames: [old.example.com, theirs.example.com]
  rules:
  - matches: [{path: {type: PathPrefix, value: /api}}]
    backendRefs: [{name: api, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /}}]
    filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x, value: "1"}]}}]
    timeouts: {request: 5s}
    backendRefs:
    - {name: hello-production-aaaaaaaaaaaa, port: 80, weight: 10000}
    - {name: shadow, port: 80, weight: 1}
`

func TestRedirectLeavesWhatIsNotOurs(t *testing.T) {
	p := place()
	route := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(othersRoute), &route.Object); err != nil {
		t.Fatal(err)
	}
	if err := p.Redirect(route, objects.Traffic{Live: "aaaaaaaaaaaa", Candidate: "bbbbbbbbbbbb", Share: 12.5}); err != nil {
		t.Fatal(err)
	}
	want := `
metadata:
  name: hello-production
  namespace: shop
  annotations:
    mine: kept
    slipway.dev/host: production.example.com
    slipway.dev/live: aaaaaaaaaaaa
    slipway.dev/candidate: bbbbbbbbbbbb
    slipway.dev/share: "12.5"
spec:
  hostnames: [production.example.com, theirs.example.com]
  rules:
  - matches: [{path: {type: PathPrefix, value: /api}}]
    backendRefs: [{name: api, port: 80}]
  - matches: [{path: {type: PathPrefix, value: /}}]
    filters: [{type: RequestHeaderModifier, requestHeaderModifier: {set: [{name: x, value: "1"}]}}]
    timeouts: {request: 5s}
    backendRefs:
    - {group: "", kind: Service, name: hello-production-aaaaaaaaaaaa, port: 80, weight: 8750}
    - {group: "", kind: Service, name: hello-production-bbbbbbbbbbbb, port: 80, weight: 1250}
    - {name: shadow, port: 80, weight: 1}
`
	if diff := cmp.Diff(canonical(t, want), canonical(t, route.Object)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestRedirectSaysThatTheRouteWasTakenForSomethingElse(t *testing.T) {
	route := routeOf(t, place(), objects.Traffic{})
	if err := unstructured.SetNestedSlice(route.Object, []any{map[string]any{"backendRefs": []any{map[string]any{"name": "other"}}}}, "spec", "rules"); err != nil {
		t.Fatal(err)
	}
	before := route.DeepCopy()
	if err := place().Redirect(route, objects.Traffic{Live: "aaaaaaaaaaaa"}); err == nil || deploy.HintOf(err) == "" {
		t.Errorf("want an error with a hint, got %v", err)
	}
	if diff := cmp.Diff(before.Object, route.Object); diff != "" {
		t.Errorf("it was changed all the same:\n%s", diff)
	}
}

// A route can be moved by any sequence of traffics, and the last one counts.
func TestTrafficIsReadBack(t *testing.T) {
	p := place()
	route := routeOf(t, p, objects.Traffic{Candidate: "aaaaaaaaaaaa"})
	empty := p.Mark(objects.Traffic{})
	for _, traffic := range []objects.Traffic{
		{Live: "aaaaaaaaaaaa"},
		{Live: "aaaaaaaaaaaa", Candidate: "bbbbbbbbbbbb", Share: 100.0 / 3},
		{Live: "aaaaaaaaaaaa", Candidate: "bbbbbbbbbbbb", Share: 100},
		{Live: "aaaaaaaaaaaa", Candidate: "bbbbbbbbbbbb", Share: 20, Baseline: "aaaaaaaaaaaa-baseline", BaselineShare: 20},
		{Live: "aaaaaaaaaaaa", Candidate: "bbbbbbbbbbbb", Share: 66.7, Baseline: "aaaaaaaaaaaa-baseline", BaselineShare: 33.3},
		{Live: "bbbbbbbbbbbb", Baseline: "aaaaaaaaaaaa-baseline"},
		{Live: "bbbbbbbbbbbb", Standby: "aaaaaaaaaaaa", Key: "KEY"},
		{Live: "aaaaaaaaaaaa", Candidate: "bbbbbbbbbbbb", Admitted: true},
		{Live: "bbbbbbbbbbbb"},
		{},
		{Live: "aaaaaaaaaaaa"},
	} {
		if err := p.Redirect(route, traffic); err != nil {
			t.Fatal(err)
		}
		got, err := objects.ReadTraffic(route.GetAnnotations())
		if err != nil || got != traffic {
			t.Errorf("wrote %+v, read %+v, %v", traffic, got, err)
		}
		if (p.Mark(traffic) == empty) != (traffic == objects.Traffic{}) {
			t.Errorf("%+v has the mark of another traffic", traffic)
		}
		rules, _, _ := unstructured.NestedSlice(route.Object, "spec", "rules")
		if text := canonical(t, rules); !strings.Contains(text, p.Mark(traffic)) {
			t.Errorf("the gateway does not tell %+v: %s", traffic, text)
		}
	}
}

func TestTrafficBesideABaseline(t *testing.T) {
	both := objects.Traffic{Live: "a", Baseline: "a-baseline"}.Split("b", 25, 25)
	for _, c := range []struct {
		traffic objects.Traffic
		want    objects.Weights
	}{
		{both, objects.Weights{Live: 5000, Candidate: 2500, Baseline: 2500}},
		{both.Split("b", 66.7, 33.3), objects.Weights{Candidate: 6670, Baseline: 3330}},
		{both.Split("b", 99.999, 0.001), objects.Weights{Candidate: 10000}},
		{both.Split("b", 0, 50), objects.Weights{Live: 5000, Baseline: 5000}},
		{both.Drop("b"), objects.Weights{Live: 10000}},
		{both.Drop("a-baseline"), objects.Weights{Live: 7500, Candidate: 2500}},
		{both.Drop("a"), objects.Weights{}},
		{both.Begin("c"), objects.Weights{Live: 10000}},
		{both.Switch("b"), objects.Weights{Live: 10000}},
		{both.BeginBaseline("c-baseline"), objects.Weights{Live: 7500, Candidate: 2500}},
		{objects.Traffic{Baseline: "a-baseline", BaselineShare: 50}, objects.Weights{}},
	} {
		if got := c.traffic.Weights(); got != c.want {
			t.Errorf("%+v has the weights %+v, want %+v", c.traffic, got, c.want)
		}
	}
	if both.Switch("b").Baseline != "a-baseline" || both.Drop("b").Baseline != "a-baseline" {
		t.Error("the baseline runs on, and nobody knows of it")
	}
}

func routeOf(t *testing.T, p objects.Place, traffic objects.Traffic) *unstructured.Unstructured {
	t.Helper()
	route, err := p.Route(traffic)
	if err != nil {
		t.Fatal(err)
	}
	return route
}

func canonical(t *testing.T, v any) string {
	t.Helper()
	if text, is := v.(string); is {
		var o any
		if err := yaml.Unmarshal([]byte(text), &o); err != nil {
			t.Fatal(err)
		}
		v = o
	}
	text, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func FuzzReadTraffic(f *testing.F) {
	f.Add("a", "b", "12.5")
	f.Add("", "", "NaN")
	f.Fuzz(func(t *testing.T, live, candidate, share string) {
		got, err := objects.ReadTraffic(map[string]string{
			"slipway.dev/live": live, "slipway.dev/candidate": candidate, "slipway.dev/share": share,
		})
		if err != nil {
			return
		}
		again, err := objects.ReadTraffic(got.Annotate(nil))
		if err != nil || again != got {
			t.Errorf("%+v is read back as %+v, %v", got, again, err)
		}
	})
}
