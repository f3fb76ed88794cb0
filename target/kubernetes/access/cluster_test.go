package access_test

import (
	"os"
	"testing"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
)

func TestOpens(t *testing.T) {
	path := os.Getenv("KUBECONFIG")
	if path == "" {
		t.Skip("KUBECONFIG names no cluster")
	}
	c, err := access.Open(t.Context(), access.Options{Files: access.Files(path)})
	if err != nil {
		t.Fatal(err, deploy.HintOf(err))
	}
	t.Log(c, c.Version, c.Namespace, c.Requests())
	t.Log(c.Missing(t.Context(), []access.Permission{{Verb: "create", Group: "apps", Resource: "deployments"}, {Verb: "create", Resource: "namespaces", Wide: true}}))
	t.Log(c.Requests())
}
