package kubernetes_test

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
)

const renumber = `[{"op":"replace","path":"/spec/ports/0/port","value":81}]`

// The number of a port is by what a list of ports is merged: somebody who changes it
// leaves an entry that ours cannot be beside.
func TestRenumberedPortsOfSlipwaysOwnServicesAreRepaired(t *testing.T) {
	t.Parallel()
	d := newDrifting(t)
	own := "shop-production-" + d.live.ID
	d.edit("Service", "shop-production", "kubectl-edit", renumber)
	d.edit("Service", own, "kubectl-edit", renumber)
	found := d.drift()
	if len(found) != 2 {
		t.Fatalf("drift is %q", found)
	}
	for i, name := range []string{"shop-production", own} {
		if want := "Service " + name + `: .spec.ports was changed by "kubectl-edit" (Update): [{`; !strings.HasPrefix(found[i], want) || !strings.Contains(found[i], `"port":81`) {
			t.Errorf("drift is %q, not %s…", found[i], want)
		}
	}
	_, err := d.repair(nil)
	d.do(err)
	d.expects()
	d.served()
}

// A release is refused for what others have in its way; who goes back is not.
func TestGoingBackWinsOverWhatOthersHaveChanged(t *testing.T) {
	t.Parallel()
	s := newLab(t).site()
	s.grant(t)
	admin, err := dynamic.NewForConfig(clustertest.Config(t))
	must(t, err)
	d := &drifting{lab: s.lab, admin: admin}
	ruin := func() {
		d.edit("Service", "web", "kubectl-edit", renumber)
		d.edit("ConfigMap", "settings", "kubectl-edit", `{"data":{"word":"theirs"}}`)
	}
	right := func(when, word string) {
		t.Helper()
		service, err := s.kube.CoreV1().Services(s.namespace).Get(t.Context(), "web", metav1.GetOptions{})
		must(t, err)
		if ports := service.Spec.Ports; len(ports) != 1 || ports[0].Port != 8080 || s.word(t) != word {
			t.Errorf("%s the Service has the ports %v, and the ConfigMap %q", when, ports, s.word(t))
		}
	}

	target, v1 := s.version(t, "v1", s.bundle(t, "one", ""))
	must(t, target.Start(t.Context(), v1))
	must(t, target.Switch(t.Context(), v1))
	must(t, target.Write(t.Context(), deploy.Record{Phase: deploy.PhaseSettled, Outcome: deploy.Promoted, Candidate: v1}))
	target, v2 := s.version(t, "v2", s.bundle(t, "two", ""))
	must(t, target.Start(t.Context(), v2))
	ruin()
	must(t, target.Stop(t.Context(), v2))
	right("after a release was taken back", "one")

	ruin()
	err = target.Accepts(t.Context())
	for _, part := range []string{`/web: {"name":"http","port":81,`, `"kubectl-edit" (Update, 2`, `is in the way of [{"name":"http","port":8080,"targetPort":"http"}] in .spec.ports`, "nothing was changed"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("it does not say %q: %v", part, err)
		}
	}
	if !strings.Contains(deploy.HintOf(err), "force") {
		t.Errorf("the hint is %q", deploy.HintOf(err))
	}
	again := s.later(t)
	must(t, again.Start(t.Context(), v1))
	right("after a rollback", "one")
}
