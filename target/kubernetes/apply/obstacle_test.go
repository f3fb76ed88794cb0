package apply

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/slipway-ci/slipway/deploy"
)

// Lists of ports are merged by number and protocol: a number that somebody has changed
// leaves an entry that ours cannot be beside. kinds are the ones that this was seen of.
var renumbered = []struct {
	name, kind, object, edit string
	list, wanted, live       string
	path                     []string
}{
	{
		name: "a port with a name", kind: "Service",
		object: `{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{name: http, port: 80}, {name: admin, port: 90}]}}`,
		edit:   `[{"op":"replace","path":"/spec/ports/0/port","value":81}]`,
		list:   ".spec.ports", wanted: `[{"name":"http","port":80}]`, live: `[{"name":"http","port":81,"protocol":"TCP","targetPort":80}]`,
		path: []string{"spec", "ports"},
	},
	{
		name: "the only port, without one", kind: "Service",
		object: `{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{port: 80}]}}`,
		edit:   `[{"op":"replace","path":"/spec/ports/0/port","value":81}]`,
		list:   ".spec.ports", wanted: `[{"port":80}]`, live: `[{"port":81,"protocol":"TCP","targetPort":80}]`,
		path: []string{"spec", "ports"},
	},
	{
		name: "a port of a container", kind: "apps/Deployment",
		object: strings.Replace(idle, "[{containerPort: 8080}]", "[{name: http, containerPort: 80}, {name: admin, containerPort: 90}]", 1),
		edit:   `[{"op":"replace","path":"/spec/template/spec/containers/0/ports/0/containerPort","value":81}]`,
		list:   `.spec.template.spec.containers[name="app"].ports`, wanted: `[{"containerPort":80,"name":"http"}]`, live: `[{"containerPort":81,"name":"http","protocol":"TCP"}]`,
		path: []string{"spec", "template", "spec", "containers"},
	},
}

// edit changes an object by a JSON patch, as somebody else does.
func (c *cluster) edit(kind, name, manager, patch string) {
	c.Helper()
	c.patch(c.client, c.get(kind, name), types.JSONPatchType, manager, []byte(patch))
}

func TestAChangedMergeKeyIsDriftAndARepairUndoesIt(t *testing.T) {
	for _, c := range renumbered {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k := open(t)
			k.apply(k.options(), object(t, c.object))
			before := field(t, k.get(c.kind, "web"), c.path...)
			k.edit(c.kind, "web", "kubectl-edit", c.edit)
			short := c.kind[strings.Index(c.kind, "/")+1:]
			want := fmt.Sprintf(`%s web: %s was changed by "kubectl-edit" (Update): %s is now %s`, short, c.list, c.wanted, c.live)
			found := k.drift(c.object)
			if got := k.said(found); len(got) != 1 || got[0] != want {
				t.Errorf("drift is\n%s\nnot\n%s", strings.Join(got, "\n"), want)
			}
			if _, err := k.client.Repair(t.Context(), objects(t, c.object), found, k.options()); err != nil {
				t.Fatal(err)
			}
			if found := k.drift(c.object); len(found) != 0 {
				t.Errorf("left after the repair: %v", k.said(found))
			}
			if got := field(t, k.get(c.kind, "web"), c.path...); got != before {
				t.Errorf("it has\n%s\nand had\n%s", got, before)
			}
			// What the repair wrote is the set's alone: an entry that the set gives up goes.
			for _, e := range k.get(c.kind, "web").GetManagedFields() {
				if e.Manager == Manager && e.Operation == "Update" && strings.Contains(e.FieldsV1.String(), "ports") {
					t.Errorf("its ports are held a second time: %s", e.FieldsV1)
				}
			}
		})
	}
}

func TestAChangedMergeKeyIsAConflictThatForceTakes(t *testing.T) {
	for _, c := range renumbered {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			k := open(t)
			k.apply(k.options(), object(t, c.object))
			before := field(t, k.get(c.kind, "web"), c.path...)
			k.edit(c.kind, "web", "kubectl-edit", c.edit)
			edited := field(t, k.get(c.kind, "web"), c.path...)

			_, err := k.client.Apply(t.Context(), objects(t, c.object), k.options())
			conflict, is := errors.AsType[*Conflict](err)
			if !is || len(conflict.Fields) != 1 {
				t.Fatalf("it is refused with: %v", err)
			}
			held := conflict.Fields[0]
			if held.Field != c.list || held.Manager != "kubectl-edit" || held.Applied != c.wanted || held.Live != strings.Trim(c.live, "[]") || held.Since.IsZero() {
				t.Errorf("it is refused for %+v", held)
			}
			if !strings.Contains(deploy.HintOf(err), "force") {
				t.Errorf("the hint is %q", deploy.HintOf(err))
			}
			if field(t, k.get(c.kind, "web"), c.path...) != edited {
				t.Error("what was refused has changed the object")
			}

			force := k.options()
			force.Force = true
			foreseen, _, err := k.client.Foresee(t.Context(), objects(t, c.object), force)
			if err != nil || len(foreseen) != 1 || len(foreseen[0].Taken) != 1 || field(t, k.get(c.kind, "web"), c.path...) != edited {
				t.Fatalf("foreseen is %+v: %v", foreseen, err)
			}
			result := k.apply(force, object(t, c.object))
			if len(result.Taken) != 1 || result.Taken[0] != held || len(result.Changed) != 1 {
				t.Errorf("by force it did %+v", result)
			}
			got := k.get(c.kind, "web")
			if ports := field(t, got, c.path...); ports != before || field(t, foreseen[0].After, c.path...) != before {
				t.Errorf("it has\n%s\nand had\n%s\nforeseen was\n%s", ports, before, field(t, foreseen[0].After, c.path...))
			}
			if result := k.apply(k.options(), object(t, c.object)); len(result.Taken) > 0 {
				t.Errorf("the next time it did %+v", result)
			}
		})
	}
}

// What is the manifest's own mistake is told as such, whatever others have beside it.
func TestAMistakeIsNotBlamedOnOthers(t *testing.T) {
	t.Parallel()
	c := open(t)
	good := `{apiVersion: v1, kind: Service, metadata: {name: web}, spec: {selector: {app: web}, ports: [{name: http, port: 80}]}}`
	c.apply(c.options(), object(t, good))
	c.edit("Service", "web", "kubectl-edit", `[{"op":"add","path":"/spec/ports/-","value":{"name":"more","port":91}}]`)
	force := c.options()
	force.Force = true
	for _, bad := range []string{
		strings.Replace(good, "{name: http, port: 80}", "{name: http, port: 80}, {name: http, port: 82}", 1),
		strings.Replace(good, "{name: http, port: 80}", "{name: http, port: 80}, {port: 82}", 1),
	} {
		_, err := c.client.Apply(t.Context(), objects(t, bad), force)
		if err == nil || !strings.Contains(deploy.HintOf(err), "manifest is at fault") {
			t.Errorf("%s: %v (%s)", bad, err, deploy.HintOf(err))
		}
	}
	// An entry that is in nobody's way stays.
	if result := c.apply(force, object(t, good)); len(result.Taken) > 0 || !strings.Contains(field(t, c.get("Service", "web"), "spec", "ports"), "more") {
		t.Errorf("it did %+v", result)
	}
}
