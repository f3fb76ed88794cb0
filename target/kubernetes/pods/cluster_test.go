package pods_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/internal/clustertest"
	"github.com/slipway-ci/slipway/target/kubernetes/pods"
	"github.com/slipway-ci/slipway/target/targettest"
)

// patience is the time-out of what has to be decided long before it. It is
// longer than what any of it takes on a machine with much else to do.
const patience = 3 * time.Minute

// cluster is a namespace for the tests of this room.
type cluster struct {
	config    *rest.Config
	client    kubernetes.Interface
	namespace string
	registry  string
}

func open(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{
		config: clustertest.Config(t), client: clustertest.Client(t),
		namespace: clustertest.Namespace(t), registry: clustertest.Registry(t),
	}
	c.config.QPS, c.config.Burst = 100, 200
	return c
}

// image is one of the test app, as a cluster asks for it.
func (c *cluster) image(t *testing.T, flags ...string) string {
	t.Helper()
	return targettest.Push(t, targettest.Image(t, flags...), c.registry+"/kube-pods", "1.0.0").Reference()
}

// app is a Deployment of one replica of an image, which is asked whether it is
// ready.
func app(name, image string) *appsv1.Deployment {
	labels := map[string]string{"app": name}
	return &appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: appsv1.DeploymentSpec{
			Replicas: new(int32(1)),
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec: corev1.PodSpec{
					TerminationGracePeriodSeconds: new(int64(1)),
					AutomountServiceAccountToken:  new(false),
					Containers:                    []corev1.Container{container("app", image)},
				},
			},
		},
	}
}

func container(name, image string) corev1.Container {
	return corev1.Container{
		Name: name, Image: image, Env: []corev1.EnvVar{{Name: "PORT", Value: "8080"}},
		ReadinessProbe: &corev1.Probe{
			ProbeHandler:  corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/healthz", Port: intstr.FromInt32(8080)}},
			PeriodSeconds: 1,
		},
	}
}

// beside is a container without a port.
func beside(name, image string) corev1.Container {
	c := container(name, image)
	c.ReadinessProbe = nil
	c.Env = []corev1.EnvVar{{Name: "PORT", Value: "8081"}}
	return c
}

// life is a case: what is deployed, and what has to be told of it.
type life struct {
	name string
	// of makes what is deployed.
	of func(t *testing.T, c *cluster) *appsv1.Deployment
	// options that differ from none.
	options pods.Options
	// reason is what the evidence has to tell; empty where it gets ready. The
	// log has to hold the line, unless that is empty.
	reason, line string
	// late is a reason that the cluster tells in an event, which a busy kubelet
	// posts some minutes later.
	late bool
	// meanwhile is done while it is waited for.
	meanwhile func(t *testing.T, c *cluster, name string)
}

// first is the Deployment's container.
func first(d *appsv1.Deployment) *corev1.Container { return &d.Spec.Template.Spec.Containers[0] }

func lives() []life {
	return []life{
		{name: "good", of: func(t *testing.T, c *cluster) *appsv1.Deployment {
			d := app("good", c.image(t))
			d.Spec.Replicas = new(int32(2))
			return d
		}},
		{name: "slow-start", of: func(t *testing.T, c *cluster) *appsv1.Deployment {
			return app("slow-start", c.image(t, "-start-after", "8s"))
		}},
		{name: "one-restart", of: func(t *testing.T, c *cluster) *appsv1.Deployment {
			d := app("one-restart", c.image(t, "-exit-unless", "/state/file"))
			d.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "state"}}
			first(d).VolumeMounts = []corev1.VolumeMount{{Name: "state", MountPath: "/state"}}
			return d
		}},
		{name: "sidecars", of: func(t *testing.T, c *cluster) *appsv1.Deployment {
			d := app("sidecars", c.image(t))
			side := beside("proxy", c.image(t))
			side.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
			d.Spec.Template.Spec.InitContainers = []corev1.Container{beside("migrate", c.image(t, "-exit", "0")), side}
			return d
		}},
		{name: "moved", meanwhile: evict, of: func(t *testing.T, c *cluster) *appsv1.Deployment {
			return app("moved", c.image(t, "-start-after", "6s"))
		}},
		{name: "never-ready", options: pods.Options{Timeout: 15 * time.Second}, late: true, reason: "was not ready within 15s: it runs, and is not ready: Readiness probe failed: HTTP probe failed with statuscode: 503", line: "I feel sick", of: func(t *testing.T, c *cluster) *appsv1.Deployment {
			return app("never-ready", c.image(t, "-sick", "-say", "I feel sick"))
		}},
		{name: "crash-loop", reason: "exited with code 42", line: "last words", of: func(t *testing.T, c *cluster) *appsv1.Deployment {
			return app("crash-loop", c.image(t, "-exit", "42", "-say", "last words"))
		}},
		{name: "ends-well", reason: "exited with code 0", of: func(t *testing.T, c *cluster) *appsv1.Deployment {
			return app("ends-well", c.image(t, "-exit", "0"))
		}},
		{name: "image-not-found", reason: "the registry has no ", of: func(t *testing.T, c *cluster) *appsv1.Deployment {
			d := app("image-not-found", c.registry+"/kube-pods@sha256:"+strings.Repeat("1", 64))
			d.Spec.Replicas = new(int32(3))
			return d
		}},
		{name: "unauthorized", reason: "does not give it the image", of: func(t *testing.T, _ *cluster) *appsv1.Deployment {
			return app("unauthorized", refusing(t)+"/private/app:1.0.0")
		}},
		{name: "out-of-memory", reason: "using more memory than its limit", line: "hungry", of: func(t *testing.T, c *cluster) *appsv1.Deployment {
			d := app("out-of-memory", c.image(t, "-say", "hungry", "-eat", "256"))
			first(d).Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("48Mi")}
			return d
		}},
		{name: "unschedulable", options: pods.Options{Limits: pods.Limits{Unschedulable: 3 * time.Second}}, reason: "has no node: 0/1 nodes are available: 1 Insufficient cpu", of: func(t *testing.T, c *cluster) *appsv1.Deployment {
			d := app("unschedulable", c.image(t))
			first(d).Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("1000")}
			return d
		}},
		{name: "bad-config", reason: `cannot be configured: secret "absent" not found`, of: func(t *testing.T, c *cluster) *appsv1.Deployment {
			d := app("bad-config", c.image(t))
			first(d).EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "absent"}}}}
			return d
		}},
		{name: "cannot-run", reason: "/missing: no such file or directory", of: func(t *testing.T, c *cluster) *appsv1.Deployment {
			return app("cannot-run", targettest.Push(t, targettest.Broken(t), c.registry+"/kube-pods", "1.0.0").Reference())
		}},
		{name: "init-fails", reason: "exited with code 3", line: "no migration", of: func(t *testing.T, c *cluster) *appsv1.Deployment {
			d := app("init-fails", c.image(t))
			d.Spec.Template.Spec.InitContainers = []corev1.Container{beside("migrate", c.image(t, "-exit", "3", "-say", "no migration"))}
			return d
		}},
		{name: "sidecar-fails", reason: "exited with code 4", line: "no proxy", of: func(t *testing.T, c *cluster) *appsv1.Deployment {
			d := app("sidecar-fails", c.image(t))
			side := beside("proxy", c.image(t, "-exit", "4", "-say", "no proxy"))
			side.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
			d.Spec.Template.Spec.InitContainers = []corev1.Container{side}
			return d
		}},
		{name: "evicted", options: pods.Options{Timeout: 40 * time.Second}, reason: "was taken off its node: Pod ephemeral local storage usage exceeds", of: func(t *testing.T, c *cluster) *appsv1.Deployment {
			d := app("evicted", c.image(t, "-sick", "-ignore-term", "-say", strings.Repeat("much to say ", 8000)))
			first(d).Resources.Limits = corev1.ResourceList{corev1.ResourceEphemeralStorage: resource.MustParse("40Ki")}
			return d
		}},
	}
}

// refusing is the address of a registry that gives nobody anything.
func refusing(t *testing.T) string {
	s := newServer(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WWW-Authenticate", `Basic realm="private"`)
		w.WriteHeader(http.StatusUnauthorized)
	}))
	return s
}

// evict has the pod removed as soon as there is one that runs, as a node that
// is drained does.
func evict(t *testing.T, c *cluster, name string) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	w, err := c.client.CoreV1().Pods(c.namespace).Watch(ctx, metav1.ListOptions{LabelSelector: "app=" + name, ResourceVersion: "0"})
	if err != nil {
		t.Error(err)
		return
	}
	defer w.Stop()
	for e := range w.ResultChan() {
		if pod, is := e.Object.(*corev1.Pod); is && pod.Status.Phase == corev1.PodRunning {
			if err := c.evict(ctx, pod.Name); err != nil {
				t.Error(err)
			}
			return
		}
	}
	t.Error("no pod ran that could be evicted")
}

func TestHowPodsFareInARealCluster(t *testing.T) {
	t.Parallel()
	c := open(t)
	all := map[string]life{}
	for _, l := range lives() {
		all[l.name] = l
	}
	together(t, all, func(t *testing.T, l life) { l.lead(t, c) })
}

// lead deploys and waits.
func (l life) lead(t *testing.T, c *cluster) {
	d := l.of(t, c)
	recorded := record(t, c, l.name)
	if _, err := c.client.AppsV1().Deployments(c.namespace).Create(t.Context(), d, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	var doing sync.WaitGroup
	defer doing.Wait()
	if l.meanwhile != nil {
		doing.Go(func() { l.meanwhile(t, c, l.name) })
	}
	o := l.options
	o.Workload = pods.Workload{Kind: "Deployment", Name: l.name}
	o.Revision = deploy.Revision{ID: "3f9c2a1b7d04", Image: deploy.Image{Version: "1.0.0"}}
	if o.Timeout == 0 {
		o.Timeout = patience
	}
	began := time.Now()
	err := pods.Wait(t.Context(), c.client, c.namespace, "app="+l.name, int(*d.Spec.Replicas), o)
	for l.late && err != nil && !strings.Contains(err.Error(), l.reason) && time.Since(began) < 2*patience {
		err = pods.Wait(t.Context(), c.client, c.namespace, "app="+l.name, int(*d.Spec.Replicas), o)
	}
	told := time.Now()
	decided := recorded()
	t.Logf("after %s: %v", told.Sub(began).Round(10*time.Millisecond), err)
	if !decided.IsZero() {
		t.Logf("told %s after the last pod could be judged", told.Sub(decided).Round(10*time.Millisecond))
	}
	if l.reason == "" {
		if err != nil {
			t.Errorf("it gets ready, but %v", err)
		}
		return
	}
	var doomed *deploy.Doomed
	if !errors.As(err, &doomed) {
		t.Fatalf("want a *deploy.Doomed, got %v", err)
	}
	e := doomed.Evidence
	t.Logf("hint: %s\nlog: %q\nevents: %q", doomed.Hint, e.Log, e.Events)
	if !strings.Contains(e.Reason, l.reason) || !strings.HasPrefix(e.Replica, l.name) || doomed.Hint == "" {
		t.Errorf("the reason tells nothing of %q: %+v", l.reason, doomed)
	}
	if l.line != "" && !strings.Contains(strings.Join(e.Log, "\n"), l.line) {
		t.Errorf("the log does not say %q: %q", l.line, e.Log)
	}
}
