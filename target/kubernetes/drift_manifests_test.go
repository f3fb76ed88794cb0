package kubernetes_test

import (
	"testing"

	"k8s.io/client-go/dynamic"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
)

// released is a user's own manifests of which the first version has all users.
func (s *site) released(t *testing.T) *drifting {
	t.Helper()
	target, v1 := s.version(t, "v1", s.bundle(t, "one", ""))
	must(t, target.Start(t.Context(), v1))
	must(t, target.Switch(t.Context(), v1))
	admin, err := dynamic.NewForConfig(clustertest.Config(t))
	must(t, err)
	d := &drifting{lab: s.lab, target: target, live: v1, admin: admin}
	d.record(deploy.Record{Phase: deploy.PhaseSettled, Outcome: deploy.Promoted, Candidate: v1})
	return d
}

// What others change of an app of a user's own manifests is told by a process that
// does not have them, and put back: what revisions share, what is a revision's own,
// and whom their Service and route lead to.
func TestDriftOfManifests(t *testing.T) {
	t.Parallel()
	s := newLab(t).site()
	s.grant(t)
	d := s.released(t)
	v1 := d.live
	d.target = s.later(t)
	d.expects()

	own := "shop-production-" + v1.ID
	d.edit("ConfigMap", "settings", "kubectl-edit", `{"data":{"word":"two"}}`)
	d.edit("Deployment", "worker", "kubectl-edit", `{"spec":{"template":{"spec":{"containers":[{"name":"worker","env":[{"name":"PORT","value":"7071"}]}]}}}}`)
	d.edit("Deployment", own, "kubectl-edit", `{"spec":{"template":{"spec":{"containers":[{"name":"web","env":[{"name":"ADDED","value":"by hand"}]}]}}}}`)
	d.edit("Service", "web", "kubectl-edit", `{"spec":{"selector":{"slipway.dev/revision":"elsewhere"}}}`)
	d.edit("HTTPRoute", "web", "kubectl-edit", `[{"op":"replace","path":"/spec/rules/1/filters/0/requestRedirect/hostname","value":"nowhere.example"}]`)
	right := `{"slipway.dev/app":"shop","slipway.dev/environment":"production","slipway.dev/revision":"` + v1.ID + `"}`
	wrong := `{"slipway.dev/app":"shop","slipway.dev/environment":"production","slipway.dev/revision":"elsewhere"}`
	all := []string{
		`ConfigMap settings: .data.word was changed by "kubectl-edit" (Update): "one" is now "two"`,
		`Deployment worker: .spec.template.spec.containers[name="worker"].env[name="PORT"].value was changed by "kubectl-edit" (Update): "7070" is now "7071"`,
		`Deployment ` + own + `: .spec.template.spec.containers[name="web"].env[name="ADDED"].value was changed by "kubectl-edit" (Update): "by slipway.yaml" is now "by hand"`,
		`Service web: .spec.selector was changed by "kubectl-edit" (Update): ` + right + ` is now ` + wrong,
		`HTTPRoute web: .spec.rules[1].filters[0].requestRedirect.hostname was changed by "kubectl-edit" (Update): "elsewhere.example" is now "nowhere.example"`,
	}
	d.expects(all...)
	undone, err := d.repair(nil)
	d.do(err)
	if len(undone) != len(all) {
		t.Errorf("it says that it has undone %v", d.said(undone))
	}
	d.expects()
	s.waitBehind(t, v1.ID)
	s.route(t)

	d.remove("Service", "web")
	d.remove("Deployment", "worker")
	d.expects("Service web is missing", "Deployment worker is missing")
	_, err = d.repair(nil)
	d.do(err)
	d.expects()
	s.waitBehind(t, v1.ID)
	if s.word(t) != "one" {
		t.Errorf("the ConfigMap has %q", s.word(t))
	}

	// The next version goes on from there: what was put back is no conflict.
	next, v2 := s.version(t, "v2", s.bundle(t, "two", ""))
	must(t, next.Start(t.Context(), v2))
	must(t, next.Switch(t.Context(), v2))
	must(t, next.Stop(t.Context(), v1))
	s.waitBehind(t, v2.ID)
	if got := s.answers(t, "/env?SHARED"); got["two"] != 100 {
		t.Errorf("users get %v", got)
	}
}
