package main

import (
	"os"
	"regexp"
	"strings"
	"testing"
)

// A kubeconfig that is handed over as text opens the cluster, in the action and on
// a command line, and its token is hidden.
func TestKubeconfigAsText(t *testing.T) {
	k := newInKubernetes(t)
	content, err := os.ReadFile(k.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	token := regexp.MustCompile(`token: (\S+)`).FindStringSubmatch(string(content))
	if token == nil {
		t.Fatal("the kubeconfig of the test has no token")
	}
	nowhere := []string{"KUBECONFIG=", "HOME=" + t.TempDir(), "USER=tester"}
	for name, c := range map[string]struct {
		args, env []string
		code      int
		says      []string
	}{
		"none": {args: []string{"status"}, code: 2, says: []string{"no cluster is named", "SLIPWAY_KUBECONFIG"}},
		"a variable": {
			args: []string{"status"}, env: []string{"SLIPWAY_KUBECONFIG=" + string(content)}, says: []string{"production", "nothing"},
		},
		"an input": {
			args: []string{"auto"}, says: []string{"production", "nothing", "::add-mask::" + token[1]},
			env: []string{"GITHUB_ACTIONS=true", "INPUT_COMMAND=status", "INPUT_KUBECONFIG=" + string(content)},
		},
		"what is none": {
			args: []string{"status"}, env: []string{"SLIPWAY_KUBECONFIG=very-secret: ["}, code: 2, says: []string{"is not one"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := k.command(c.args...)
			cmd.Env = append(append(cmd.Env, nowhere...), c.env...)
			out, _ := cmd.CombinedOutput()
			if got := cmd.ProcessState.ExitCode(); got != c.code {
				t.Errorf("exit code %d, want %d", got, c.code)
			}
			for _, text := range c.says {
				if !strings.Contains(string(out), text) {
					t.Errorf("it does not say %q", text)
				}
			}
			shown := strings.ReplaceAll(string(out), "::add-mask::"+token[1], "")
			if strings.Contains(shown, token[1]) || strings.Contains(shown, "very-secret") {
				t.Error("the secret is shown")
			}
			if t.Failed() {
				t.Logf("%s", out)
			}
		})
	}
	if left, err := os.ReadDir(k.home); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v on this machine (%v)", left, err)
	}
}
