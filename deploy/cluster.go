package deploy

import (
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
	Pod      Pod
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
}

// EnvironmentPlace stands for the name of the environment in a namespace or a
// host, so that each preview has one of its own.
const EnvironmentPlace = "{environment}"

// In is the text for one environment.
func In(environment, text string) string {
	return strings.ReplaceAll(text, EnvironmentPlace, environment)
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

// UserOfImage leaves the user to the image, which must not name root.
const UserOfImage = "image"

// The keys of a Config's Settings.
const (
	SettingCPU    = "cpu"
	SettingMemory = "memory"
	SettingUser   = "user"
)

// settings are those that are not empty; nil where all are.
func (p Pod) settings() map[string]string {
	var all map[string]string
	for key, value := range map[string]string{SettingCPU: p.CPU, SettingMemory: p.Memory, SettingUser: p.User} {
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
