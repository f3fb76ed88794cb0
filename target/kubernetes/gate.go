package kubernetes

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/objects"
)

// gated refuses what could bring users to nobody: a gateway that is not there or
// lets no route of the namespace in, and a host name whose users are somebody
// else's already. Without a gateway there is nothing to ask.
func (t *Target) gated(ctx context.Context) error {
	if t.place.Cluster.Gateway == nil {
		return t.ungated(ctx)
	}
	g, err := t.gateway(ctx)
	if err != nil {
		return err
	}
	if why := shut(g, t.place); len(why) > 0 {
		return deploy.Usage("name another gateway, or have its listeners let the route in: kubectl describe gateway -n "+g.GetNamespace()+" "+g.GetName(),
			"the Gateway %s in %s would not let users of %s in: %s", g.GetName(), g.GetNamespace(), t.place.Host(), strings.Join(why, "; "))
	}
	return t.free(ctx)
}

// ungated refuses to go on without a gateway while a route of Slipway's own still
// leads users of one to the live version, which ends with the next. A login that may
// not read routes has none there.
func (t *Target) ungated(ctx context.Context) error {
	o, err := route{t}.api().Get(ctx, t.place.Base(), metav1.GetOptions{})
	if absent(err) || apierrors.IsForbidden(err) {
		return nil
	}
	if err != nil {
		return t.ended(ctx, err, "look for a route of %s", t)
	}
	if t.mine(o) != nil {
		return nil
	}
	hosts, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "hostnames")
	return deploy.Usage("name the gateway again; or, when nobody comes by it any more: kubectl delete httproute -n "+o.GetNamespace()+" "+o.GetName(),
		"the HTTPRoute %s leads users of %s here, and slipway.yaml names no gateway any more", o.GetName(), strings.Join(hosts, ", "))
}

// gateway is the one that slipway.yaml or the user's own route names.
func (t *Target) gateway(ctx context.Context) (*unstructured.Unstructured, error) {
	named := t.place.Cluster.Gateway
	namespace := cmp.Or(named.Namespace, t.place.Namespace)
	g, err := t.dynamic.Resource(gateways).Namespace(namespace).Get(ctx, named.Name, metav1.GetOptions{})
	if err == nil || !absent(err) {
		return g, t.ended(ctx, err, "look at the Gateway %s in %s", named.Name, namespace)
	}
	all, err := t.dynamic.Resource(gateways).List(ctx, metav1.ListOptions{})
	if absent(err) {
		return nil, deploy.Usage("install the Gateway API and a gateway in the cluster, or leave gateway out of the target", "the cluster has no Gateway API")
	}
	hint := "kubectl get gateway -A lists those that there are"
	if err == nil {
		hint = "none is in the cluster: install one, or leave gateway out of the target"
	}
	if err == nil && len(all.Items) > 0 {
		hint = "name one that is there: " + strings.Join(writtenAs(all.Items), ", ")
	}
	return nil, deploy.Usage(hint, "there is no Gateway %s in the namespace %s", named.Name, namespace)
}

// writtenAs are gateways as slipway.yaml names them.
func writtenAs(all []unstructured.Unstructured) []string {
	text := make([]string, len(all))
	for i, g := range all {
		text[i] = fmt.Sprintf("{name: %s, namespace: %s}", g.GetName(), g.GetNamespace())
	}
	slices.Sort(text)
	return text
}

// shut says of each listener of a gateway why it lets no route of the place in;
// nothing where one does, or may: which namespaces a selector means is the gateway's
// to say.
func shut(g *unstructured.Unstructured, p objects.Place) []string {
	var why []string
	listeners, _, _ := unstructured.NestedSlice(g.Object, "spec", "listeners")
	for _, entry := range listeners {
		l, _ := entry.(map[string]any)
		no := refuses(l, p, g.GetNamespace())
		if no == "" {
			return nil
		}
		why = append(why, fmt.Sprintf("the listener %v %s", l["name"], no))
	}
	if len(why) == 0 {
		return []string{"it has no listener"}
	}
	return why
}

// refuses is why a listener takes no route of the place; empty where it may.
func refuses(listener map[string]any, p objects.Place, own string) string {
	from, _, _ := unstructured.NestedString(listener, "allowedRoutes", "namespaces", "from")
	name, _, _ := unstructured.NestedString(listener, "hostname")
	protocol, _, _ := unstructured.NestedString(listener, "protocol")
	switch {
	case protocol != "HTTP" && protocol != "HTTPS":
		return "is for " + protocol
	case !overlap(name, p.Host()):
		return "is for " + name
	case cmp.Or(from, "Same") == "Same" && own != p.Namespace:
		return fmt.Sprintf("takes routes of the namespace %s alone, and not of %s", own, p.Namespace)
	case from == "None":
		return "takes no routes"
	}
	return ""
}

// overlap reports whether a listener's host name has hosts in common with a route's.
// Either may begin with "*.", and an empty one is all there are.
func overlap(listener, host string) bool {
	within := func(name, wild string) bool {
		end, is := strings.CutPrefix(wild, "*")
		return is && strings.HasSuffix(name, end) && len(name) > len(end)
	}
	listener, host = strings.ToLower(listener), strings.ToLower(host)
	return listener == "" || host == "" || listener == host || within(host, listener) || within(listener, host)
}

// free refuses to bring the environment's first users in by a host name that leads
// to somebody else: a gateway gives the users of two such routes to one of them, and
// which one nobody would tell.
func (t *Target) free(ctx context.Context) error {
	if t.place.Front.Route != "" {
		return nil // its host names and paths are the user's own to choose
	}
	o, err := route{t}.api().Get(ctx, t.place.RouteName(), metav1.GetOptions{})
	if o != nil && err == nil || err != nil && !absent(err) {
		return t.ended(ctx, err, "read the route of %s", t)
	}
	rival, err := t.rival(ctx)
	if err == nil && rival == "" && t.taken(ctx) {
		rival = "another environment of Slipway's, which the gateway leads them to"
	}
	if err != nil || rival == "" {
		return t.ended(ctx, err, "look for routes of %s", t.place.Host())
	}
	return deploy.Usage("choose another host; or remove that one first, which ends it for its users",
		"users of %s belong to %s", t.place.Host(), rival)
}

// rival is the route that users of the host come by at the gateway, as far as this
// login may look: everywhere, or else in the environment's namespace.
func (t *Target) rival(ctx context.Context) (string, error) {
	all, err := t.dynamic.Resource(routes).List(ctx, metav1.ListOptions{})
	if apierrors.IsForbidden(err) {
		all, err = route{t}.api().List(ctx, metav1.ListOptions{})
	}
	if err != nil {
		return "", err
	}
	for i := range all.Items {
		o := &all.Items[i]
		if o.GetDeletionTimestamp() == nil && t.place.Rivals(o) {
			return fmt.Sprintf("the HTTPRoute %s in %s", o.GetName(), o.GetNamespace()), nil
		}
	}
	return "", nil
}

// taken reports whether the gateway itself says that the host is of an environment.
// One that was removed a moment ago may still be in force: so it is asked twice.
func (t *Target) taken(ctx context.Context) bool {
	if mark, _ := (route{t}).probe(ctx); mark == "" {
		return false
	}
	select {
	case <-ctx.Done():
		return false
	case <-time.After(lag):
	}
	mark, _ := (route{t}).probe(ctx)
	return mark != ""
}
