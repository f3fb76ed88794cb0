package access

import (
	"context"
	"sync"

	"github.com/go-logr/logr"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// Options say which cluster is meant, and as whom. Their zero value is the cluster
// that this process runs in.
type Options struct {
	// Kubeconfig is the text of one, as an input or a secret gives it; empty means
	// Files.
	Kubeconfig string
	// Files are kubeconfigs on disk, merged as kubectl does: the first that names
	// something wins, and one that is missing is passed over while another is there.
	// Files gives them from a variable. None means Home.
	Files []string
	// Home is the folder in which .kube/config is looked for; where that is not,
	// or Home is empty, the cluster is meant that this process runs in.
	Home string
	// Context is the name of one; empty means the kubeconfig's current one, or its
	// only one.
	Context string
	// Namespace is where to work; empty means the context's, and else "default".
	Namespace string
	// Agent is how requests introduce themselves, such as "slipway/1.4.2"; empty
	// is "slipway".
	Agent string
	// Warn is given what the server warns of, such as a deprecated API, each text
	// once; nil drops it. It is called from several goroutines, one at a time.
	Warn func(string)
}

// Cluster is an open way to a cluster. It may be used from several goroutines.
type Cluster struct {
	// Config is for clients: it counts and bounds what they ask, and has no limit
	// of requests a second of its own.
	Config *rest.Config
	// Namespace is never empty. Whether it exists was not asked.
	Namespace string
	// Context is the name of the kubeconfig's context; empty in a cluster.
	Context string
	// Version is the server's, such as "v1.34.2".
	Version string

	way    chosen
	counts *counter
}

// quiet keeps Kubernetes' libraries from writing to standard error by themselves,
// past the masks.
var quiet = sync.OnceFunc(func() { klog.SetLogger(logr.Discard()) })

// Open finds the cluster, logs in and asks it once for its version, so that what
// is wrong with the way to it is said here. It changes nothing. A mistake in what
// was given is a deploy.Usage; that a cluster cannot be reached is not.
func Open(ctx context.Context, o Options) (*Cluster, error) {
	quiet()
	way, err := choose(o)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Config: way.config, Namespace: way.namespace, Context: way.context, way: way, counts: newCounter()}
	c.Config.UserAgent = first(o.Agent, "slipway")
	// The server shares itself out fairly; a limit of ours would only make a
	// release of many objects slower.
	c.Config.QPS = -1
	c.Config.WarningHandler = &warner{to: o.Warn}
	carrier := &carrier{counts: c.counts, patience: firstPatience}
	c.Config.Wrap(carrier.wrap)

	asker, err := discovery.NewDiscoveryClientForConfig(c.Config)
	if err != nil {
		return nil, c.Explain(err)
	}
	version, err := asker.ServerVersionWithContext(ctx)
	if err != nil {
		return nil, c.Explain(err)
	}
	carrier.reached()
	c.Version = version.GitVersion
	return c, nil
}

// Requests is how often which resource was asked for what, since Open: keys are
// "get deployments", "watch pods", "patch httproutes/status", "get /version".
// Attempts that were repeated because of the network count each.
func (c *Cluster) Requests() map[string]int { return c.counts.all() }

// Written counts the requests of this cluster's clients that may have changed
// objects of a resource, such as "pods", in any namespace. Each counts once it is
// over, and before whoever made it is told so.
func (c *Cluster) Written(resource string) int64 { return c.counts.written(resource) }

// warner passes on what a server warns of, once.
type warner struct {
	to   func(string)
	mu   sync.Mutex
	said map[string]bool
}

// HandleWarningHeader implements rest.WarningHandler.
func (w *warner) HandleWarningHeader(code int, _, text string) {
	if code != 299 || text == "" || w.to == nil {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.said[text] {
		return
	}
	if w.said == nil {
		w.said = map[string]bool{}
	}
	w.said[text] = true
	w.to(text)
}
