package access

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd/api"

	"github.com/slipway-ci/slipway/deploy"
)

const two = `
apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: very-secret}}]
contexts:
- {name: staging, context: {cluster: c, user: u, namespace: shop}}
- {name: production, context: {cluster: c, user: u}}
- {name: broken, context: {cluster: nowhere, user: u}}
`

func kept(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMistakesInWhatIsGiven(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	plugin := strings.Replace(two, "token: very-secret", `exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: no-such-login, installHint: "get it at example.com"}`, 1)
	for name, c := range map[string]struct {
		o          Options
		says, hint string
	}{
		"nothing":                {Options{}, "no cluster is named", "input kubeconfig"},
		"nothing at home":        {Options{Home: "/nowhere"}, "/nowhere/.kube/config", "KUBECONFIG"},
		"a file that is missing": {Options{Files: []string{"/nowhere/a", "/nowhere/b"}, Home: "/"}, "no kubeconfig at /nowhere/a, /nowhere/b", "a file that exists"},
		"not a kubeconfig":       {Options{Kubeconfig: "very-secret: ["}, "is not one", "kubectl config view --raw"},
		"a file that is not one": {Options{Files: []string{kept(t, "very-secret: [")}}, "cannot be read as a kubeconfig", "kubectl config view"},
		"no current context":     {Options{Kubeconfig: two}, "no current context", "broken, production, staging"},
		"no context":             {Options{Kubeconfig: "apiVersion: v1\nkind: Config\n"}, "has no context", "set-context"},
		"an unknown context":     {Options{Kubeconfig: two, Context: "prodution"}, `no context "prodution"`, `did you mean "production"?`},
		"a context far from all": {Options{Kubeconfig: two, Context: "xyz"}, `no context "xyz"`, "contexts there are: broken, production, staging"},
		"a context half there":   {Options{Kubeconfig: two, Context: "broken"}, `on the cluster "nowhere", which is not described`, "--minify --context broken"},
		"a program that is not":  {Options{Kubeconfig: plugin, Context: "staging"}, `"no-such-login", which is not on this machine`, "get it at example.com"},
		"a context in a cluster": {Options{Context: "staging"}, "no cluster is named", "kubeconfig"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(t.Context(), c.o)
			if err == nil || !deploy.IsUsage(err) || !strings.Contains(err.Error(), c.says) || !strings.Contains(deploy.HintOf(err), c.hint) {
				t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
			}
			if err != nil && strings.Contains(err.Error()+deploy.HintOf(err), "very-secret") {
				t.Errorf("a secret is told: %v", err)
			}
		})
	}
}

func TestFilesAreMerged(t *testing.T) {
	cluster := kept(t, "apiVersion: v1\nkind: Config\ncurrent-context: staging\n")
	way, err := choose(Options{Files: Files(cluster + string(os.PathListSeparator) + kept(t, two))})
	if err != nil || way.context != "staging" || way.namespace != "shop" || way.config.Host != "https://127.0.0.1:1" || way.config.BearerToken != "very-secret" {
		t.Errorf("got %+v, %v", way, err)
	}
}

func TestACloudsLibraryStandsInForAProgramThatIsMissing(t *testing.T) {
	t.Setenv("PATH", "")
	login := &api.AuthInfo{Exec: &api.ExecConfig{Command: "aws", Args: []string{"eks", "get-token", "--cluster-name", "shop"}}}
	if got, err := stands(login, "c", "f", ""); err != nil || got == nil || got.Name != "the AWS SDK" {
		t.Errorf("got %v, %v", got, err)
	}
	dir := t.TempDir()
	if err := os.Symlink("/bin/true", filepath.Join(dir, "aws")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	if got, err := stands(login, "c", "f", ""); err != nil || got != nil {
		t.Errorf("it stands in for a program that is there: %v, %v", got, err)
	}
}

func TestAServerThatIsNotThere(t *testing.T) {
	began := time.Now()
	_, err := Open(t.Context(), Options{Kubeconfig: two, Context: "staging"})
	if err == nil || deploy.IsUsage(err) || !strings.Contains(err.Error(), "https://127.0.0.1:1 (context staging) cannot be reached") || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v after %s", err, time.Since(began))
	}
	if !strings.Contains(deploy.HintOf(err), "the kubeconfig that was given") {
		t.Errorf("the hint is %q", deploy.HintOf(err))
	}
}

// server is a kubeconfig for an API server that answers what h says.
func server(t *testing.T, login string, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewTLSServer(h)
	t.Cleanup(s.Close)
	var authority bytes.Buffer
	authority.WriteString("-----BEGIN CERTIFICATE-----\n" + base64.StdEncoding.EncodeToString(s.Certificate().Raw) + "\n-----END CERTIFICATE-----\n")
	return fmt.Sprintf(`
apiVersion: v1
kind: Config
current-context: c
clusters: [{name: c, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: u, user: %s}]
contexts: [{name: c, context: {cluster: c, user: u}}]
`, s.URL, base64.StdEncoding.EncodeToString(authority.Bytes()), login)
}

func TestATokenThatRanOut(t *testing.T) {
	claims := base64.RawURLEncoding.EncodeToString([]byte(`{"exp":1700000000}`))
	token := "e30." + claims + ".c2lnbmF0dXJl"
	_, err := Open(t.Context(), Options{Kubeconfig: server(t, "{token: "+token+"}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = fmt.Fprint(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}`)
	})})
	if err == nil || !strings.Contains(err.Error(), "its token ran out at 2023-11-14T22:13:20Z") || !strings.Contains(deploy.HintOf(err), "kubectl create token") {
		t.Errorf("got %v, hint %q", err, deploy.HintOf(err))
	}
	if strings.Contains(err.Error()+deploy.HintOf(err), claims) {
		t.Errorf("it tells the token: %v", err)
	}
}

// A proxy in front of the server that has no server for a moment.
func TestAnswersOfAProxyAreNotTheServers(t *testing.T) {
	asked := 0
	c, err := Open(t.Context(), Options{Kubeconfig: server(t, "{token: t}", func(w http.ResponseWriter, _ *http.Request) {
		if asked++; asked < 3 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprint(w, `{"gitVersion":"v1.34.2"}`)
	})})
	if err != nil || c.Version != "v1.34.2" || c.Requests()["get /version"] != 3 {
		t.Errorf("got %v, %v", c, err)
	}
}

func TestWhatARequestAsks(t *testing.T) {
	for line, want := range map[string]string{
		"GET /version":                                "get /version",
		"GET /api/v1/namespaces":                      "list namespaces",
		"GET /api/v1/namespaces/shop":                 "get namespaces",
		"DELETE /api/v1/namespaces/shop":              "delete namespaces",
		"PUT /api/v1/namespaces/shop/finalize":        "update namespaces/finalize",
		"GET /api/v1/namespaces/shop/pods":            "list pods",
		"GET /api/v1/namespaces/shop/pods?watch=true": "watch pods",
		"GET /api/v1/namespaces/shop/pods?watch=1&fieldSelector=metadata.name%3Dx": "watch pods",
		"DELETE /api/v1/namespaces/shop/pods":                                      "deletecollection pods",
		"GET /api/v1/namespaces/shop/pods/web-1/log?follow=true":                   "get pods/log",
		"POST /api/v1/namespaces/shop/pods/web-1/eviction":                         "create pods/eviction",
		"GET /api/v1/nodes/one":                                                    "get nodes",
		"PATCH /apis/apps/v1/namespaces/shop/deployments/web/scale":                "patch deployments/scale",
		"POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews":               "create selfsubjectrulesreviews",
		"GET /apis/apps/v1": "get /apis/apps/v1",
		"GET /apis":         "get /apis",
		"GET /":             "get /",
	} {
		method, target, _ := strings.Cut(line, " ")
		if got := asked(httptest.NewRequest(method, target, nil)); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
}

func TestWhatIsRepeated(t *testing.T) {
	reset := errors.New("http2: client connection lost")
	apply := httptest.NewRequest(http.MethodPatch, "/", nil)
	apply.Header.Set("Content-Type", "application/apply-patch+yaml")
	merge := httptest.NewRequest(http.MethodPatch, "/", nil)
	merge.Header.Set("Content-Type", "application/merge-patch+json")
	add := httptest.NewRequest(http.MethodPatch, "/", nil)
	add.Header.Set("Content-Type", "application/json-patch+json")
	for name, c := range map[string]struct {
		r    *http.Request
		want bool
	}{
		"reading":           {httptest.NewRequest(http.MethodGet, "/", nil), true},
		"removing":          {httptest.NewRequest(http.MethodDelete, "/", nil), true},
		"applying":          {apply, true},
		"merging":           {merge, true},
		"making":            {httptest.NewRequest(http.MethodPost, "/", nil), true},
		"writing a version": {httptest.NewRequest(http.MethodPut, "/", nil), true},
		"adding to a list":  {add, false},
		"evicting":          {httptest.NewRequest(http.MethodPost, "/api/v1/namespaces/shop/pods/web-1/eviction", nil), false},
	} {
		if got := again(c.r, nil, reset); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
		if again(c.r, nil, errors.New("x509: something")) {
			t.Errorf("%s again after an error of another kind", name)
		}
	}
}

func TestRules(t *testing.T) {
	got := role("slipway", "shop", Rules([]Permission{
		{Verb: "patch", Resource: "services", Namespace: "shop"},
		{Verb: "get", Resource: "services", Namespace: "shop"},
		{Verb: "get", Resource: "configmaps", Namespace: "shop"},
		{Verb: "patch", Resource: "configmaps", Namespace: "shop"},
		{Verb: "patch", Resource: "configmaps", Namespace: "shop"},
		{Verb: "get", Group: "apps", Resource: "deployments", Namespace: "shop"},
		{Verb: "get", Resource: "namespaces", Name: "shop", Namespace: "shop"},
		{Verb: "get", Resource: "nodes", Wide: true},
	})["shop"])
	want := `apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: slipway, namespace: shop}
rules:
- apiGroups: [""]
  resources: [services, configmaps]
  verbs: [get, patch]
- apiGroups: ["apps"]
  resources: [deployments]
  verbs: [get]
- apiGroups: [""]
  resources: [namespaces]
  resourceNames: [shop]
  verbs: [get]
`
	if got != want {
		t.Errorf("got\n%s", got)
	}
}
