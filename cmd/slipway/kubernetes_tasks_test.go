package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	batch "k8s.io/api/batch/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
)

// migrating is a slipway.yaml with tasks, which go as the words say.
func (k *inKubernetes) migrating(t *testing.T, before, after string) {
	t.Helper()
	k.releases(t, fmt.Sprintf(`service: {port: 8080, health: /healthz, replicas: 1, start-timeout: 3m, drain: 1s, env: {HOST: 0.0.0.0}, secrets: [DATABASE_URL]}
tasks:
  before: [{name: migrate, run: [/hello, migrate], env: {WORK: %q}}]
  after: [{name: reindex, run: [/hello, reindex], env: {WORK: %q}}]
environments:
  production:
    target: {kubernetes: {cpu: 10m, pre-stop: 1s, gateway: {name: gateway, namespace: default, host: %s}}}
    strategy: {blue-green: {keep: 0s}}
`, before, after, k.host))
}

// reported are the tasks of the last JSON report, with their states.
func (k *inKubernetes) reported(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(k.dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(data), "postgres://") {
		t.Errorf("the report tells a secret:\n%s", data)
	}
	var said struct {
		Environments []struct {
			Tasks []struct {
				Name, When, State string
				Log               []string
			}
		}
	}
	if err := json.Unmarshal(data, &said); err != nil || len(said.Environments) != 1 {
		t.Fatalf("%v: %s", err, data)
	}
	var all []string
	for _, task := range said.Environments[0].Tasks {
		all = append(all, task.When+" "+task.Name+" "+task.State)
		if len(task.Log) < 1 {
			t.Errorf("the task %s has no log", task.Name)
		}
	}
	return all
}

// jobs are those that are in the namespace, by the version that they are of.
func (k *inKubernetes) jobs(t *testing.T) []string {
	t.Helper()
	list, err := clustertest.Client(t).BatchV1().Jobs(k.namespace).List(t.Context(), meta.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, job := range list.Items {
		all = append(all, job.Labels["app.kubernetes.io/version"]+" "+job.Labels["slipway.dev/task"])
	}
	slices.Sort(all)
	return all
}

func (k *inKubernetes) haveJobs(t *testing.T, want ...string) {
	t.Helper()
	if got := k.jobs(t); !slices.Equal(got, want) {
		t.Errorf("the Jobs are %q, not %q", got, want)
	}
}

// TestKubernetesTasks releases versions whose migrations work, fail, and are
// under way when the run is killed.
func TestKubernetesTasks(t *testing.T) {
	t.Parallel()
	k := newInKubernetes(t)
	gateway := clustertest.Gateway(t)
	login := func(n access.Needs) {
		may := append(access.Least(k.namespace, n), access.Gateway("default", "gateway"))
		k.env = []string{"KUBECONFIG=" + clustertest.KubeconfigFor(t, k.namespace, may), "DATABASE_URL=postgres://user:pass@127.0.0.1/hello"}
	}
	login(access.Needs{Routes: true})
	serves := func(version string) {
		t.Helper()
		for range 5 {
			if got, err := k.served(t.Context(), gateway); err != nil || !strings.HasPrefix(got, "200 hello from "+version) {
				t.Errorf("users get %q (%v), want %s", got, err, version)
			}
		}
	}
	report := []string{"--report", "report.json"}

	k.use(t, "HELLO_1_0_0")
	k.migrating(t, "0s", "0s")
	k.ends(t, 1, []string{"may not", "create jobs.batch in " + k.namespace}, "release", "--version", "1.0.0")
	login(access.Needs{Routes: true, Hooks: true})
	k.ends(t, 0, []string{"before anything starts, the task migrate: /hello migrate, for 5m0s at most", "once it is live for good, the task reindex: /hello reindex"}, "plan", "--version", "1.0.0")
	k.ends(t, 0, []string{"task migrate: /hello migrate", "│ hello 1.0.0: migrate: begins with ***", "│ hello 1.0.0: migrate: done", "hello 1.0.0: reindex: done", "promoted: 1.0.0"},
		append([]string{"release", "--version", "1.0.0"}, report...)...)
	serves("1.0.0")
	k.haveJobs(t, "1.0.0 migrate", "1.0.0 reindex")
	if got := k.reported(t); !slices.Equal(got, []string{"before migrate passed", "after reindex passed"}) {
		t.Errorf("the report has %q", got)
	}

	k.use(t, "HELLO_1_1_0")
	k.migrating(t, "fail", "0s")
	k.ends(t, 1, []string{"the task migrate of 1.1.0", "exited with code 3", "migrate: no such table", "nothing changed for users"},
		append([]string{"release", "--version", "1.1.0"}, report...)...)
	serves("1.0.0")
	k.haveJobs(t, "1.0.0 migrate", "1.0.0 reindex")
	if got := k.reported(t); !slices.Equal(got, []string{"before migrate failed"}) {
		t.Errorf("the report has %q", got)
	}

	// The run is killed in the middle of a migration. The next one finds that at
	// work, and waits for it.
	k.migrating(t, "20s", "fail")
	k.killed(t, "1.1.0 migrate", "release", "--version", "1.1.0")
	serves("1.0.0")
	k.ends(t, 1, []string{
		"they are taken up where they are", "it is waited for, not run again", "hello 1.1.0: migrate: done",
		"promoted: 1.1.0", "is live, and the task reindex of 1.1.0", "exited with code 3",
	}, append([]string{"release", "--version", "1.1.0"}, report...)...)
	if got := k.reported(t); !slices.Equal(got, []string{"before migrate passed", "after reindex failed"}) {
		t.Errorf("the report has %q", got)
	}
	serves("1.1.0")

	k.ends(t, 0, []string{"promoted: 1.0.0"}, "rollback", "--environment", "production")
	serves("1.0.0")
	k.haveJobs(t) // it has done none, and those of what it replaced are gone

	// And one that nobody comes back to is ended by settle.
	k.migrating(t, "10m", "0s")
	k.killed(t, "1.1.0 migrate", "release", "--version", "1.1.0")
	k.ends(t, 0, []string{"was left unfinished (preparing", "nothing changed for users"}, "settle")
	serves("1.0.0")
	k.haveJobs(t)
}

// killed runs a command and kills it once there is a Job of that name at work.
func (k *inKubernetes) killed(t *testing.T, job string, args ...string) {
	t.Helper()
	cmd := k.command(args...)
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(2 * time.Minute); !k.atWork(t, job); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(end) {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
			t.Fatalf("the Job %s was never at work:\n%s", job, said.String())
		}
	}
	if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
}

// atWork reports whether a Job of that name has a pod that runs.
func (k *inKubernetes) atWork(t *testing.T, job string) bool {
	t.Helper()
	list, err := clustertest.Client(t).BatchV1().Jobs(k.namespace).List(t.Context(), meta.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(list.Items, func(j batch.Job) bool {
		return j.Labels["app.kubernetes.io/version"]+" "+j.Labels["slipway.dev/task"] == job && j.Status.Ready != nil && *j.Status.Ready > 0
	})
}
