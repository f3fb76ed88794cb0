package pods_test

import (
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/slipway-ci/slipway/target/kubernetes/pods"
	"github.com/slipway-ci/slipway/target/targettest"
)

// index pushes one for two platforms, one of them the node's.
func (c *cluster) index(t *testing.T, flags ...string) string {
	t.Helper()
	image := targettest.Image(t, flags...)
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	other := targettest.Image(t, append(flags, "-name", "for another platform")...)
	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: other, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "s390x"}}},
		mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: file.Architecture}}})
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	ref, err := name.NewDigest(c.registry + "/kube-pods@" + digest.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, index); err != nil {
		t.Fatal(err)
	}
	return ref.String()
}

// TestWhatPodsReallyRun compares what was asked for with what the node tells.
func TestWhatPodsReallyRun(t *testing.T) {
	t.Parallel()
	c := open(t)
	for kind, image := range map[string]string{"image": c.image(t, "-name", "digest"), "index": c.index(t, "-name", "index")} {
		t.Run(kind, func(t *testing.T) {
			if _, err := c.client.AppsV1().Deployments(c.namespace).Create(t.Context(), app(kind, image), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := pods.Wait(t.Context(), c.client, c.namespace, "app="+kind, 1, pods.Options{Timeout: patience}); err != nil {
				t.Fatal(err)
			}
			list, err := c.client.CoreV1().Pods(c.namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "app=" + kind})
			if err != nil {
				t.Fatal(err)
			}
			_, digest, _ := strings.Cut(image, "@")
			t.Logf("asked for %s, runs %+v", digest, pods.Digests(list.Items, ""))
			if err := pods.Serve(list.Items, "app", digest); err != nil {
				t.Error(err)
			}
			if err := pods.Serve(list.Items, "", "sha256:"+strings.Repeat("0", 64)); err == nil || !strings.Contains(err.Error(), digest) {
				t.Errorf("it runs something else, and all that is said is %v", err)
			}
		})
	}
}

func TestServe(t *testing.T) {
	const digest, other = "sha256:aa", "sha256:bb"
	pod := func(ready corev1.ConditionStatus, imageID string) corev1.Pod {
		return corev1.Pod{
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "app"}, {Name: "side"}}},
			Status: corev1.PodStatus{
				Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}},
				ContainerStatuses: []corev1.ContainerStatus{{Name: "side", ImageID: "r@" + other}, {Name: "app", ImageID: imageID}},
			},
		}
	}
	leaving := pod(corev1.ConditionTrue, "r@"+other)
	leaving.DeletionTimestamp = new(metav1.Now())
	for name, c := range map[string]struct {
		pods []corev1.Pod
		want string
	}{
		"all of them":           {[]corev1.Pod{pod("True", "r/app@"+digest), pod("True", "docker-pullable://r/app@"+digest)}, ""},
		"one is another":        {[]corev1.Pod{pod("True", "r/app@"+digest), pod("True", "r/app@"+other)}, "runs " + other},
		"one starts":            {[]corev1.Pod{pod("True", "r/app@"+digest), pod("False", "")}, ""},
		"one leaves":            {[]corev1.Pod{pod("True", "r/app@"+digest), leaving}, ""},
		"none":                  {nil, "no replica serves"},
		"none serves":           {[]corev1.Pod{pod("False", "r/app@"+digest)}, "no replica serves"},
		"a configuration alone": {[]corev1.Pod{pod("True", digest)}, "does not say what it runs"},
	} {
		t.Run(name, func(t *testing.T) {
			err := pods.Serve(c.pods, "", digest)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("want %q, got %v", c.want, err)
			}
		})
	}
}
