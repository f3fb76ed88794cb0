package kubernetes_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/bundle"
	"github.com/slipway-ci/slipway/target/kubernetes/manifests"
)

// noise is so much text that hardly shrinks.
func noise(bytes int) string {
	random := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, bytes*3/4)
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	return base64.StdEncoding.EncodeToString(data)
}

// large is a ConfigMap that one Secret could not keep two of.
func large(name string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: %s}\ndata: {noise: %s}\n---\n", name, noise(800<<10))
}

// parts are the Secrets that keep manifests.
func (s *site) parts(t *testing.T) int {
	t.Helper()
	list, err := s.kube.CoreV1().Secrets(s.namespace).List(t.Context(), metav1.ListOptions{FieldSelector: "type=slipway.dev/manifests"})
	must(t, err)
	return len(list.Items)
}

// What the cluster could not keep is refused before anything is asked of it.
func TestManifestsThatAreTooLarge(t *testing.T) {
	t.Parallel()
	s := newLab(t).site()
	small := s.bundle(t, "one", "")
	text := noise(1 << 20)
	set := small.Set
	for i := range 20 {
		o := &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap", "data": map[string]any{"noise": fmt.Sprint(i) + text[i<<10:] + text[:i<<10]}}}
		o.SetName(fmt.Sprintf("noise-%d", i))
		set.Objects = append(set.Objects, o)
	}
	b, err := bundle.New(set, manifests.Names{Workload: "web", Container: "web"}, s.repository())
	must(t, err)
	err = s.target(t, "shop", b.Configure(s.env)).Use(b)
	if !deploy.IsUsage(err) || !strings.Contains(err.Error(), "more than the 14.1 MiB that the cluster can keep") || deploy.HintOf(err) == "" {
		t.Errorf("20 MiB that do not shrink: %v", err)
	}
}
