package kubernetes_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/deploy"
)

// A field that somebody else owns with another value is told before there is an
// image, with whose it is; force takes it, and nothing else that they have.
func TestConflictsOfManifestsAreToldBeforeAnythingIsBuilt(t *testing.T) {
	t.Parallel()
	s := newLab(t).site()
	s.grant(t)
	theirs := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "settings"}, Data: map[string]string{"word": "theirs", "other": "kept"}}
	_, err := s.kube.CoreV1().ConfigMaps(s.namespace).Create(t.Context(), theirs, metav1.CreateOptions{FieldManager: "kubectl-create"})
	must(t, err)

	b := s.bundle(t, "one", "")
	target := s.target(t, "shop", b.Configure(s.env))
	must(t, target.Use(b))
	err = target.Accepts(t.Context())
	for _, part := range []string{"ConfigMap " + s.namespace + `/settings: .data.word is owned by "kubectl-create" (Update, 2`, "nothing was changed"} {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("it does not say %q: %v", part, err)
		}
	}
	if !strings.Contains(deploy.HintOf(err), "force") {
		t.Errorf("the hint is %q", deploy.HintOf(err))
	}
	services, err := s.kube.CoreV1().Services(s.namespace).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	if len(services.Items) > 0 || s.word(t) != "theirs" {
		t.Errorf("what was refused has left %d Services, and the word %s", len(services.Items), s.word(t))
	}

	s.env.Target.Cluster.Manifests.Force = true
	forced, v1 := s.version(t, "v1", b)
	must(t, forced.Start(t.Context(), v1))
	m, err := s.kube.CoreV1().ConfigMaps(s.namespace).Get(t.Context(), "settings", metav1.GetOptions{})
	must(t, err)
	if m.Data["word"] != "one" || m.Data["other"] != "kept" {
		t.Errorf("by force the ConfigMap has %v", m.Data)
	}
}
