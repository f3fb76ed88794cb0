package kubernetes_test

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/targettest"
)

// foretold is a forecast as lines, without the namespace.
func foretold(namespace string, f deploy.Forecast) []string {
	var lines []string
	for _, o := range f.Objects {
		name := string(o.Fate) + " " + strings.ReplaceAll(o.Object, namespace+"/", "")
		for _, field := range o.Fields {
			lines = append(lines, name+" "+field.String())
		}
		if len(o.Fields) == 0 {
			lines = append(lines, name)
		}
	}
	return lines
}

func demand(t *testing.T, got []string, want ...string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("foretold\n  %s\nnot\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

// What slipway.yaml alone comes to is compared with the live revision's objects, each
// under its own name, and nothing is changed by it.
func TestForecastOfSlipwaysOwnObjects(t *testing.T) {
	t.Parallel()
	d := newDrifting(t, deploy.NewSecret("shop", "production", "API_KEY", "one"))
	before := d.versions()
	env := d.env
	env.Service.Env = map[string]string{"COLOR": "red", "PRICE": "5$", "NEW": "1"}
	env.Service.Replicas = 3
	image := targettest.Push(t, targettest.Image(t, "-name", "two"), d.repository(), "1.1.0")
	r := deploy.NewRevision("shop", env, image, []deploy.Secret{deploy.NewSecret("shop", "production", "API_KEY", "two")})
	f, err := d.target.Forecast(d.limited(), r)
	d.do(err)
	own := "shop-production-" + r.ID
	lines := foretold(d.namespace, f)
	for i := range lines { // the Secret's name is a hash of its version
		if strings.HasPrefix(lines[i], "changed Secret shop-production-") {
			_, field, _ := strings.Cut(lines[i], " .")
			lines[i] = "changed Secret ." + field
		}
	}
	demand(t, lines,
		`changed ConfigMap `+own+` .data.COLOR: "blue" → "red"`,
		`changed ConfigMap `+own+` .data.NEW: added "1"`,
		`changed Deployment `+own+` .spec.replicas: 2 → 3`,
		`changed Deployment `+own+` .spec.template.spec.containers[name="app"].image: "`+d.live.Image.Reference()+`" → "`+image.Reference()+`"`,
		`changed Secret .data.API_KEY: changed (hidden)`)
	if f.Unchanged < 5 || len(f.Unknown) > 0 {
		t.Errorf("%d stay as they are; not known: %q", f.Unchanged, f.Unknown)
	}
	if after := d.versions(); before != after {
		t.Errorf("the objects were\n%s\nand are\n%s", before, after)
	}
	// The image may not be built yet.
	r.Image.Digest = ""
	f, err = d.target.Forecast(d.limited(), r)
	d.do(err)
	if got := strings.Join(foretold(d.namespace, f), "\n"); !strings.Contains(got, `changed ConfigMap shop-production-… .data.COLOR: "blue" → "red"`) {
		t.Errorf("foretold\n%s", got)
	}
}

// versions are the names and versions of all that is there.
func (d *drifting) versions() string {
	d.Helper()
	var all []string
	for _, kind := range []string{"Service", "ServiceAccount", "ConfigMap", "Secret", "HTTPRoute", "Budget", "Policy"} {
		list, err := d.api(kind).List(d.limited(), metav1.ListOptions{})
		d.do(err)
		for i := range list.Items {
			all = append(all, kind+" "+list.Items[i].GetName()+" "+list.Items[i].GetResourceVersion())
		}
	}
	return strings.Join(all, "\n")
}

// Of a user's own manifests the plan tells what would be made, changed and pruned, a
// copied ConfigMap by what is in it, and whose fields a release would be refused for.
func TestForecastOfManifests(t *testing.T) {
	t.Parallel()
	s := newLab(t).site()
	s.grant(t)
	target, v1 := s.version(t, "v1", s.bundle(t, "one", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: gone}\n---"))
	f, err := target.Forecast(t.Context(), v1)
	must(t, err)
	base := "shop-production"
	demand(t, foretold(s.namespace, f),
		"made ConfigMap gone", "made ConfigMap settings", "made Deployment worker", "made HTTPRoute web", "made Service web",
		"made Deployment "+base+"-"+v1.ID, "made Service "+base+"-"+v1.ID)
	must(t, target.Start(t.Context(), v1))
	must(t, target.Switch(t.Context(), v1))
	state, err := target.State(t.Context())
	must(t, err)
	must(t, target.Write(t.Context(), deploy.Record{Version: state.Record.Version, Phase: deploy.PhaseSettled, Outcome: deploy.Promoted, Candidate: v1}))

	next, v2 := s.version(t, "v2", s.bundle(t, "two", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: fresh}\n---"))
	f, err = next.Forecast(t.Context(), v2)
	must(t, err)
	change := `"` + v1.Image.Reference() + `" → "` + v2.Image.Reference() + `"`
	want := []string{
		"made ConfigMap fresh", "removed ConfigMap gone",
		`changed ConfigMap settings .data.word: "one" → "two"`,
		`changed Deployment worker .spec.template.spec.containers[name="worker"].image: ` + change,
		`changed Deployment ` + base + `-` + v2.ID + ` .spec.template.spec.containers[name="web"].image: ` + change,
		`changed Deployment ` + base + `-` + v2.ID + ` .spec.template.spec.containers[name="sidecar"].image: ` + change,
	}
	demand(t, foretold(s.namespace, f), want...)

	_, err = s.kube.AppsV1().Deployments(s.namespace).Patch(t.Context(), "worker", types.StrategicMergePatchType,
		[]byte(`{"spec":{"template":{"spec":{"containers":[{"name":"worker","env":[{"name":"PORT","value":"7071"}]}]}}}}`),
		metav1.PatchOptions{FieldManager: "kubectl-edit"})
	must(t, err)
	f, err = next.Forecast(t.Context(), v2)
	if err == nil || !deploy.IsUsage(err) || !strings.Contains(err.Error(), `env[name="PORT"].value is owned by "kubectl-edit"`) || deploy.HintOf(err) == "" {
		t.Errorf("got %v (%s), want whose field it is", err, deploy.HintOf(err))
	}
	if got := foretold(s.namespace, f); !slices.Contains(got, want[2]) {
		t.Errorf("beside the conflict it tells %q", got)
	}
}
