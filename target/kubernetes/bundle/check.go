package bundle

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// KindRollout is the kind of workload that Argo Rollouts drives.
const KindRollout = "Rollout"

// Rollout reports whether the app's workload is one of Argo Rollouts, which a
// driver of its own has to move.
func (b *Bundle) Rollout() bool { return b.App.Workload.GetKind() == KindRollout }

// title names an object as the configuration does.
func title(o *unstructured.Unstructured) string { return o.GetKind() + "/" + o.GetName() }

// check refuses what cannot be run by revisions, and finds the app's port.
func (b *Bundle) check() error {
	switch kind := b.App.Workload.GetKind(); kind {
	case "Deployment", KindRollout:
	default:
		return deploy.Usage("make a Deployment of it, or name another workload of the manifests as the app's: target: {kubernetes: {workload: …}}",
			"%s is a %s: two versions of it cannot run side by side", title(b.App.Workload), kind)
	}
	if err := b.checkHooks(); err != nil {
		return err
	}
	if b.Rollout() {
		if err := b.checkRollout(); err != nil {
			return err
		}
	}
	if err := b.checkRoute(); err != nil {
		return err
	}
	pod, err := b.pod()
	if err != nil {
		return err
	}
	return b.findPort(pod)
}

// checkRoute refuses routes by which users could not be moved.
func (b *Bundle) checkRoute() error {
	if b.App.Route != nil {
		if kind := b.App.Route.GetKind(); kind != objects.RouteKind {
			return deploy.Usage("lead users to the app by an HTTPRoute", "%s: users are moved by an HTTPRoute alone", title(b.App.Route))
		}
		if b.App.Service == nil {
			return deploy.Usage("add the Service that the route leads to", "%s is there, and no Service that selects the pods of %s", title(b.App.Route), title(b.App.Workload))
		}
	}
	return b.misnamed()
}

// findPort finds the port that the app listens on: that of the Service by which
// users come, else the first of the container.
func (b *Bundle) findPort(pod *corev1.PodTemplateSpec) error {
	ports, err := b.ports()
	if err != nil {
		return err
	}
	main := b.mainPort()
	ports = slices.SortedStableFunc(slices.Values(ports), func(x, y corev1.ServicePort) int { return rank(x, main) - rank(y, main) })
	for _, p := range ports {
		if p.Protocol != corev1.ProtocolTCP {
			continue
		}
		n := numberOf(p, pod)
		if n == 0 {
			return deploy.Usage("give the container's port this name, or the Service the port's number",
				"%s leads to the port %s, which no container of %s has", title(b.App.Service), p.TargetPort.String(), title(b.App.Template))
		}
		if b.port == 0 {
			b.port = n
		}
	}
	if b.port == 0 {
		b.port = firstPort(pod, b.App.Container)
	}
	if b.port == 0 {
		return deploy.Usage("add ports: [{containerPort: 8080}] to the container", "the container %s of %s does not say which port it listens on",
			b.App.Container, title(b.App.Template))
	}
	return nil
}

// pod is the app's pod template, of which every field has to be known: one that is
// misspelt would be lost.
func (b *Bundle) pod() (*corev1.PodTemplateSpec, error) {
	template, _, err := unstructured.NestedMap(b.App.Template.Object, "spec", "template")
	var pod corev1.PodTemplateSpec
	if err == nil {
		err = runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(template, &pod, true)
	}
	if err != nil {
		return nil, deploy.Usage("kubectl explain deployment.spec.template says what there is", "%s: spec.template: %w", title(b.App.Template), err)
	}
	return &pod, nil
}

// deployment is the app's Deployment as it is written.
func (b *Bundle) deployment() (*appsv1.Deployment, error) {
	var d appsv1.Deployment
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(b.App.Template.Object, &d, true); err != nil {
		return nil, deploy.Usage("kubectl explain deployment says what there is", "%s: %w", title(b.App.Template), err)
	}
	return &d, nil
}

// ports are those of the user's Service; none without a Service.
func (b *Bundle) ports() ([]corev1.ServicePort, error) {
	if b.App.Service == nil {
		return nil, nil
	}
	var s corev1.Service
	if err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(b.App.Service.Object, &s, true); err != nil {
		return nil, deploy.Usage("kubectl explain service says what there is", "%s: %w", title(b.App.Service), err)
	}
	for i := range s.Spec.Ports {
		p := &s.Spec.Ports[i]
		p.NodePort = 0
		if p.Protocol == "" {
			p.Protocol = corev1.ProtocolTCP
		}
		if p.TargetPort == (intstr.IntOrString{}) {
			p.TargetPort = intstr.FromInt32(p.Port)
		}
	}
	return s.Spec.Ports, nil
}

// mainPort is the port by which the route comes; zero where none does.
func (b *Bundle) mainPort() int32 {
	if b.App.Route == nil {
		return 0
	}
	rules, _, _ := unstructured.NestedSlice(b.App.Route.Object, "spec", "rules")
	for _, entry := range rules {
		rule, _ := entry.(map[string]any)
		refs, _, _ := unstructured.NestedSlice(rule, "backendRefs")
		for _, entry := range refs {
			ref, _ := entry.(map[string]any)
			if port, is := ref["port"].(int64); is && ref["name"] == b.App.Service.GetName() {
				return int32(port)
			}
		}
	}
	return 0
}

// rank puts the port that users come by first: that of the route, else one that is
// called http, else the first.
func rank(p corev1.ServicePort, main int32) int {
	switch {
	case p.Port == main:
		return 0
	case strings.HasPrefix(p.Name, "http"):
		return 1
	}
	return 2
}

// numberOf is the port of the pod that a Service leads to; zero where it has none
// of the name.
func numberOf(p corev1.ServicePort, pod *corev1.PodTemplateSpec) int {
	if p.TargetPort.Type == intstr.Int {
		return int(p.TargetPort.IntVal)
	}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, port := range c.Ports {
			if port.Name == p.TargetPort.StrVal {
				return int(port.ContainerPort)
			}
		}
	}
	return 0
}

// firstPort is the first that a container says it listens on; zero for none.
func firstPort(pod *corev1.PodTemplateSpec, container string) int {
	for _, c := range pod.Spec.Containers {
		if c.Name == container && len(c.Ports) > 0 {
			return int(c.Ports[0].ContainerPort)
		}
	}
	return 0
}

// Port is the one that the app listens on.
func (b *Bundle) Port() int { return b.port }

// Replicas are how many the manifests ask for: those of the workload, else the
// fewest of its autoscaler, else 1.
func (b *Bundle) Replicas() int {
	if n, found, err := unstructured.NestedInt64(b.App.Workload.Object, "spec", "replicas"); found && err == nil {
		return int(n)
	}
	if b.App.Autoscaler != nil {
		for _, field := range []string{"minReplicas", "minReplicaCount"} {
			if n, found, err := unstructured.NestedInt64(b.App.Autoscaler.Object, "spec", field); found && err == nil && n > 0 {
				return int(n)
			}
		}
	}
	return deploy.DefaultReplicas
}

// Configure is the environment with what the manifests decide: port, readiness,
// replicas unless slipway.yaml says how many, and the Digest.
func (b *Bundle) Configure(env deploy.Environment) deploy.Environment {
	m := *env.Target.Cluster.Manifests
	m.Digest = b.Digest
	env.Target.Cluster.Manifests = &m
	env.Service.Port, env.Service.Health, env.Service.Replicas = b.port, "", b.Replicas()
	if m.Replicas > 0 {
		env.Service.Replicas = m.Replicas
	}
	return env
}

// Fits refuses a place where the app's own objects do not go.
func (b *Bundle) Fits(p objects.Place) error {
	for _, o := range []*unstructured.Unstructured{b.App.Workload, b.App.Template, b.App.Service, b.App.Route, b.App.Autoscaler} {
		if o == nil || o.GetNamespace() == "" || o.GetNamespace() == p.Namespace {
			continue
		}
		return deploy.Usage(fmt.Sprintf("write target: {kubernetes: {namespace: %s}}, or change it in the manifests", o.GetNamespace()),
			"%s is in the namespace %s, and the environment %s is in %s", title(o), o.GetNamespace(), p.Environment, p.Namespace)
	}
	if err := b.ownHosts(p); err != nil {
		return err
	}
	if err := b.hooksFit(p); err != nil {
		return err
	}
	if b.App.Route == nil {
		return nil
	}
	_, err := p.With(b.Front()).OwnRoute(b.App.Route, objects.Traffic{})
	if err != nil {
		return deploy.Usage("name the HTTPRoute that leads to the app's Service", "%s leads to no port of the Service %s", title(b.App.Route), b.App.Service.GetName())
	}
	return nil
}

// Front is what of the manifests brings users in.
func (b *Bundle) Front() objects.Front {
	if b.Rollout() {
		return objects.Front{Rollout: b.App.Workload.GetName(), Container: b.App.Container}
	}
	var f objects.Front
	if b.App.Service != nil {
		f.Service = b.App.Service.GetName()
	}
	if b.App.Route == nil {
		return f
	}
	f.Route = b.App.Route.GetName()
	parents, _, _ := unstructured.NestedSlice(b.App.Route.Object, "spec", "parentRefs")
	for _, entry := range parents {
		parent, _ := entry.(map[string]any)
		if kind, named := parent["kind"]; named && kind != "Gateway" {
			continue
		}
		g := &deploy.Gateway{}
		g.Name, _ = parent["name"].(string)
		g.Namespace, _ = parent["namespace"].(string)
		names, _, _ := unstructured.NestedStringSlice(b.App.Route.Object, "spec", "hostnames")
		for _, name := range names {
			if !strings.Contains(name, "*") {
				g.Host = name
				break
			}
		}
		f.Gateway = g
		break
	}
	return f
}
