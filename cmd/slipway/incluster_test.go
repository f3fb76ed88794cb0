package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
)

// TestKubernetesFromAPod runs slipway where it has nothing but the account of its pod: the
// binary is packed by itself, and then sees and rolls back an app of its namespace,
// with the least permissions and no kubeconfig.
func TestKubernetesFromAPod(t *testing.T) {
	t.Parallel()
	k := newInKubernetes(t)
	k.releases(t, `service: {port: 8080, health: /healthz, replicas: 1, start-timeout: 3m, drain: 1s, env: {HOST: 0.0.0.0}}
environments:
  production: {target: {kubernetes: {pre-stop: 1s}}, strategy: blue-green}
`)
	image := k.packedSlipway(t)
	for _, v := range []string{"1.0.0", "1.1.0"} {
		k.use(t, "HELLO_"+strings.ReplaceAll(v, ".", "_"))
		k.ends(t, 0, []string{"promoted: " + v}, "release", "--version", v)
	}
	account := clustertest.Account(t, k.namespace, access.Least(k.namespace, access.Needs{}))
	file, err := os.ReadFile(filepath.Join(k.dir, "slipway.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = clustertest.Client(t).CoreV1().ConfigMaps(k.namespace).Create(t.Context(),
		&core.ConfigMap{ObjectMeta: meta.ObjectMeta{Name: "file"}, Data: map[string]string{"slipway.yaml": string(file)}}, meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	k.inPod(t, image, account, 0, []string{"production", "1.1.0"}, "status")
	k.inPod(t, image, account, 0, []string{"promoted: hello 1.0.0 is live in production"}, "rollback", "--environment", "production")
	if live, _, _ := k.environment(t); live != "1.0.0" {
		t.Errorf("%s is live", live)
	}
	k.inPod(t, image, account, 0, []string{"as it was released"}, "drift")
	nobody := clustertest.Account(t, k.namespace, nil)
	k.inPod(t, image, nobody, 1, []string{"may not get namespaces", "kind: Role"}, "rollback", "--environment", "production")
}

// packedSlipway is the reference of an image with slipway, made by itself.
func (k *inKubernetes) packedSlipway(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	build := exec.Command("go", "build", "-buildvcs=false", "-ldflags", "-s -w", "-o", filepath.Join(dir, "slipway"), ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build slipway: %v\n%s", err, out)
	}
	file := fmt.Sprintf("app: slipway\nimage: %s/%s-slipway\nbuild: {files: [{from: slipway, to: /slipway}], entrypoint: [/slipway]}\nenvironments: {production: {target: sandbox}}\n",
		clustertest.Registry(t), k.namespace)
	if err := os.WriteFile(filepath.Join(dir, "slipway.yaml"), []byte(file), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := k.command("build", "--push", "--version", "1.0.0", "--report", "report.json")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("slipway build: %v\n%s", err, out)
	}
	content, err := os.ReadFile(filepath.Join(dir, "report.json"))
	if err != nil {
		t.Fatal(err)
	}
	var said struct {
		Image struct{ Repository, Digest string }
	}
	if err := json.Unmarshal(content, &said); err != nil || said.Image.Digest == "" {
		t.Fatalf("%v: %s", err, content)
	}
	return said.Image.Repository + "@" + said.Image.Digest
}

// inPod runs a command of slipway in a pod, and demands its exit code and what it
// says.
func (k *inKubernetes) inPod(t *testing.T, image, account string, code int32, says []string, args ...string) {
	t.Helper()
	pods := clustertest.Client(t).CoreV1().Pods(k.namespace)
	yes, no, user := true, false, int64(65532)
	pod, err := pods.Create(t.Context(), &core.Pod{
		ObjectMeta: meta.ObjectMeta{GenerateName: "run-"},
		Spec: core.PodSpec{
			ServiceAccountName: account, RestartPolicy: core.RestartPolicyNever,
			SecurityContext: &core.PodSecurityContext{RunAsNonRoot: &yes, RunAsUser: &user},
			Containers: []core.Container{{
				Name: "slipway", Image: image, Args: append(args, "--config", "/file/slipway.yaml"),
				SecurityContext: &core.SecurityContext{AllowPrivilegeEscalation: &no, ReadOnlyRootFilesystem: &yes},
				VolumeMounts:    []core.VolumeMount{{Name: "file", MountPath: "/file"}},
			}},
			Volumes: []core.Volume{{Name: "file", VolumeSource: core.VolumeSource{ConfigMap: &core.ConfigMapVolumeSource{LocalObjectReference: core.LocalObjectReference{Name: "file"}}}}},
		},
	}, meta.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(4 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		now, err := pods.Get(t.Context(), pod.Name, meta.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if p := now.Status.Phase; p == core.PodSucceeded || p == core.PodFailed {
			pod = now
			break
		}
		if time.Now().After(end) {
			t.Fatalf("slipway %v in a pod: it does not end: %+v", args, now.Status)
		}
	}
	out, err := pods.GetLogs(pod.Name, &core.PodLogOptions{}).DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := pod.Status.ContainerStatuses[0].State.Terminated; got == nil || got.ExitCode != code {
		t.Errorf("slipway %v in a pod: %+v, want exit code %d\n%s", args, got, code, out)
	}
	for _, text := range says {
		if !strings.Contains(string(out), text) {
			t.Errorf("slipway %v in a pod does not say %q:\n%s", args, text, out)
		}
	}
}
