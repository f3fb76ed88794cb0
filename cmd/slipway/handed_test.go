package main

import (
	"slices"
	"testing"
)

// The commands of checks get everything but what was handed to Slipway alone.
func TestWhatIsHandedOnToCommands(t *testing.T) {
	kept := []string{"PATH=/bin", "HOME=/h", "KUBECONFIG=/h/config", "API_KEY=secret", "MY_INPUT_=1", "SLIPWAY_HOME=/x", "GITHUB_OUTPUT=/y"}
	environ := append(slices.Clone(kept),
		"INPUT_KUBECONFIG=apiVersion: v1\nkind: Config", "INPUT_REGISTRY-PASSWORD=hunter2", "INPUT_GITHUB-TOKEN=t", "input_x=1",
		"SLIPWAY_KUBECONFIG=x", "SLIPWAY_REGISTRY_USER=u", "SLIPWAY_REGISTRY_PASSWORD=p", "ACTIONS_RUNTIME_TOKEN=r", "ACTIONS_RUNTIME_URL=u")
	before := slices.Clone(environ)
	if got := handedOn(environ); !slices.Equal(got, kept) {
		t.Errorf("got %q, want %q", got, kept)
	}
	if !slices.Equal(environ, before) {
		t.Errorf("the environment itself was changed: %q", environ)
	}
}
