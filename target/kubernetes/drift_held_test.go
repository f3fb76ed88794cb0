package kubernetes_test

import (
	"maps"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
)

// While a rollout of a user's own manifests is held or watched, what revisions share
// is to be as its candidate has it, and the shares are to be those in force: a repair
// moves nobody but back to them.
func TestDriftOfManifestsWhileARolloutIsHeld(t *testing.T) {
	t.Parallel()
	s := newLab(t).site()
	s.grant(t)
	d := s.released(t)
	v1 := d.live
	target, v2 := s.version(t, "v2", s.bundle(t, "two", ""))
	must(t, target.Start(t.Context(), v2))
	must(t, target.Split(t.Context(), v2, 20))
	d.record(deploy.Record{Phase: deploy.PhaseHeld, Candidate: v2, Previous: v1, Share: 20})
	d.target = s.later(t)
	d.expects()

	ours, copied := "shop-production-"+v2.ID, ""
	for _, m := range s.copiesOf(t, "settings") {
		if m.Data["word"] == "two" {
			copied = m.Name
		}
	}
	d.edit("ConfigMap", "settings", "kubectl-edit", `{"data":{"word":"three"}}`)
	d.edit("Deployment", ours, "kubectl-edit", `{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"ADDED","value":"by hand"}]}]}}}}`)
	d.edit("HTTPRoute", "web", "kubectl-edit", `[{"op":"replace","path":"/spec/rules/0/backendRefs/1/weight","value":9000}]`)
	d.edit("Service", "web", "kubectl-edit", `{"spec":{"selector":{"slipway.dev/revision":"`+v2.ID+`"}}}`)
	d.remove("ConfigMap", copied)
	leads := func(id string) string {
		return `{"slipway.dev/app":"shop","slipway.dev/environment":"production","slipway.dev/revision":"` + id + `"}`
	}
	d.expects(
		`ConfigMap settings: .data.word was changed by "kubectl-edit" (Update): "two" is now "three"`,
		`ConfigMap `+copied+` is missing`,
		`Deployment `+ours+`: .spec.template.spec.containers[name="web"].env[name="ADDED"].value was changed by "kubectl-edit" (Update): "by slipway.yaml" is now "by hand"`,
		`HTTPRoute web: .spec.rules[0].backendRefs[1].weight was changed by "kubectl-edit" (Update): 2000 is now 9000`,
		`Service web: .spec.selector was changed by "kubectl-edit" (Update): `+leads(v1.ID)+` is now `+leads(v2.ID),
	)
	_, err := d.repair(nil)
	d.do(err)
	d.expects()
	s.waitBehind(t, v1.ID)
	s.splits(t, map[string]int{"one": 80, "two": 20})

	// All have the new version, and the old one stands by.
	must(t, target.Switch(t.Context(), v2))
	d.record(deploy.Record{Phase: deploy.PhaseBaking, Candidate: v2, Previous: v1, Share: 100})
	d.expects()
	d.edit("HTTPRoute", "web", "kubectl-edit", `[{"op":"replace","path":"/spec/rules/0/backendRefs/0/name","value":"shop-production-`+v1.ID+`"}]`)
	d.edit("ConfigMap", "settings", "kubectl-edit", `{"data":{"word":"one"}}`)
	d.expects(
		`ConfigMap settings: .data.word was changed by "kubectl-edit" (Update): "two" is now "one"`,
		`HTTPRoute web: .spec.rules[0].backendRefs[0].name was changed by "kubectl-edit" (Update): "`+ours+`" is now "shop-production-`+v1.ID+`"`,
	)
	_, err = d.repair(nil)
	d.do(err)
	d.expects()
	s.splits(t, map[string]int{"two": 100})
}

// splits waits until a hundred users get the words of these versions: a gateway
// under load may follow late.
func (s *site) splits(t *testing.T, want map[string]int) {
	t.Helper()
	var got map[string]int
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(200 * time.Millisecond) {
		if got = s.answers(t, "/env?SHARED"); maps.Equal(got, want) {
			return
		}
	}
	t.Errorf("users get %v, not %v", got, want)
}
