package access

import (
	"slices"
	"testing"
)

func TestSecretsOfAKubeconfig(t *testing.T) {
	text := `apiVersion: v1
kind: Config
current-context: a
clusters: [{name: a, cluster: {server: "https://cluster.example.com"}}]
contexts: [{name: a, context: {cluster: a, user: a}}]
users:
- {name: a, user: {token: the-token}}
- {name: b, user: {username: octocat, password: the-password}}
- {name: c, user: {client-certificate-data: Y2VydA==, client-key-data: dGhlLWtleQ==}}
- {name: d, user: {exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: login, args: [get-token], env: [{name: SECRET, value: the-variable}]}}}
- {name: e, user: {auth-provider: {name: oidc, config: {refresh-token: the-refresh}}}}
`
	got := Secrets(text)
	want := []string{"the-token", "the-password", "dGhlLWtleQ==", "the-key", "the-variable", "the-refresh"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := Secrets(""); len(got) > 0 {
		t.Errorf("of nothing: %q", got)
	}
	for _, other := range []string{"not a kubeconfig: [", "kind: Config", "one word"} {
		if got := Secrets(other); !slices.Equal(got, []string{other}) {
			t.Errorf("of %q: %q", other, got)
		}
	}
}
