package kubernetes_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/target/kubernetes"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
	"github.com/slipway-ci/slipway/target/kubernetes/apply"
	"github.com/slipway-ci/slipway/target/kubernetes/bundle"
	"github.com/slipway-ci/slipway/target/kubernetes/manifests"
)

// ceremonies are the hooks of a chart, and what it wants to be kept.
const ceremonies = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: helper, annotations: {helm.sh/hook: pre-install, helm.sh/hook-delete-policy: hook-succeeded}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: noted, annotations: {helm.sh/hook: pre-install}}
---
apiVersion: batch/v1
kind: Job
metadata: {name: prepare, annotations: {helm.sh/hook: pre-install}}
spec:
  template:
    spec:
      serviceAccountName: helper
      restartPolicy: Never
      containers: [{name: a, image: IMAGE, args: ["-tell", SHARED, "-exit", "0"], env: [{name: SHARED, valueFrom: {configMapKeyRef: {name: settings, key: word}}}]}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: goodbye, annotations: {helm.sh/hook: pre-delete}}
spec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: a, image: IMAGE, args: ["-exit", "CODE"]}]}}}
---
apiVersion: v1
kind: Pod
metadata: {name: farewell, annotations: {helm.sh/hook: post-delete}}
spec:
  containers: [{name: a, image: IMAGE, args: ["-want", "SHARED=one", "-exit", "0"], env: [{name: SHARED, valueFrom: {configMapKeyRef: {name: settings, key: word}}}]}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: precious, annotations: {helm.sh/resource-policy: keep}}
---
`

// chart are the manifests as a chart with ceremonies, of which that before the end
// exits with a code.
func (s *site) chart(t *testing.T, code string) *bundle.Bundle {
	t.Helper()
	dir := t.TempDir()
	text := strings.NewReplacer("EXTRA", ceremonies, "CODE", code, "WORD", "one", "IMAGE", s.repository(), "HOST", s.host())
	if err := os.Mkdir(filepath.Join(dir, "templates"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"Chart.yaml": "apiVersion: v2\nname: shop\nversion: 1.0.0\n", "templates/all.yaml": text.Replace(text.Replace(own)),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	set, err := manifests.Load(manifests.Source{Chart: dir, Release: "shop"})
	must(t, err)
	b, err := bundle.New(set, manifests.Names{Workload: "web", Container: "web"}, s.repository())
	must(t, err)
	return b
}

// live has a version of a chart get all users.
func (s *site) live(t *testing.T, target *kubernetes.Target, r deploy.Revision, before ...deploy.Revision) {
	t.Helper()
	must(t, target.Start(t.Context(), r))
	must(t, target.Switch(t.Context(), r))
	for _, old := range before {
		must(t, target.Stop(t.Context(), old))
	}
	state, err := target.State(t.Context())
	must(t, err)
	must(t, target.Write(t.Context(), deploy.Record{Version: state.Record.Version, Phase: deploy.PhaseSettled, Outcome: deploy.Promoted, Candidate: r}))
}

// done are the names of the Jobs of which the cluster has made pods.
func (s *site) done(t *testing.T) (names []string) {
	t.Helper()
	list, err := s.kube.CoreV1().Events(s.namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "involvedObject.kind=Job,reason=SuccessfulCreate"})
	must(t, err)
	for _, e := range list.Items {
		names = append(names, e.InvolvedObject.Name)
	}
	return names
}

// foreign makes a Job by the name of a hook's, as another has made it.
func (s *site) foreign(t *testing.T, labels, annotations map[string]string) {
	t.Helper()
	jobs := s.kube.BatchV1().Jobs(s.namespace)
	now := metav1.DeletePropagationBackground
	if err := jobs.Delete(t.Context(), "prepare", metav1.DeleteOptions{PropagationPolicy: &now}); err != nil && !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	pod := corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "a", Image: "nobody/has:it"}}}
	suspended := true
	_, err := jobs.Create(t.Context(), &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: "prepare", Labels: labels, Annotations: annotations},
		Spec:       batchv1.JobSpec{Suspend: &suspended, Template: corev1.PodTemplateSpec{Spec: pod}},
	}, metav1.CreateOptions{})
	must(t, err)
}

// Hooks bring in what they are, and nothing that is another's is taken for it. At the
// end of an environment they are run, too; one that fails holds it.
func TestHooks(t *testing.T) {
	t.Parallel()
	s := newLab(t).site()
	may := append(access.Least(s.namespace, access.Needs{Routes: true, Hooks: true}), access.Gateway("default", "gateway"))
	s.kubeconfig = clustertest.KubeconfigFor(t, s.namespace, may)
	target, v1 := s.version(t, "v1", s.chart(t, "7"))
	hooks, err := target.Hooks(t.Context(), v1, deploy.OccasionInstall)
	must(t, err)
	var said []string
	run := func(i int) error {
		return target.Run(t.Context(), v1, hooks.Before[i], func(line string) { said = append(said, line) })
	}
	if len(hooks.Before) != 3 || len(hooks.After) != 0 || hooks.Before[2].Name != "Job/prepare" {
		t.Fatalf("the hooks are %+v", hooks)
	}
	must(t, run(0))
	must(t, run(1))
	for says, mark := range map[string][2]map[string]string{
		"that Slipway has not made": {},
		"belongs to another":        {{apply.OwnerLabel: "another"}, {bundle.AnnotationHook: "pre-install"}},
	} {
		s.foreign(t, mark[0], mark[1])
		if err := run(2); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, not that the Job %s", err, says)
		}
	}
	s.foreign(t, nil, map[string]string{bundle.AnnotationHook: "pre-install"}) // as Helm leaves it
	must(t, run(0))                                                            // which was removed again when another had failed
	must(t, run(2))
	if !slices.Contains(said, "one") {
		t.Errorf("it read %q of the set's settings, not one", said)
	}
	if _, err := s.kube.CoreV1().ServiceAccounts(s.namespace).Get(t.Context(), "helper", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the account is left that was to be removed when all had succeeded: %v", err)
	}

	s.live(t, target, v1)
	err = s.later(t).Remove(t.Context())
	if err == nil || !strings.Contains(err.Error(), "the task Job/goodbye") || !strings.Contains(err.Error(), "exited with code 7") {
		t.Errorf("the environment was removed, or not for the hook: %v", err)
	}
	target, v2 := s.version(t, "v2", s.chart(t, "0"))
	s.live(t, target, v2, v1)
	must(t, s.later(t).Remove(t.Context()))
	for _, name := range []string{"goodbye", "farewell"} {
		if !slices.Contains(s.done(t), name) {
			t.Errorf("the hook %s was not run: %q", name, s.done(t))
		}
	}
	jobs, err := s.kube.BatchV1().Jobs(s.namespace).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	if len(jobs.Items) != 0 {
		t.Errorf("%d Jobs are left", len(jobs.Items))
	}
	maps := s.kube.CoreV1().ConfigMaps(s.namespace)
	if _, err := maps.Get(t.Context(), "precious", metav1.GetOptions{}); err != nil {
		t.Errorf("what was to be kept is not: %v", err)
	}
	must(t, maps.Delete(t.Context(), "precious", metav1.DeleteOptions{}))
	s.gone(t)
}
