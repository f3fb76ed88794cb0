package access

import "slices"

// Needs say which parts of Slipway an environment uses, besides those that every
// one does.
type Needs struct {
	// Routes: traffic is moved by HTTPRoutes of the Gateway API.
	Routes bool
	// Shares: users are split by replicas, where there is no gateway.
	Shares bool
	// Scaling: HorizontalPodAutoscalers are applied.
	Scaling bool
	// Policies: NetworkPolicies are applied.
	Policies bool
	// Hooks: one-off work runs as Jobs, before or after a release.
	Hooks bool
	// Ordered: manifests hold StatefulSets. A pod that keeps one from following its
	// template is deleted.
	Ordered bool
	// Usage: the judge looks at CPU and memory by the metrics API.
	Usage bool
	// Previews: namespaces are made and removed, with a quota in each.
	Previews bool
}

// Everything is every part.
var Everything = Needs{Routes: true, Shares: true, Scaling: true, Policies: true, Hooks: true, Ordered: true, Usage: true, Previews: true}

// written are the verbs of what is applied, looked at and removed again.
var written = []string{"get", "list", "watch", "create", "update", "patch", "delete"}

// Least are the permissions that Slipway needs in the namespace of an environment,
// and no others; objects of other kinds in a user's own manifests need theirs,
// which Applied gives. docs/kubernetes-rbac.md is made of it, and the tests run
// with it.
func Least(namespace string, n Needs) []Permission {
	all := []Permission{{Verb: "get", Resource: "namespaces", Name: namespace, Namespace: namespace}}
	add := func(group string, verbs []string, resources ...string) {
		for _, r := range resources {
			for _, v := range verbs {
				all = append(all, Permission{Verb: v, Group: group, Resource: r, Namespace: namespace})
			}
		}
	}
	add("", []string{"get", "list", "watch"}, "pods")
	add("", []string{"get"}, "pods/log")
	add("", []string{"create"}, "pods/portforward") // checks ask a version before users meet it
	add("discovery.k8s.io", []string{"list", "watch"}, "endpointslices")
	add("", []string{"list"}, "events")
	add("", written, "services", "configmaps", "secrets", "serviceaccounts")
	add("apps", written, "deployments")
	add("apps", []string{"get", "list", "watch"}, "replicasets")
	add("coordination.k8s.io", []string{"get", "list", "watch", "create", "update", "delete"}, "leases")
	add("policy", written, "poddisruptionbudgets")
	if n.Routes {
		add("gateway.networking.k8s.io", written, "httproutes")
	}
	if n.Shares {
		add("", []string{"patch"}, "pods") // those that serve get a label
	}
	if n.Scaling {
		add("autoscaling", written, "horizontalpodautoscalers")
	}
	if n.Policies {
		add("networking.k8s.io", written, "networkpolicies")
	}
	if n.Hooks {
		add("batch", []string{"get", "list", "watch", "create", "delete"}, "jobs")
	}
	if n.Ordered {
		all = append(all, Unblocking(namespace))
	}
	if n.Usage {
		add("metrics.k8s.io", []string{"list"}, "pods")
	}
	if n.Previews {
		all = append(all, previews()...)
	}
	return all
}

// Driven are the permissions to drive a Rollout of Argo Rollouts that is there, in
// its namespace, and no others.
func Driven(namespace string) []Permission {
	all := []Permission{{Verb: "get", Resource: "namespaces", Name: namespace, Namespace: namespace}}
	for _, of := range []struct {
		group, resource string
		verbs           []string
	}{
		{"argoproj.io", "rollouts", []string{"get", "list", "watch", "update", "patch"}},
		{"argoproj.io", "rollouts/status", []string{"patch"}},
		{"apps", "replicasets", []string{"get", "list", "watch"}},
		{"", "pods", []string{"get", "list", "watch"}},
		{"", "pods/log", []string{"get"}},
		{"", "pods/portforward", []string{"create"}},
		{"", "events", []string{"list"}},
		{"", "configmaps", []string{"get", "list", "create", "update"}},
		{"coordination.k8s.io", "leases", []string{"get", "create", "update", "delete"}},
	} {
		for _, verb := range of.verbs {
			all = append(all, Permission{Verb: verb, Group: of.group, Resource: of.resource, Namespace: namespace})
		}
	}
	return all
}

// DrivenSet are the permissions to drive a Rollout that is a part of a user's own
// manifests, and to keep these: besides those of each kind in them, see Applied.
func DrivenSet(namespace string) []Permission {
	all := Driven(namespace)
	for _, p := range slices.Concat(
		Applied("argoproj.io", "rollouts", namespace), Applied("", "configmaps", namespace), Applied("", "secrets", namespace),
	) {
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	return all
}

// Unblocking is the permission to delete a broken pod for which a StatefulSet waits.
func Unblocking(namespace string) Permission {
	return Permission{Verb: "delete", Resource: "pods", Namespace: namespace}
}

// Gateway is the permission to read which ports the gateway has, in the namespace
// where that is.
func Gateway(namespace, name string) Permission {
	return Permission{Verb: "get", Group: "gateway.networking.k8s.io", Resource: "gateways", Name: name, Namespace: namespace}
}

// Kubelets is the permission to ask the kubelets of all nodes, through the API
// server, what their pods need. It is much: it reaches everything that they serve.
func Kubelets() Permission {
	return Permission{Verb: "get", Resource: "nodes/proxy", Wide: true}
}

// previews are what a namespace for each pull request needs in the whole cluster.
func previews() []Permission {
	var all []Permission
	for _, v := range []string{"get", "list", "watch", "create", "patch", "delete"} {
		all = append(all, Permission{Verb: v, Resource: "namespaces", Wide: true})
	}
	for _, p := range Quota("") {
		p.Wide = true
		all = append(all, p)
	}
	return all
}

// Quota are the permissions to bound what runs in a namespace.
func Quota(namespace string) []Permission {
	var all []Permission
	for _, v := range []string{"get", "create", "update", "delete"} {
		all = append(all, Permission{Verb: v, Resource: "resourcequotas", Namespace: namespace})
	}
	for _, v := range []string{"create", "delete"} {
		all = append(all, Permission{Verb: v, Resource: "limitranges", Namespace: namespace})
	}
	return all
}

// Applied are the permissions to apply, look at and remove objects of one more
// kind, as a user's own manifests may have. The resource is in the plural; an empty
// namespace means a kind that is in none.
func Applied(group, resource, namespace string) []Permission {
	return on([]string{"get", "list", "create", "patch", "delete"}, group, resource, namespace)
}

// Lasting are the permissions to apply objects of a kind that Slipway never removes,
// and to wait until they are there.
func Lasting(group, resource string) []Permission {
	return on([]string{"get", "watch", "create", "patch"}, group, resource, "")
}

func on(verbs []string, group, resource, namespace string) []Permission {
	all := make([]Permission, 0, len(verbs))
	for _, v := range verbs {
		all = append(all, Permission{Verb: v, Group: group, Resource: resource, Namespace: namespace, Wide: namespace == ""})
	}
	return all
}
