package apply

import (
	"cmp"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Manager is the name under which Slipway owns fields.
const Manager = "slipway"

// OwnerLabel is the label on everything that Slipway applied. Its value is
// Options.Owner.
const OwnerLabel = "slipway-ci.github.io/owner"

// Reference names one object in a cluster.
type Reference struct {
	// Group is empty for the core group; Version is that under which the object
	// was applied.
	Group   string `json:"group,omitempty"`
	Version string `json:"version"`
	Kind    string `json:"kind"`
	// Namespace is empty for objects of the whole cluster.
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name"`
}

// ReferenceOf is the name of an object.
func ReferenceOf(o *unstructured.Unstructured) Reference {
	gvk := o.GroupVersionKind()
	return Reference{Group: gvk.Group, Version: gvk.Version, Kind: gvk.Kind, Namespace: o.GetNamespace(), Name: o.GetName()}
}

// String reads "Deployment shop/web", with the namespace where there is one.
func (r Reference) String() string {
	if r.Namespace == "" {
		return r.Kind + " " + r.Name
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

func (r Reference) kind() schema.GroupVersionKind {
	return schema.GroupVersionKind{Group: r.Group, Version: r.Version, Kind: r.Kind}
}

// identity is the same for the same object under every version of its kind.
func (r Reference) identity() Reference {
	r.Version = ""
	return r
}

func (r Reference) compare(other Reference) int {
	return cmp.Or(
		cmp.Compare(r.Namespace, other.Namespace), cmp.Compare(r.Group, other.Group),
		cmp.Compare(r.Kind, other.Kind), cmp.Compare(r.Name, other.Name), cmp.Compare(r.Version, other.Version))
}

func sorted(all []Reference) { slices.SortFunc(all, Reference.compare) }

// Stages are the steps in which kinds are applied, in order; Prune goes the
// other way.
type stage int

const (
	namespaces stage = iota
	definitions
	policies
	accounts
	settings
	services
	custom
	workloads
	scaling
	routes
	hooks
)

var stages = map[string]stage{
	"Namespace":                namespaces,
	"CustomResourceDefinition": definitions,
	"PriorityClass":            policies, "RuntimeClass": policies, "StorageClass": policies, "IngressClass": policies, "GatewayClass": policies,
	"ResourceQuota": policies, "LimitRange": policies, "NetworkPolicy": policies,
	"ServiceAccount": accounts, "ClusterRole": accounts, "ClusterRoleBinding": accounts, "Role": accounts, "RoleBinding": accounts,
	"ConfigMap": settings, "Secret": settings, "PersistentVolume": settings, "PersistentVolumeClaim": settings,
	"Service":    services,
	"Deployment": workloads, "StatefulSet": workloads, "DaemonSet": workloads, "ReplicaSet": workloads, "Pod": workloads,
	"Job": workloads, "CronJob": workloads, "Rollout": workloads,
	"HorizontalPodAutoscaler": scaling, "PodDisruptionBudget": scaling,
	"Gateway": routes, "Ingress": routes, "HTTPRoute": routes, "GRPCRoute": routes, "TLSRoute": routes, "TCPRoute": routes, "ReferenceGrant": routes,
	"APIService": hooks, "MutatingWebhookConfiguration": hooks, "ValidatingWebhookConfiguration": hooks,
	"ValidatingAdmissionPolicy": hooks, "ValidatingAdmissionPolicyBinding": hooks,
}

// stageOf is when an object is applied. Kinds that nobody here knows come before
// workloads, which may need what their controllers make of them.
func stageOf(kind string) stage {
	if s, ok := stages[kind]; ok {
		return s
	}
	return custom
}

// staged is the set by stage, and within one by namespace, kind and name.
func staged(objects []*unstructured.Unstructured) [][]*unstructured.Unstructured {
	all := make([][]*unstructured.Unstructured, hooks+1)
	for _, o := range objects {
		s := stageOf(o.GetKind())
		all[s] = append(all[s], o)
	}
	for _, in := range all {
		slices.SortFunc(in, func(a, b *unstructured.Unstructured) int { return ReferenceOf(a).compare(ReferenceOf(b)) })
	}
	return all
}

// unique refuses a set that names an object twice.
func unique(objects []*unstructured.Unstructured) error {
	seen := map[Reference]bool{}
	for _, o := range objects {
		r := ReferenceOf(o)
		if r.Kind == "" || r.Version == "" || r.Name == "" {
			return fmt.Errorf("an object without apiVersion, kind or metadata.name: %s", r)
		}
		if seen[r.identity()] {
			return fmt.Errorf("%s is in the set twice", r)
		}
		seen[r.identity()] = true
	}
	return nil
}
