package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/slipway-ci/slipway/action"
)

// Every secret that the file names is hidden before anything is done, whichever
// environment it is of.
func TestSecretsOfAllEnvironmentsAreMasked(t *testing.T) {
	dir := t.TempDir()
	file := "app: hello\nbuild: {base: busybox}\nservice: {secrets: [OF_APP]}\nenvironments:\n" +
		"  staging: {target: sandbox, secrets: [OF_STAGING]}\n  preview: {target: sandbox, secrets: [OF_PREVIEW]}\n"
	if err := os.WriteFile(filepath.Join(dir, "slipway.yaml"), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_TOKEN": "token-of-job",
		"OF_APP": "secret-of-app", "OF_STAGING": "secret-of-staging", "OF_PREVIEW": "secret-of-preview",
	}
	var out bytes.Buffer
	c := &CLI{Getenv: func(name string) string { return env[name] }}
	c.runner = action.New(c.Getenv, &out)
	if _, err := c.open(options{dir: dir}, "preview"); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"token-of-job", "secret-of-app", "secret-of-staging", "secret-of-preview"} {
		if !strings.Contains(out.String(), "::add-mask::"+secret+"\n") {
			t.Errorf("the runner was not asked to hide %s:\n%s", secret, out.String())
		}
		if got := c.runner.Masker().String("is " + secret); got != "is ***" {
			t.Errorf("it is not masked: %s", got)
		}
	}
}
