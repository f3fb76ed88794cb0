package apply

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const secret1 = `
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {password: hunter2-the-first}
`

func (c *cluster) drift(text string) []Difference {
	c.Helper()
	found, err := c.client.Drift(c.Context(), objects(c.T, text), c.options())
	if err != nil {
		c.Fatalf("drift: %v", err)
	}
	return found
}

// said are differences as people read them, without the namespace and times.
func (c *cluster) said(found []Difference) []string {
	c.Helper()
	var said []string
	for _, d := range found {
		if d.Manager != "" && time.Since(d.At) > time.Hour {
			c.Errorf("%s at %s", d, d.At)
		}
		d.At = time.Time{}
		said = append(said, strings.ReplaceAll(d.String(), c.namespace+"/", ""))
	}
	return said
}

func TestDriftOfEachKindIsFoundAndRepaired(t *testing.T) {
	c := open(t)
	extra := strings.Replace(settings1, "name: settings", "name: extra", 1)
	set := settings1 + "\n---\n" + idle + "\n---\n" + secret1 + "\n---\n" + extra
	c.apply(c.options(), objects(t, set)...)
	if found := c.drift(set); len(found) != 0 {
		t.Fatalf("there is a difference at once: %v", c.said(found))
	}

	c.remove("ConfigMap", "extra")
	c.change("ConfigMap", "settings", "kubectl-edit", `{"data":{"color":"green","size":null,"weight":"heavy"}}`)
	c.change("Secret", "login", "vault", `{"data":{"password":"aHVudGVyMi10aGUtc2Vjb25k","other":"aHVudGVyMi10aGUtdGhpcmQ="}}`)
	c.change("Deployment", "web", "kubectl-set", `{"spec":{"template":{
		"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"2026-01-02T03:04:05Z"}},
		"spec":{"containers":[{"name":"app","env":[{"name":"DEBUG","value":"1"},{"name":"COLOR","value":"black"}]},{"name":"sidecar","image":"registry.invalid/side:1"}]}}}}`)

	want := []string{
		`ConfigMap extra is missing`,
		`ConfigMap settings: .data.color was changed by "kubectl-edit" (Update): "blue" is now "green"`,
		`ConfigMap settings: .data.size was removed: "small"`,
		`ConfigMap settings: .data.weight was added by "kubectl-edit" (Update): "heavy"`,
		`Secret login: .data.other was added by "vault" (Update): (hidden)`,
		`Secret login: .data.password was changed by "vault" (Update): (hidden) is now (hidden)`,
		`Deployment web: .spec.template.spec.containers[name="app"].env[name="COLOR"].value was changed by "kubectl-set" (Update): "blue" is now "black"`,
		`Deployment web: .spec.template.spec.containers[name="app"].env[name="DEBUG"] was added by "kubectl-set" (Update): {"name":"DEBUG","value":"1"}`,
	}
	found := c.drift(set)
	said := c.said(found)
	sidecar := ""
	if n := len(said); n > 0 {
		// The rest of the container are the server's defaults.
		sidecar, said = said[n-1], said[:n-1]
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
	if !strings.HasPrefix(sidecar, `Deployment web: .spec.template.spec.containers[name="sidecar"] was added by "kubectl-set" (Update): {"image":"registry.invalid/side:1"`) {
		t.Errorf("of the sidecar is said: %s", sidecar)
	}
	if strings.Contains(strings.Join(said, " "), "hunter2") || strings.Contains(strings.Join(said, " "), "aHVud") {
		t.Error("a secret is shown")
	}

	if _, err := c.client.Repair(t.Context(), objects(t, set), found, c.options()); err != nil {
		t.Fatalf("repair: %v", err)
	}
	if found := c.drift(set); len(found) != 0 {
		t.Errorf("left after the repair: %v", c.said(found))
	}
	if c.get("ConfigMap", "extra") == nil {
		t.Error("what was missing is missing")
	}
	if got := field(t, c.get("Secret", "login"), "data"); !strings.Contains(got, "aHVudGVyMi10aGUtZmlyc3Q=") || strings.Contains(got, "other") {
		t.Errorf("the secret has %s", got)
	}
}

func TestRepairTouchesNothingElse(t *testing.T) {
	c := open(t)
	other := strings.Replace(settings1, "name: settings", "name: other", 1)
	set := settings1 + "\n---\n" + other
	c.apply(c.options(), objects(t, set)...)
	c.change("ConfigMap", "settings", "kubectl-edit", `{"data":{"color":"green"}}`)
	found := c.drift(set)
	c.change("ConfigMap", "other", "kubectl-edit", `{"data":{"color":"green"}}`)
	result, err := c.client.Repair(t.Context(), objects(t, set), found, c.options())
	if err != nil {
		t.Fatal(err)
	}
	if len(result.Changed) != 1 || result.Changed[0].Name != "settings" {
		t.Errorf("%+v", result)
	}
	if got := field(t, c.get("ConfigMap", "other"), "data", "color"); got != "green" {
		t.Errorf("what nobody asked for was repaired: %s", got)
	}
}

func TestDriftIgnoresWhatItIsTold(t *testing.T) {
	c := open(t)
	c.apply(c.options(), object(t, settings1))
	c.change("ConfigMap", "settings", "kubectl-edit", `{"data":{"color":"green","weight":"heavy"}}`)
	o := c.options()
	o.Ignore = func(d Difference) bool { return d.Field == ".data.weight" }
	found, err := c.client.Drift(t.Context(), objects(t, settings1), o)
	if err != nil || len(found) != 1 || found[0].Field != ".data.color" {
		t.Errorf("found %v: %v", found, err)
	}
}
