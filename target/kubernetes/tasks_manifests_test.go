package kubernetes_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
)

// withHelp is an app whose pods have an account of the set, a container that
// prepares them, and two that never end.
var withHelp = strings.NewReplacer(
	"terminationGracePeriodSeconds: 5", `terminationGracePeriodSeconds: 5
      serviceAccountName: web
      affinity: {podAntiAffinity: {requiredDuringSchedulingIgnoredDuringExecution: [{labelSelector: {matchLabels: {app: web}}, topologyKey: kubernetes.io/hostname}]}}
      volumes: [{name: shared, emptyDir: {}}]
      initContainers:
      - {name: prepare, image: IMAGE, args: ["-exit", "0"], volumeMounts: [{name: shared, mountPath: /shared}]}
      - {name: helper, image: IMAGE, restartPolicy: Always, env: [{name: PORT, value: "9001"}]}`,
	"EXTRA", "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: web}\n---", "WORD", "one",
).Replace(own)

// A task is done in the app's pod as the manifests have it, before anything of them
// is applied.
func TestTasksOfManifests(t *testing.T) {
	t.Parallel()
	s := newLab(t).site()
	may := append(access.Least(s.namespace, access.Needs{Routes: true, Hooks: true}), access.Gateway("default", "gateway"))
	s.kubeconfig = clustertest.KubeconfigFor(t, s.namespace, may)
	task := deploy.Task{
		Name: "migrate", Timeout: 2 * time.Minute, Env: map[string]string{"WHO": "the task"},
		Run: []string{"/app", "-tell", "SHARED", "-want", "WHO=the task", "-want", "ADDED=by slipway.yaml", "-want", "PORT=7070", "-exit", "0"},
	}
	s.env.Tasks = deploy.Tasks{Before: []deploy.Task{task}}
	target, r := s.version(t, "v1", s.read(t, withHelp))
	var said []string
	must(t, target.Run(t.Context(), r, task, func(line string) { said = append(said, line) }))
	if !slices.Contains(said, "one") {
		t.Errorf("it read %q of the set's settings, not one", said)
	}
	if _, err := s.kube.CoreV1().ConfigMaps(s.namespace).Get(t.Context(), "settings", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("the set was applied: %v", err)
	}
	pods, err := s.kube.CoreV1().Pods(s.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "slipway.dev/task=migrate"})
	must(t, err)
	if len(pods.Items) != 1 {
		t.Fatalf("%d pods did it", len(pods.Items))
	}
	pod := pods.Items[0]
	names := func(all []corev1.Container) (names []string) {
		for _, c := range all {
			names = append(names, c.Name)
		}
		return names
	}
	if got := slices.Concat(names(pod.Spec.InitContainers), names(pod.Spec.Containers)); !slices.Equal(got, []string{"prepare", "helper", "web"}) {
		t.Errorf("its containers are %q", got)
	}
	if pod.Spec.ServiceAccountName != "web" || pod.Labels["app"] != "" || pod.Spec.Containers[0].ReadinessProbe != nil || pod.Spec.Containers[0].Image != r.Image.Reference() {
		t.Errorf("its pod is %+v with the labels %v", pod.Spec, pod.Labels)
	}
	must(t, target.Remove(t.Context()))
}
