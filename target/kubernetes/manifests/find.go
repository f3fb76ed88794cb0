package manifests

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
)

// Names are what the configuration names. Each is empty, or the name of an
// object, or "Kind/name" where two kinds have one name.
type Names struct{ Workload, Container, Service, Route string }

// App is what an app consists of in a set. All but Workload and Template are nil
// where the set has none.
type App struct {
	// Workload is a Deployment, StatefulSet, DaemonSet or Rollout. Template has its
	// pods: it is the workload itself, or the Deployment that a Rollout refers to.
	Workload, Template *unstructured.Unstructured
	// Container is the name of the app's container.
	Container string
	// Service selects the workload's pods; Route is an HTTPRoute or GRPCRoute that
	// leads to it. The one of a Rollout has all users, where its strategy names it,
	// and no Route: its controller moves users.
	Service, Route *unstructured.Unstructured
	// Autoscaler is what changes the number of the workload's replicas: a
	// HorizontalPodAutoscaler or a ScaledObject.
	Autoscaler *unstructured.Unstructured
}

// Find says which objects are the app's: those that are named, otherwise the
// only ones that fit. Image is the app's image or its repository, such as
// "ghcr.io/acme/shop". What cannot be decided is an error of usage with the
// candidates.
func Find(objects []*unstructured.Unstructured, names Names, image string) (App, error) {
	var app App
	var err error
	if app.Workload, err = workload(objects, names.Workload, image); err != nil {
		return App{}, err
	}
	if app.Template, err = template(objects, app.Workload); err != nil {
		return App{}, err
	}
	if app.Container, err = container(app, names.Container, image); err != nil {
		return App{}, err
	}
	if app.Service, err = service(objects, app, names.Service); err != nil {
		return App{}, err
	}
	if isRollout(app.Workload) && names.Route != "" {
		return App{}, deploy.Usage("remove route", "route: %s moves its users itself, by its controller", title(app.Workload))
	}
	if !isRollout(app.Workload) {
		if app.Route, err = route(objects, app.Service, names.Route); err != nil {
			return App{}, err
		}
	}
	app.Autoscaler = autoscaler(objects, app.Workload)
	return app, nil
}

// is reports whether an object is of a group and one of its kinds.
func is(o *unstructured.Unstructured, group string, kinds ...string) bool {
	gvk := o.GroupVersionKind()
	return gvk.Group == group && slices.Contains(kinds, gvk.Kind)
}

func isWorkload(o *unstructured.Unstructured) bool {
	return is(o, "apps", "Deployment", "StatefulSet", "DaemonSet") || isRollout(o)
}

func isRollout(o *unstructured.Unstructured) bool { return is(o, "argoproj.io", "Rollout") }

// stable is the name of the Service by which all users of a Rollout come that have
// no part in what it tries out; empty where its strategy names none.
func stable(rollout *unstructured.Unstructured) string {
	for _, at := range [][]string{{"blueGreen", "activeService"}, {"canary", "stableService"}} {
		if name, _, _ := unstructured.NestedString(rollout.Object, append([]string{"spec", "strategy"}, at...)...); name != "" {
			return name
		}
	}
	return ""
}

func workload(objects []*unstructured.Unstructured, name, image string) (*unstructured.Unstructured, error) {
	all := those(objects, isWorkload)
	if name != "" {
		return called(all, "workload", name)
	}
	// A Deployment that a Rollout refers to is the Rollout's.
	own := those(all, func(o *unstructured.Unstructured) bool {
		return !slices.ContainsFunc(all, func(r *unstructured.Unstructured) bool { return refersTo(r, o) })
	})
	if len(own) == 1 {
		return own[0], nil
	}
	with := those(own, func(o *unstructured.Unstructured) bool {
		t, err := template(objects, o)
		return err == nil && len(running(t, image)) > 0
	})
	if len(with) == 1 {
		return with[0], nil
	}
	if len(own) == 0 {
		return nil, deploy.Usage("a Deployment, StatefulSet, DaemonSet or Rollout runs an app", "there is no workload in the manifests")
	}
	return nil, undecided("workload", own, "")
}

func container(app App, name, image string) (string, error) {
	all := containers(app.Template, "containers")
	var names []string
	for _, c := range all {
		names = append(names, nameOf(c))
	}
	if name != "" {
		if slices.Contains(names, name) {
			return name, nil
		}
		return "", deploy.Usage("it has "+strings.Join(names, ", "), "%s has no container %q", title(app.Template), name)
	}
	with := running(app.Template, image)
	switch {
	case len(all) == 1:
		return names[0], nil
	case len(with) == 1:
		return with[0], nil
	case len(all) == 0:
		return "", deploy.Usage("its pods need one", "%s has no container", title(app.Template))
	}
	return "", deploy.Usage("name the app's container: "+strings.Join(names, ", "),
		"%s has %d containers, and %d of them have an image of %s", title(app.Template), len(all), len(with), image)
}

func service(objects []*unstructured.Unstructured, app App, name string) (*unstructured.Unstructured, error) {
	all := those(objects, func(o *unstructured.Unstructured) bool { return is(o, "", "Service") })
	if name != "" {
		return called(all, "service", name)
	}
	labels, _, _ := unstructured.NestedStringMap(app.Template.Object, "spec", "template", "metadata", "labels")
	fit := those(all, func(o *unstructured.Unstructured) bool {
		selector, _, _ := unstructured.NestedStringMap(o.Object, "spec", "selector")
		for key, value := range selector {
			if labels[key] != value {
				return false
			}
		}
		return len(selector) > 0 && together(o, app.Workload)
	})
	if own := stable(app.Workload); len(fit) > 1 && isRollout(app.Workload) && own != "" {
		fit = those(fit, func(o *unstructured.Unstructured) bool { return o.GetName() == own })
	}
	if len(fit) > 1 {
		// A headless one is for the pods themselves, beside that for users.
		fit = slices.DeleteFunc(fit, func(o *unstructured.Unstructured) bool {
			ip, _, _ := unstructured.NestedString(o.Object, "spec", "clusterIP")
			return ip == "None"
		})
	}
	if len(fit) > 1 {
		return nil, undecided("service", fit, " that select the pods of "+title(app.Workload))
	}
	return only(fit), nil
}

func route(objects []*unstructured.Unstructured, to *unstructured.Unstructured, name string) (*unstructured.Unstructured, error) {
	all := those(objects, func(o *unstructured.Unstructured) bool {
		return is(o, "gateway.networking.k8s.io", "HTTPRoute", "GRPCRoute")
	})
	if name != "" {
		return called(all, "route", name)
	}
	if to == nil {
		return nil, nil // a set without a route is a set like others
	}
	fit := those(all, func(o *unstructured.Unstructured) bool { return leadsTo(o, to) })
	if len(fit) > 1 {
		return nil, undecided("route", fit, " that lead to "+title(to))
	}
	return only(fit), nil
}

func leadsTo(route, service *unstructured.Unstructured) bool {
	rules, _, _ := unstructured.NestedSlice(route.Object, "spec", "rules")
	for _, rule := range rules {
		fields, _ := rule.(map[string]any)
		backends, _, _ := unstructured.NestedSlice(fields, "backendRefs")
		for _, backend := range backends {
			to, _ := backend.(map[string]any)
			kind, ok := to["kind"]
			if to["name"] == service.GetName() && (!ok || kind == "Service") && together(route, service) {
				return true
			}
		}
	}
	return false
}

func autoscaler(objects []*unstructured.Unstructured, workload *unstructured.Unstructured) *unstructured.Unstructured {
	for _, o := range objects {
		if !is(o, "autoscaling", "HorizontalPodAutoscaler") && !is(o, "keda.sh", "ScaledObject") {
			continue
		}
		to, _, _ := unstructured.NestedMap(o.Object, "spec", "scaleTargetRef")
		kind, ok := to["kind"]
		if to["name"] == workload.GetName() && (kind == workload.GetKind() || !ok && workload.GetKind() == "Deployment") && together(o, workload) {
			return o
		}
	}
	return nil
}

// refersTo reports whether a Rollout takes its pods from a Deployment.
func refersTo(rollout, deployment *unstructured.Unstructured) bool {
	ref, ok, _ := unstructured.NestedMap(rollout.Object, "spec", "workloadRef")
	return ok && ref["kind"] == deployment.GetKind() && ref["name"] == deployment.GetName() && together(rollout, deployment)
}

// template is the object that has a workload's pods.
func template(objects []*unstructured.Unstructured, workload *unstructured.Unstructured) (*unstructured.Unstructured, error) {
	ref, ok, _ := unstructured.NestedMap(workload.Object, "spec", "workloadRef")
	if !ok || !isRollout(workload) {
		return workload, nil
	}
	for _, o := range objects {
		if refersTo(workload, o) {
			return o, nil
		}
	}
	return nil, deploy.Usage("put it into the same manifests", "%s refers to %v/%v, which is not there", title(workload), ref["kind"], ref["name"])
}

// together reports whether two objects go to one namespace; none is that of the
// release.
func together(a, b *unstructured.Unstructured) bool { return a.GetNamespace() == b.GetNamespace() }

func those(all []*unstructured.Unstructured, fit func(*unstructured.Unstructured) bool) []*unstructured.Unstructured {
	var found []*unstructured.Unstructured
	for _, o := range all {
		if fit(o) {
			found = append(found, o)
		}
	}
	return found
}

func only(all []*unstructured.Unstructured) *unstructured.Unstructured {
	if len(all) != 1 {
		return nil
	}
	return all[0]
}

// called is the object of a name, or of a kind and name.
func called(all []*unstructured.Unstructured, what, name string) (*unstructured.Unstructured, error) {
	fit := those(all, func(o *unstructured.Unstructured) bool {
		return o.GetName() == name || strings.EqualFold(title(o), name)
	})
	switch {
	case len(fit) == 1:
		return fit[0], nil
	case len(fit) > 1:
		return nil, undecided(what, fit, " of the name "+name)
	case len(all) == 0:
		return nil, deploy.Usage("put it into the manifests, or name none", "there is no %s %q in the manifests: there is none at all", what, name)
	}
	return nil, deploy.Usage("there is "+titles(all), "there is no %s %q in the manifests", what, name)
}

func undecided(what string, all []*unstructured.Unstructured, which string) error {
	return deploy.Usage("name the app's "+what+": "+titles(all), "there are %d %ss%s in the manifests", len(all), what, which)
}

func titles(all []*unstructured.Unstructured) string {
	var said []string
	for _, o := range all {
		s := title(o)
		if o.GetNamespace() != "" {
			s += " in " + o.GetNamespace()
		}
		said = append(said, s)
	}
	slices.Sort(said)
	return strings.Join(said, ", ")
}

// SetImage puts an image, "REPOSITORY@sha256:…", into every container and init
// container of the objects whose image is of the same repository, and into the
// app's container. It says how many it has put it into.
func SetImage(objects []*unstructured.Unstructured, app App, image string) int {
	n := 0
	for _, o := range objects {
		for _, field := range []string{"initContainers", "containers"} {
			for _, c := range containers(o, field) {
				named := o == app.Template && field == "containers" && nameOf(c) == app.Container
				if have, _ := c["image"].(string); named || sameRepository(have, image) {
					c["image"] = image
					n++
				}
			}
		}
	}
	return n
}

// Replace puts an image into every container and init container of the objects
// whose image is of the repository of another one, and says into how many.
func Replace(objects []*unstructured.Unstructured, written, image string) int {
	n := 0
	for _, o := range objects {
		for _, field := range []string{"initContainers", "containers"} {
			for _, c := range containers(o, field) {
				if have, _ := c["image"].(string); sameRepository(have, written) {
					c["image"] = image
					n++
				}
			}
		}
	}
	return n
}

// ImageOf is the image that is written for the app's container.
func ImageOf(app App) string {
	for _, c := range containers(app.Template, "containers") {
		if nameOf(c) == app.Container {
			image, _ := c["image"].(string)
			return image
		}
	}
	return ""
}

// unbuilt is a digest that no image has.
const unbuilt = "sha256:0000000000000000000000000000000000000000000000000000000000000000"

// Unbuilt stands for an image of the same repository as another one, before it is
// built. An image that cannot be read is itself.
func Unbuilt(image string) deploy.Image {
	name, err := repository(image)
	if err != nil {
		return deploy.Image{Repository: image}
	}
	return deploy.Image{Repository: name, Digest: unbuilt}
}

// podSpecs are where kinds have their pods.
var podSpecs = map[string][]string{
	"Pod": {"spec"}, "CronJob": {"spec", "jobTemplate", "spec", "template", "spec"},
	"Deployment": pods, "StatefulSet": pods, "DaemonSet": pods, "ReplicaSet": pods, "ReplicationController": pods, "Job": pods, "Rollout": pods,
}

var pods = []string{"spec", "template", "spec"}

// containers are those of an object's pods, to be changed in place.
func containers(o *unstructured.Unstructured, field string) []map[string]any {
	at, ok := podSpecs[o.GetKind()]
	if !ok {
		return nil
	}
	found, _, err := unstructured.NestedFieldNoCopy(o.Object, append(slices.Clone(at), field)...)
	items, ok := found.([]any)
	if err != nil || !ok {
		return nil
	}
	var all []map[string]any
	for _, item := range items {
		if c, ok := item.(map[string]any); ok {
			all = append(all, c)
		}
	}
	return all
}

func nameOf(container map[string]any) string {
	s, _ := container["name"].(string)
	return s
}

// running are the names of the containers whose image is of the repository.
func running(o *unstructured.Unstructured, image string) []string {
	var all []string
	for _, c := range containers(o, "containers") {
		if have, _ := c["image"].(string); sameRepository(have, image) {
			all = append(all, nameOf(c))
		}
	}
	return all
}

func sameRepository(a, b string) bool {
	x, err := repository(a)
	y, err2 := repository(b)
	return err == nil && err2 == nil && x == y
}

// repository is the full name of an image's repository, without tag and digest.
func repository(image string) (string, error) {
	if i := strings.Index(image, "@"); i >= 0 {
		image = image[:i]
	}
	ref, err := name.NewTag(image)
	if err != nil {
		return "", fmt.Errorf("read the image %q: %w", image, err)
	}
	return ref.Context().Name(), nil
}
