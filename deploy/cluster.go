package deploy

import (
	"cmp"
	"strconv"
	"strings"
	"time"
)

// Cluster says where in a Kubernetes cluster an environment lies, and what runs
// around its pods there. Its zero value is the context and the namespace that
// the kubeconfig names, without a gateway.
type Cluster struct {
	// Context is the one of the kubeconfig; empty is its current one.
	Context string
	// Namespace may hold EnvironmentPlace; empty is that of the context.
	Namespace string
	// Gateway brings users in from outside, and splits them; nil is none.
	Gateway *Gateway
	// PreStop is how long a pod that is to end goes on serving, so that nobody
	// is sent to it any more when it stops; zero is DefaultPreStop.
	PreStop time.Duration
	// Isolated asks for a NetworkPolicy that lets nobody in but to the port of
	// the app.
	Isolated bool
	// Quota bounds what runs in a namespace that is the environment's own; nil is
	// without bounds.
	Quota *Quota `json:",omitempty"`
	// Autoscale asks for a HorizontalPodAutoscaler of each revision; nil is none.
	Autoscale *Autoscale
	Pod       Pod
	// Manifests say what runs, in place of what the driver would make; nil where
	// there are none.
	Manifests *Manifests `json:",omitempty"`
	// Rollout is the name of one of Argo Rollouts that is there, and that is the
	// environment; empty is none. RolloutContainer is the app's in its pods; empty
	// is the only one.
	Rollout          string `json:",omitempty"`
	RolloutContainer string `json:",omitempty"`
}

// Manifests are what a user has written for a cluster: exactly one of Files,
// Kustomization and Chart is given. Paths are relative to the folder of
// slipway.yaml.
type Manifests struct {
	// Files is a file of YAML or a folder of them, Kustomization the folder of a
	// kustomization.yaml, Chart a Helm chart, packed or not.
	Files, Kustomization, Chart string
	// Release is what a chart's templates know as the release's name; empty is
	// the app's. Values are files of values, Set single ones; Release and Set may
	// hold EnvironmentPlace.
	Release     string
	Values, Set []string
	// Workload, Container, Service and Route name what is the app's: empty, a
	// name, or Kind/name.
	Workload, Container, Service, Route string
	// Replicas are those of slipway.yaml, which go over the manifests'; zero
	// leaves them to these.
	Replicas int
	// Force takes over fields that another tool owns.
	Force bool
	// NoHooks leaves a chart's hooks out. HookTimeout bounds each of them, its
	// image's pull included; zero is DefaultTaskTimeout.
	NoHooks     bool
	HookTimeout time.Duration
	// Digest is of what they come to, "sha256:…"; empty until somebody has read
	// them.
	Digest string
}

// DefaultPreStop is enough for gateways and kube-proxies that follow within
// seconds.
const DefaultPreStop = 5 * time.Second

// Gateway is one of the Gateway API that routes are attached to.
type Gateway struct {
	// Name and Namespace are the Gateway's; an empty Namespace is that of the
	// environment.
	Name, Namespace string
	// Host is the name that users ask for; it may hold EnvironmentPlace.
	Host string
	// Testers get the candidate as soon as it is started; nil is nobody.
	Testers *Testers `json:",omitempty"`
	// Sticky keeps users on their side while shares grow; nil is that each
	// request is placed anew.
	Sticky *Sticky `json:",omitempty"`
}

// Testers are known by a header of their requests with just this value.
type Testers struct{ Header, Value string }

// Sticky says by what users are known: by a cookie that the app gives them, or by a
// header that something in front of the gateway sets. One of the two is empty.
type Sticky struct {
	Cookie, Header string
	// EndsIn is what the value ends in; empty means EndsInHex.
	EndsIn Ending
}

// Ending is an alphabet in which the last characters of a value are spread evenly
// over users.
type Ending string

// The endings.
const (
	EndsInHex     Ending = "hex"
	EndsInDecimal Ending = "decimal"
	EndsInBase64  Ending = "base64"
)

// Endings are all, in the order in which help texts list them.
var Endings = []Ending{EndsInHex, EndsInDecimal, EndsInBase64}

// EnvironmentPlace stands for the name of the environment in a namespace or a
// host, so that each preview has one of its own.
const EnvironmentPlace = "{environment}"

// In is the text for one environment.
func In(environment, text string) string {
	return strings.ReplaceAll(text, EnvironmentPlace, environment)
}

// Quota is what all pods of a namespace may ask for. What is zero is the driver's
// own choice.
type Quota struct {
	// CPU and Memory are quantities such as 2 and 4Gi.
	CPU, Memory string
	Pods        int
}

// Pod is how the copies of an app run. It is part of a Revision's configuration:
// a revert brings the old one back.
type Pod struct {
	// CPU and Memory are quantities such as 250m and 128Mi: what is asked for,
	// and of memory the limit, too. Empty is the driver's own choice, without a
	// limit.
	CPU, Memory string
	// User runs the app: a number above 0, or UserOfImage; empty is the
	// driver's own choice, which is not root.
	User string
}

// Autoscale is how many copies run by their load. Like Pod it is part of a
// Revision's configuration, in which Min is the number of replicas.
type Autoscale struct {
	// Min and Max bound the number of copies: 1 at least, and Max not below Min.
	Min, Max int
	// CPU is how busy the copies are kept on average, in percent of what each
	// asks for, 1 to 999; zero is DefaultAutoscaleCPU.
	CPU int
}

// DefaultAutoscaleCPU leaves room for what comes until more copies are ready.
const DefaultAutoscaleCPU = 70

// Within is the number of copies that comes nearest to n.
func (a Autoscale) Within(n int) int { return max(a.Min, min(n, a.Max)) }

// UserOfImage leaves the user to the image, which must not name root.
const UserOfImage = "image"

// The keys of a Config's Settings.
const (
	SettingCPU    = "cpu"
	SettingMemory = "memory"
	SettingUser   = "user"
	// SettingAutoscaleMax is the largest number of copies, and SettingAutoscaleCPU
	// how busy they are kept, in percent; both are there, or none.
	SettingAutoscaleMax = "autoscale-max"
	SettingAutoscaleCPU = "autoscale-cpu"
	// SettingManifests is the Digest of Manifests.
	SettingManifests = "manifests"
	// SettingGateway is the Gateway that slipway.yaml names, as "namespace/name", and
	// SettingHost its host: users come by them, so that another one is a new version.
	SettingGateway = "gateway"
	SettingHost    = "host"
)

// AutoscaleOf is what a revision's configuration asks for; nil where that is a
// fixed number of replicas.
func AutoscaleOf(c Config) *Autoscale {
	most, err := strconv.Atoi(c.Settings[SettingAutoscaleMax])
	if err != nil {
		return nil
	}
	busy, err := strconv.Atoi(c.Settings[SettingAutoscaleCPU])
	if err != nil {
		busy = DefaultAutoscaleCPU
	}
	return &Autoscale{Min: c.Replicas, Max: max(most, c.Replicas), CPU: busy}
}

// settings are what a revision's configuration keeps of the cluster: those that
// are not empty; nil where all are.
func (c Cluster) settings() map[string]string {
	values := map[string]string{SettingCPU: c.Pod.CPU, SettingMemory: c.Pod.Memory, SettingUser: c.Pod.User}
	if c.Autoscale != nil {
		values[SettingAutoscaleMax] = strconv.Itoa(c.Autoscale.Max)
		values[SettingAutoscaleCPU] = strconv.Itoa(cmp.Or(c.Autoscale.CPU, DefaultAutoscaleCPU))
	}
	if c.Manifests != nil {
		values[SettingManifests] = c.Manifests.Digest
	}
	if c.Gateway != nil {
		values[SettingGateway], values[SettingHost] = c.Gateway.Namespace+"/"+c.Gateway.Name, c.Gateway.Host
	}
	var all map[string]string
	for key, value := range values {
		if value == "" {
			continue
		}
		if all == nil {
			all = map[string]string{}
		}
		all[key] = value
	}
	return all
}
