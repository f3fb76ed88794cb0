package kubernetes

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"reflect"
	"strconv"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/feed"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// The limits of a gateway.
const (
	// takeIn is how long it may take until a gateway says that it has seen a
	// route.
	takeIn = 15 * time.Second
	// lag is given to a gateway that cannot be asked, between its saying so and
	// the first request that follows: it reports what it has read, and puts it
	// in force after that.
	lag = 2 * time.Second
	// probes are how often it is asked what it has in force before it counts as
	// one that cannot be asked, and probePause is between two questions.
	probes     = 3
	probePause = 30 * time.Millisecond
	probeTime  = 2 * time.Second
)

// route is the HTTPRoute of an environment, by which a gateway splits users.
type route struct{ *Target }

func (r route) api() dynamic.ResourceInterface {
	return r.dynamic.Resource(routes).Namespace(r.place.Namespace)
}

func (r route) read(ctx context.Context) (objects.Traffic, error) {
	o, err := r.api().Get(ctx, r.place.RouteName(), metav1.GetOptions{})
	if absent(err) {
		return r.inherited(ctx)
	}
	if err != nil {
		return objects.Traffic{}, err
	}
	return r.in(ctx, o)
}

// in is the traffic that a route tells. A user's own that was not the app's before
// tells none.
func (r route) in(ctx context.Context, o *unstructured.Unstructured) (objects.Traffic, error) {
	t, err := objects.ReadTraffic(o.GetAnnotations())
	if err == nil && t == (objects.Traffic{}) && r.place.Front.Route != "" {
		return r.inherited(ctx)
	}
	return t, err
}

// inherited is the traffic where there is no route, because the gateway is new to
// the environment, or somebody has removed it: what the Service leads to is live.
func (r route) inherited(ctx context.Context) (objects.Traffic, error) {
	t, err := entry(r).read(ctx)
	return objects.Traffic{Live: t.Live}, err
}

// change moves users by the route first, and points callers inside the cluster
// to the live revision after that.
func (r route) change(ctx context.Context, f func(objects.Traffic) (objects.Traffic, error)) (before objects.Traffic, err error) {
	var after objects.Traffic
	var written *unstructured.Unstructured
	met := map[string]bool{}
	err = contend(ctx, func() error {
		before, after, written, err = r.write(ctx, f, met)
		return err
	})
	if err != nil || written == nil {
		return before, err
	}
	if err := entry(r).lead(ctx, after); err != nil {
		return before, err
	}
	if nobody(before) && nobody(after) || before != after && after.Adds(before) {
		return before, nil // there is nothing to follow
	}
	return before, r.inForce(ctx, written, after, before != after && r.place.SameWays(before, after))
}

// nobody reports whether no revision has users, nor testers.
func nobody(t objects.Traffic) bool { return t.Weights().Nobody() && !t.Admitted }

// write is one try, in which revisions are met that were not yet. It gives back the
// route as it is now; nil where there is none, and none is needed.
func (r route) write(ctx context.Context, f func(objects.Traffic) (objects.Traffic, error), met map[string]bool) (before, after objects.Traffic, now *unstructured.Unstructured, err error) {
	o, err := r.api().Get(ctx, r.place.RouteName(), metav1.GetOptions{})
	if absent(err) {
		return r.create(ctx, f)
	}
	if err != nil {
		return before, after, nil, err
	}
	if err := r.mine(o); err != nil {
		return before, after, nil, err
	}
	if before, err = r.in(ctx, o); err != nil {
		return before, after, nil, err
	}
	if after, err = f(before); err != nil {
		return before, after, nil, err
	}
	after = after.Keyed()
	if err := r.meet(ctx, o, before, after, met); err != nil {
		return before, after, nil, err
	}
	r.tellOfRivals(o, before)
	changed := o.DeepCopy()
	if err := r.place.Redirect(changed, after); err != nil {
		return before, after, nil, err
	}
	if same(o, changed) {
		return before, after, o, nil
	}
	if now, err = r.api().Update(ctx, changed, update); err == nil {
		r.rivalry.over()
	}
	return before, after, now, err
}

func (r route) create(ctx context.Context, f func(objects.Traffic) (objects.Traffic, error)) (before, after objects.Traffic, now *unstructured.Unstructured, err error) {
	if before, err = r.inherited(ctx); err != nil {
		return before, after, nil, err
	}
	if after, err = f(before); err != nil || after == before {
		return before, after, nil, err
	}
	if r.place.Front.Route != "" {
		return before, after, nil, deploy.Hinted(fmt.Errorf("the HTTPRoute %s is gone, by which users come", r.place.RouteName()), "release again: that applies it")
	}
	after = after.Keyed()
	made, err := r.place.Route(after)
	if err != nil {
		return before, after, nil, err
	}
	now, err = r.api().Create(ctx, made, creation)
	if absent(err) {
		err = deploy.Hinted(err, "install the Gateway API and a gateway in the cluster, or leave gateway out of the target")
	}
	return before, after, now, err
}

// inForce waits until the gateway has taken a route in as it stands, and sends
// requests by it. One that does need not say that it has read it, and one that cannot
// be asked need not where users go the same ways as before.
func (r route) inForce(ctx context.Context, o *unstructured.Unstructured, t objects.Traffic, same bool) error {
	limited, cancel := context.WithTimeout(ctx, takeIn)
	defer cancel()
	seen, err := r.seen(o, o.GetGeneration())
	if now, _ := r.probe(limited); err == nil && r.obeys(t)(now) {
		return nil
	}
	seen = seen || same
	if err == nil && !seen {
		err = r.watched(limited, o.GetGeneration())
	}
	if err == nil {
		err = r.follows(limited, t, seen)
	}
	if err == nil || ctx.Err() != nil || limited.Err() == nil {
		return err
	}
	g := r.place.Cluster.Gateway
	return deploy.Hinted(fmt.Errorf("the gateway %s has not taken the route %s in for %s", g.Name, r.place.RouteName(), takeIn),
		"look at the gateway and at the status of the route: kubectl describe httproute -n %s %s", r.place.Namespace, r.place.RouteName())
}

// watched follows the route until its status is of the generation.
func (r route) watched(ctx context.Context, generation int64) error {
	f, _ := r.feed()
	return feed.Until(ctx, f, func(all map[string]*unstructured.Unstructured) (bool, error) {
		o := all[r.place.RouteName()]
		if o == nil {
			return false, errors.New("the route is gone: somebody else has removed it")
		}
		return r.seen(o, generation)
	})
}

func (r route) feed() (feed.Feed, string) {
	return feed.Feed{
		What: "the route " + r.place.RouteName(), List: feed.Listing(r.api().List), Watch: r.api().Watch, Options: feed.Named(r.place.RouteName()),
	}, routes.Resource
}

// seen reports whether the gateway says of this generation, or a later one, that
// it has it; that it refuses it is an error.
func (r route) seen(o *unstructured.Unstructured, generation int64) (bool, error) {
	parents, _, _ := unstructured.NestedSlice(o.Object, "status", "parents")
	for _, entry := range parents {
		parent, _ := entry.(map[string]any)
		name, _, _ := unstructured.NestedString(parent, "parentRef", "name")
		if name != r.place.Cluster.Gateway.Name {
			continue
		}
		conditions, _, _ := unstructured.NestedSlice(parent, "conditions")
		for _, entry := range conditions {
			c, _ := entry.(map[string]any)
			observed, _, _ := unstructured.NestedInt64(c, "observedGeneration")
			if c["type"] != "Accepted" || observed < generation {
				continue
			}
			if c["status"] == "True" {
				return true, nil
			}
			return false, deploy.Hinted(fmt.Errorf("the gateway %s refuses the route %s: %v: %v", name, r.place.RouteName(), c["reason"], c["message"]),
				"%s", r.whyRefused(c["reason"]))
		}
	}
	return false, nil
}

// whyRefused is what to look at when a gateway refuses the route.
func (r route) whyRefused(reason any) string {
	if reason == "UnsupportedValue" && r.place.Cluster.Gateway.Sticky != nil {
		return "it may not know regular expressions in headers, which sticky needs: leave that out"
	}
	return "look at which routes the listeners of the gateway allow, and at their host names"
}

// same reports whether a write would change nothing that is ours.
func same(a, b *unstructured.Unstructured) bool {
	return reflect.DeepEqual(a.Object["spec"], b.Object["spec"]) && maps.Equal(a.GetAnnotations(), b.GetAnnotations())
}

// address is the stable URL, worked out once.
type address struct {
	mu    sync.Mutex
	known string
}

// urlOf is where users find the environment; empty without a gateway.
func (t *Target) urlOf(ctx context.Context) string {
	host := t.place.Host()
	if host == "" {
		return ""
	}
	t.url.mu.Lock()
	defer t.url.mu.Unlock()
	if t.url.known == "" {
		url, err := t.listener(ctx, host)
		if err != nil {
			t.log.Debug("look at the gateway", "error", err)
			return "http://" + host
		}
		t.url.known = url
	}
	return t.url.known
}

// listener is the URL of a host at the gateway: by the first listener with TLS,
// or else the first one of all.
func (t *Target) listener(ctx context.Context, host string) (string, error) {
	g := t.place.Cluster.Gateway
	namespace := g.Namespace
	if namespace == "" {
		namespace = t.place.Namespace
	}
	o, err := t.dynamic.Resource(gateways).Namespace(namespace).Get(ctx, g.Name, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	listeners, _, _ := unstructured.NestedSlice(o.Object, "spec", "listeners")
	best := ""
	for _, entry := range listeners {
		l, _ := entry.(map[string]any)
		port, _, _ := unstructured.NestedInt64(l, "port")
		switch {
		case l["protocol"] == "HTTPS":
			return at("https", host, port, 443), nil
		case l["protocol"] == "HTTP" && best == "":
			best = at("http", host, port, 80)
		}
	}
	if best == "" {
		return "", errors.New("the gateway has no listener for HTTP")
	}
	return best, nil
}

func at(scheme, host string, port, usual int64) string {
	if port == usual || port == 0 {
		return scheme + "://" + host
	}
	return scheme + "://" + net.JoinHostPort(host, strconv.FormatInt(port, 10))
}
