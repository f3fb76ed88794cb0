package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
)

// inKubernetes is a folder with a slipway.yaml, and a namespace in a real cluster
// with a login that may do there what Slipway needs.
type inKubernetes struct {
	*scene
	namespace, kubeconfig, host string
}

// inNamespace is an empty folder and a namespace, as yet without a login.
func inNamespace(t *testing.T) *inKubernetes {
	t.Helper()
	k := &inKubernetes{scene: newFolder(t), namespace: clustertest.Namespace(t)}
	k.host = k.namespace + ".localhost"
	return k
}

// login gives it a login that may do so much.
func (k *inKubernetes) login(t *testing.T, may []access.Permission) {
	t.Helper()
	k.kubeconfig = clustertest.KubeconfigFor(t, k.namespace, may)
	k.env = []string{"KUBECONFIG=" + k.kubeconfig}
}

// releases writes a slipway.yaml that builds hello for the cluster, and what it says
// besides.
func (k *inKubernetes) releases(t *testing.T, more string) {
	t.Helper()
	k.write(t, fmt.Sprintf("app: hello\nimage: %s/%s\nbuild: {files: [{from: hello, to: /hello}], entrypoint: [/hello]}\n%s",
		clustertest.Registry(t), k.namespace, more))
}

func newInKubernetes(t *testing.T) *inKubernetes {
	t.Helper()
	k := inNamespace(t)
	k.login(t, append(access.Least(k.namespace, access.Needs{Routes: true}), access.Kubelets(), access.Gateway("default", "gateway")))
	k.releases(t, fmt.Sprintf(`service: {port: 8080, health: /healthz, replicas: 2, start-timeout: 3m, drain: 1s, env: {HOST: 0.0.0.0}}
environments:
  production:
    target: {kubernetes: {cpu: 10m, pre-stop: 1s, gateway: {name: gateway, namespace: default, host: %s}}}
    strategy: {canary: {steps: [50%%, 100%%], hold: 10m}}
    judge:
      metrics: [{name: memory, kubernetes: memory, kubelets: true, every: 1s, ratio: 1.5, for: 2s}]
`, k.host))
	return k
}

// of has the commands to come run in a workflow of a repository.
func (k *inKubernetes) of(repository, run string) {
	k.env = append(slices.Clip(k.env), "GITHUB_ACTIONS=true", "GITHUB_REPOSITORY="+repository, "GITHUB_RUN_ID="+run)
}

// ends runs a command and demands its exit code and what it says, and gives all that
// it said.
func (k *inKubernetes) ends(t *testing.T, code int, says []string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Minute)
	defer cancel()
	one := k.command(args...)
	cmd := exec.CommandContext(ctx, one.Path, one.Args[1:]...)
	cmd.Dir, cmd.Env = one.Dir, one.Env
	out, _ := cmd.CombinedOutput()
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Fatalf("slipway %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, out)
	}
	for _, text := range says {
		if !strings.Contains(string(out), text) {
			t.Errorf("slipway %s does not say %q:\n%s", strings.Join(args, " "), text, out)
		}
	}
	return string(out)
}

// served is the version that a user of the gateway gets.
func (k *inKubernetes) served(ctx context.Context, gateway string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+gateway+"/", nil)
	if err != nil {
		return "", err
	}
	req.Host = k.host
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	var body [100]byte
	n, _ := res.Body.Read(body[:])
	return fmt.Sprintf("%d %s", res.StatusCode, body[:n]), nil
}

// users ask until the context ends, twenty times a second.
func (k *inKubernetes) users(ctx context.Context, gateway string) {
	for tick := time.NewTicker(50 * time.Millisecond); ctx.Err() == nil; {
		_, _ = k.served(ctx, gateway)
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
}

// environment is what slipway status says of production.
func (k *inKubernetes) environment(t *testing.T) (live, phase string, share float64) {
	t.Helper()
	out, err := k.command("status", "--json").Output()
	if err != nil {
		t.Fatalf("slipway status: %v\n%s", err, out)
	}
	var said struct {
		Environments []struct {
			Live      struct{ Version string } `json:"live"`
			Share     float64                  `json:"share"`
			Outcome   string                   `json:"outcome"`
			Candidate json.RawMessage          `json:"candidate"`
		} `json:"environments"`
	}
	if err := json.Unmarshal(out, &said); err != nil || len(said.Environments) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	e := said.Environments[0]
	return e.Live.Version, e.Outcome, e.Share
}

// TestKubernetes releases to a real cluster behind a real gateway as a user does:
// a good version, one of another repository, one that crashes, one that takes more and more memory, and one
// whose run is killed while users are on both.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	k := newInKubernetes(t)
	gateway := clustertest.Gateway(t)
	lives := func(version string) {
		t.Helper()
		if live, _, share := k.environment(t); live != version || share != 0 {
			t.Errorf("%s is live and %v%% have another, want %s for all", live, share, version)
		}
		for range 10 {
			if got, err := k.served(t.Context(), gateway); err != nil || !strings.HasPrefix(got, "200 hello from "+version) {
				t.Errorf("users get %q (%v), want %s", got, err, version)
			}
		}
	}

	k.use(t, "HELLO_1_0_0")
	alone := k.env
	k.of("acme/shop", "17")
	k.ends(t, 0, []string{"promoted: 1.0.0"}, "release", "--version", "1.0.0")
	lives("1.0.0")
	k.ends(t, 0, []string{"unchanged"}, "release", "--version", "1.0.0")
	k.of("acme/hello", "18")
	k.ends(t, 2, []string{"production of hello was released by acme/shop (https://github.com/acme/shop/actions/runs/17)", "released-from: [acme/shop]"}, "release", "--version", "1.1.0")
	lives("1.0.0")
	k.env = alone

	k.use(t, "HELLO_CRASH")
	k.ends(t, 1, []string{"cannot start: start", "nothing changed for users"}, "release", "--version", "1.3.0")
	lives("1.0.0")

	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	gone := make(chan struct{})
	go func() { defer close(gone); k.users(ctx, gateway) }()
	k.use(t, "HELLO_LEAK")
	k.ends(t, 3, []string{"memory ", "the limit is 1.5 times as much"}, "release", "--version", "1.5.0")
	leave()
	<-gone
	lives("1.0.0")

	k.use(t, "HELLO_1_1_0")
	cmd := k.command("release", "--version", "1.1.0")
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(2 * time.Minute); ; time.Sleep(300 * time.Millisecond) {
		if _, _, share := k.environment(t); share == 50 {
			break
		}
		if time.Now().After(end) {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			t.Fatalf("it never had half of the users:\n%s", said.String())
		}
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	// The hold of the run that was killed is waited for.
	k.ends(t, 0, []string{"production is held by", "waiting for that", "reverted"}, "settle")
	lives("1.0.0")
	if left, err := os.ReadDir(k.home); err != nil || len(left) > 0 {
		t.Errorf("a release to a cluster leaves %v on this machine (%v)", left, err)
	}
}
