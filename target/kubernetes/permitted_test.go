package kubernetes_test

import (
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
)

// The login of the lab may do what is needed; one that may less is told all of it.
func TestPermitted(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	env := deploy.Environment{Name: "production", Target: deploy.TargetSpec{Kind: "kubernetes", Cluster: l.place()}}
	if err := l.target(t, "shop", env).Permitted(t.Context()); err != nil {
		t.Errorf("%v\n%s", err, deploy.HintOf(err))
	}
	may := access.Least(l.namespace, access.Needs{})
	l.kubeconfig = clustertest.KubeconfigFor(t, l.namespace, may)
	err := l.target(t, "shop", env).Permitted(t.Context())
	if err == nil {
		t.Fatal("nothing is missing")
	}
	for _, says := range []string{"patch httproutes.gateway.networking.k8s.io in " + l.namespace, "get gateways.gateway.networking.k8s.io gateway in default", "nothing was changed"} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("%v does not say %q", err, says)
		}
	}
	if strings.Contains(err.Error(), "deployments") || !strings.Contains(deploy.HintOf(err), "kind: RoleBinding") {
		t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
	}
}
