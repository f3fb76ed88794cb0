package kubernetes

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	client "k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/access"
	"github.com/slipway-ci/slipway/target/kubernetes/apply"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
	"github.com/slipway-ci/slipway/target/kubernetes/ways"
)

// Client is a cluster in which targets are opened.
type Client struct {
	cluster *access.Cluster
	kube    client.Interface
	dynamic dynamic.Interface
	// heads lists objects without what they hold.
	heads metadata.Interface
	// ways lead to single revisions.
	ways    *ways.Ways
	watches *watches
	// users reaches gateways as users do.
	users http.RoundTripper
	// applier brings users' own manifests in.
	applier *apply.Client
	log     *slog.Logger
}

// Options are what a client may be given.
type Options struct {
	// Users reaches gateways as users do; nil is as browsers on this machine do.
	Users http.RoundTripper
	// Log is told what does no harm; nil is fine.
	Log *slog.Logger
}

// The resources of the Gateway API, and of Argo Rollouts.
var (
	routes   = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}
	rollouts = schema.GroupVersionResource{Group: "argoproj.io", Version: "v1alpha1", Resource: "rollouts"}
	gateways = schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "gateways"}
)

// New makes a client of an open cluster. The ways to single revisions that it
// opens on this machine, and what it watches, end with ctx.
func New(ctx context.Context, c *access.Cluster, o Options) (*Client, error) {
	// The server's binary form is a fraction of the work of JSON.
	binary := rest.CopyConfig(c.Config)
	binary.ContentType = "application/vnd.kubernetes.protobuf"
	binary.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	kube, err := client.NewForConfig(binary)
	if err != nil {
		return nil, c.Explain(err)
	}
	dyn, err := dynamic.NewForConfig(c.Config)
	if err != nil {
		return nil, c.Explain(err)
	}
	heads, err := metadata.NewForConfig(c.Config)
	if err != nil {
		return nil, c.Explain(err)
	}
	applier, err := apply.New(c.Config)
	if err != nil {
		return nil, c.Explain(err)
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Users == nil {
		o.Users = asBrowsers()
	}
	return &Client{
		cluster: c, kube: kube, dynamic: dyn, heads: heads, ways: ways.New(ctx, c.Config, kube, o.Log), users: o.Users, applier: applier, log: o.Log,
		watches: &watches{ctx: ctx},
	}, nil
}

// Requests is how often which resource was asked for what.
func (c *Client) Requests() map[string]int { return c.cluster.Requests() }

// Target is an environment of an app. Nothing is asked of the cluster yet.
func (c *Client) Target(app string, env deploy.Environment) *Target {
	place := objects.Place{App: app, Environment: env.Name, Namespace: c.NamespaceOf(env), Cluster: env.Target.Cluster}
	t := &Target{
		Client: c, place: place, tasks: env.Tasks, watched: &watched{}, bundles: &bundles{}, replicas: max(1, env.Service.Replicas),
		kind: env.Strategy.Kind,
	}
	for _, m := range env.Strategy.Judging.Metrics {
		if m.Kubernetes != "" {
			t.metrics = append(t.metrics, m)
		}
	}
	t.stand(objects.Front{})
	return t
}

// NamespaceOf is where an environment is: in the one that it names, or else that
// of the context.
func (c *Client) NamespaceOf(env deploy.Environment) string {
	return cmp.Or(deploy.In(env.Name, env.Target.Cluster.Namespace), c.cluster.Namespace)
}

// Abilities are what a chart may ask of a cluster: its version, such as "v1.34.2",
// and what it has, such as "autoscaling/v2" and "apps/v1/Deployment".
func (c *Client) Abilities(ctx context.Context) (version string, apis []string, err error) {
	_, lists, err := c.kube.Discovery().ServerGroupsAndResources()
	if err != nil && len(lists) == 0 {
		return "", nil, c.ended(ctx, err, "ask the cluster for its kinds")
	}
	for _, list := range lists { // those of a server of its own that is down are not there
		apis = append(apis, list.GroupVersion)
		for _, r := range list.APIResources {
			apis = append(apis, list.GroupVersion+"/"+r.Kind)
		}
	}
	slices.Sort(apis)
	return c.cluster.Version, slices.Compact(apis), nil
}

// absent reports whether an object is not there, or its kind, or its namespace.
func absent(err error) bool { return apierrors.IsNotFound(err) }

// unless drops an error of a kind that is as good as success.
func unless(is func(error) bool, err error) error {
	if is(err) {
		return nil
	}
	return err
}

// ended says what an act was about in its error. An act whose context is over
// says so, whatever came of the request that was under way.
func (c *Client) ended(ctx context.Context, err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	var doomed *deploy.Doomed
	var locked *deploy.Locked
	if errors.As(err, &doomed) || errors.As(err, &locked) || errors.Is(err, deploy.ErrConflict) {
		return err
	}
	what := fmt.Sprintf(format, args...)
	if ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		return fmt.Errorf("%s: %w: %w", what, ctx.Err(), err)
	}
	return fmt.Errorf("%s: %w", what, c.cluster.Explain(err))
}
