package kubernetes_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/targettest"
)

// TestTarget holds the driver against the contracts, in a real cluster behind a
// real gateway.
func TestTarget(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	targettest.Run(t, targettest.Driver{
		Repository: l.repository(),
		Open: func(t *testing.T, app string, env deploy.Environment) deploy.Target {
			place := l.place()
			place.Pod.CPU = little
			if strings.Contains(t.Name(), "lost") {
				place.PreStop = 0 // as users have it; the other cases save the time
			}
			if strings.Contains(t.Name(), "stay") || strings.Contains(t.Name(), "their_shares") {
				place.Gateway.Sticky = &deploy.Sticky{Cookie: "session"} // and otherwise chance alone decides
			}
			env.Target = deploy.TargetSpec{Kind: "kubernetes", Cluster: place}
			return l.target(t, app, env)
		},
		Patience:  3 * time.Minute,
		Known:     session,
		Parallel:  true,
		Transport: l.users,
		Skip: func(name string) string {
			if strings.Contains(name, "are counted") || strings.Contains(name, "counts against") {
				return "the gateway counts, and a Prometheus tells it"
			}
			return ""
		},
	})
}

// session is a user with the cookie of an app's session.
func session() http.Header {
	return http.Header{"Cookie": {fmt.Sprintf("theme=dark; session=%016x", rand.Uint64())}}
}
