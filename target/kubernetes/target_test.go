package kubernetes_test

import (
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes"
	"github.com/slipway-ci/slipway/target/targettest"
)

// TestTarget holds the driver against the contracts, in a real cluster behind a
// real gateway.
func TestTarget(t *testing.T) {
	l := newLab(t)
	targettest.Run(t, targettest.Driver{
		Repository: l.repository(),
		Open: func(t *testing.T, app string, env deploy.Environment) deploy.Target {
			place := l.place()
			if strings.Contains(t.Name(), "lost") {
				place.PreStop = 0 // as users have it; the other cases save the time
			}
			env.Target = deploy.TargetSpec{Kind: "kubernetes", Cluster: place}
			return l.target(t, app, env)
		},
		Patience:  3 * time.Minute,
		Unplaced:  kubernetes.Unplaced,
		Transport: l.users,
	})
}
