package objects

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/slipway-ci/slipway/deploy"
)

// AnnotationRevision holds a deploy.Revision as JSON, without the values of its
// secrets.
const AnnotationRevision = "slipway.dev/revision-content"

// Container is the name of the app's container in its pod, unless the pod's
// annotation AnnotationContainer names another. AnnotationPort is the port that it
// listens on, where that is not the first of the pod.
const (
	Container           = "app"
	AnnotationContainer = "slipway.dev/container"
	AnnotationPort      = "slipway.dev/port"
)

// ContainerOf is the name of the app's container in a pod.
func ContainerOf(p *corev1.Pod) string { return cmp.Or(p.Annotations[AnnotationContainer], Container) }

// PortOf is the port that the app listens on in a pod; zero where the pod names
// none.
func PortOf(p *corev1.Pod) int {
	if n, err := strconv.Atoi(p.Annotations[AnnotationPort]); err == nil {
		return n
	}
	for _, c := range p.Spec.Containers {
		if c.Name == ContainerOf(p) && len(c.Ports) > 0 {
			return int(c.Ports[0].ContainerPort)
		}
	}
	return 0
}

// Defaults of pods, used where slipway.yaml is silent.
const (
	DefaultCPU    = "50m"
	DefaultMemory = "64Mi"
	// DefaultUser is the user nonroot of distroless images.
	DefaultUser = 65532
)

// Deployment runs a revision with so many replicas.
func (p Place) Deployment(r deploy.Revision, replicas int) (*appsv1.Deployment, error) {
	content, err := json.Marshal(r)
	if err != nil {
		return nil, fmt.Errorf("write down %s: %w", r, err)
	}
	pod, err := p.pod(r)
	if err != nil {
		return nil, err
	}
	set := p.labelsOf(r)
	meta := p.meta(p.Name(r.ID), set)
	placed, err := json.Marshal(p.Cluster)
	if err != nil {
		return nil, fmt.Errorf("write down where %s goes: %w", r, err)
	}
	meta.Annotations = map[string]string{AnnotationRevision: string(content), AnnotationPlace: string(placed)}
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: "apps/v1", Kind: "Deployment"},
		ObjectMeta: meta,
		Spec: appsv1.DeploymentSpec{
			Replicas:                ptr(int32(replicas)),
			Selector:                &metav1.LabelSelector{MatchLabels: p.Pods(r.ID)},
			RevisionHistoryLimit:    ptr(int32(0)), // what to go back to is another Deployment
			ProgressDeadlineSeconds: ptr(seconds(r.Config.StartTimeout) + 1),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: Serving(set)},
				Spec:       pod,
			},
		},
	}, nil
}

// RevisionOf reads back what Deployment wrote down.
func RevisionOf(d *appsv1.Deployment) (deploy.Revision, error) {
	var r deploy.Revision
	if err := json.Unmarshal([]byte(d.Annotations[AnnotationRevision]), &r); err != nil {
		return r, fmt.Errorf("deployment %s/%s does not say which revision it is: %w", d.Namespace, d.Name, err)
	}
	return r, nil
}

// pod is the specification of a revision's pods: not root, nothing writable but
// /tmp, no capability, no token.
func (p Place) pod(r deploy.Revision) (corev1.PodSpec, error) {
	settings := r.Config.Settings
	resources, err := resources(settings)
	if err != nil {
		return corev1.PodSpec{}, err
	}
	security, err := security(settings[deploy.SettingUser])
	if err != nil {
		return corev1.PodSpec{}, err
	}
	preStop := p.PreStop()
	return corev1.PodSpec{
		ServiceAccountName:            p.Base(),
		AutomountServiceAccountToken:  ptr(false),
		EnableServiceLinks:            ptr(false),
		TerminationGracePeriodSeconds: ptr(preStop + int64(max(1, seconds(r.Config.Drain)))),
		SecurityContext:               security,
		Containers: []corev1.Container{{
			Name:            Container,
			Image:           r.Image.Reference(),
			ImagePullPolicy: corev1.PullIfNotPresent, // a digest does not change
			EnvFrom:         p.fromSettings(r),
			Env:             p.env(r),
			Ports:           []corev1.ContainerPort{{Name: portName, ContainerPort: int32(r.Config.Port), Protocol: corev1.ProtocolTCP}},
			Resources:       resources,
			ReadinessProbe:  readiness(r.Config),
			Lifecycle:       &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: preStop}}},
			SecurityContext: &corev1.SecurityContext{
				AllowPrivilegeEscalation: ptr(false),
				ReadOnlyRootFilesystem:   ptr(true),
				Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
			},
			VolumeMounts: []corev1.VolumeMount{{Name: "tmp", MountPath: "/tmp"}},
		}},
		Volumes: []corev1.Volume{{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
	}, nil
}

// PreStop is how long a pod serves on when it is to end, in whole seconds.
func (p Place) PreStop() int64 {
	d := p.Cluster.PreStop
	if d <= 0 {
		d = deploy.DefaultPreStop
	}
	return int64(seconds(d))
}

// seconds rounds up: the cluster counts in whole ones.
func seconds(d time.Duration) int32 {
	return int32(min(math.Ceil(d.Seconds()), math.MaxInt32-1))
}

// Variables are those of slipway.yaml alone, one by one. What is given as it stands
// must not be expanded: $(NAME) means something to Kubernetes.
func (p Place) Variables(r deploy.Revision) []corev1.EnvVar {
	var all []corev1.EnvVar
	for _, name := range slices.Sorted(maps.Keys(r.Config.Env)) {
		all = append(all, corev1.EnvVar{Name: name, Value: unexpanded(r.Config.Env[name])})
	}
	return append(all, p.secretVariables(r)...)
}

// secretVariables take their values from Secrets.
func (p Place) secretVariables(r deploy.Revision) []corev1.EnvVar {
	var all []corev1.EnvVar
	for _, s := range r.Secrets {
		all = append(all, corev1.EnvVar{Name: s.Name, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: p.SecretName(s)}, Key: s.Name,
		}}})
	}
	return all
}

// unexpanded is a text as it stands, in which Kubernetes replaces nothing.
func unexpanded(text string) string { return strings.ReplaceAll(text, "$", "$$") }

// readiness asks often and bears little, so that a pod that cannot serve gets
// nobody. There is no liveness probe: ending a slow app makes it slower.
func readiness(c deploy.Config) *corev1.Probe {
	probe := &corev1.Probe{PeriodSeconds: 1, TimeoutSeconds: 3, FailureThreshold: 3, SuccessThreshold: 1}
	port := intstr.FromInt32(int32(c.Port))
	if c.Health == "" {
		probe.TCPSocket = &corev1.TCPSocketAction{Port: port}
		return probe
	}
	probe.HTTPGet = &corev1.HTTPGetAction{Path: c.Health, Port: port, Scheme: corev1.URISchemeHTTP}
	return probe
}

func resources(settings map[string]string) (corev1.ResourceRequirements, error) {
	requests, limits := corev1.ResourceList{}, corev1.ResourceList{}
	for _, of := range []struct {
		name     corev1.ResourceName
		key, def string
	}{{corev1.ResourceCPU, deploy.SettingCPU, DefaultCPU}, {corev1.ResourceMemory, deploy.SettingMemory, DefaultMemory}} {
		text := settings[of.key]
		if text == "" {
			requests[of.name] = resource.MustParse(of.def)
			continue
		}
		q, err := resource.ParseQuantity(text)
		if err != nil {
			return corev1.ResourceRequirements{}, deploy.Usage("write one such as 250m or 128Mi", "%s: %q is no quantity: %w", of.key, text, err)
		}
		requests[of.name] = q
		if of.name == corev1.ResourceMemory {
			limits[of.name] = q // CPU is shared by weight: a limit only makes idle time
		}
	}
	r := corev1.ResourceRequirements{Requests: requests}
	if len(limits) > 0 {
		r.Limits = limits
	}
	return r, nil
}

func security(user string) (*corev1.PodSecurityContext, error) {
	c := &corev1.PodSecurityContext{
		RunAsNonRoot:   ptr(true),
		SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
	if user == deploy.UserOfImage {
		return c, nil
	}
	id := int64(DefaultUser)
	if user != "" {
		n, err := strconv.ParseInt(user, 10, 32)
		if err != nil || n < 1 {
			return nil, deploy.Usage("write a number above 0, or image", "user: %q is no user", user)
		}
		id = n
	}
	c.RunAsUser, c.RunAsGroup, c.FSGroup = ptr(id), ptr(id), ptr(id)
	return c, nil
}

// Service is a revision's own: what routes send users to.
func (p Place) Service(r deploy.Revision) *corev1.Service {
	s := p.service(p.Name(r.ID), r.ID)
	s.Labels = p.labelsOf(r)
	return s
}

func (p Place) service(name, revision string) *corev1.Service {
	return &corev1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Service"},
		ObjectMeta: p.meta(name, p.Labels()),
		Spec: corev1.ServiceSpec{
			Selector: p.Pods(revision),
			Ports: []corev1.ServicePort{{
				// By name: each revision may listen on another port.
				Name: portName, Port: ServicePort, Protocol: corev1.ProtocolTCP, TargetPort: intstr.FromString(portName),
			}},
		},
	}
}

// ServicePort is the port of all Services, whatever the app listens on; pods
// call theirs by portName.
const (
	ServicePort = 80
	portName    = "http"
)

// Budget keeps all replicas but one from being taken off their nodes at a time;
// nil for a single one, which could never move otherwise.
func (p Place) Budget(r deploy.Revision) *policyv1.PodDisruptionBudget {
	if r.Config.Replicas < 2 {
		return nil
	}
	one := intstr.FromInt32(1)
	return &policyv1.PodDisruptionBudget{
		TypeMeta:   metav1.TypeMeta{APIVersion: "policy/v1", Kind: "PodDisruptionBudget"},
		ObjectMeta: p.meta(p.Name(r.ID), p.labelsOf(r)),
		Spec: policyv1.PodDisruptionBudgetSpec{
			MaxUnavailable: &one, Selector: &metav1.LabelSelector{MatchLabels: p.Pods(r.ID)},
		},
	}
}

// SecretName is that of the object that holds one version of a secret. Names of
// variables are no names of objects, so that it is told by a hash.
func (p Place) SecretName(s deploy.Secret) string {
	sum := sha(s.Name + "@" + s.Version)
	return p.Base() + "-" + sum
}

// Secret holds one version of one secret, and never changes.
func (p Place) Secret(s deploy.Secret) *corev1.Secret {
	meta := p.meta(p.SecretName(s), p.Labels())
	meta.Annotations = map[string]string{AnnotationSecret: s.String()}
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: meta,
		Type:       corev1.SecretTypeOpaque,
		Immutable:  ptr(true),
		Data:       map[string][]byte{s.Name: []byte(s.Reveal())},
	}
}

// AnnotationSecret names secret and version: API_KEY@8f….
const AnnotationSecret = "slipway.dev/secret" //nolint:gosec // a name

func ptr[T any](v T) *T { return &v }
