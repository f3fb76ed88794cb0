package objects

import (
	"crypto/sha256"
	"encoding/hex"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/slipway-ci/slipway/deploy"
)

// sha is long enough that no two secrets of an environment share it, and one
// character longer than a revision's ID, so that no name is of both.
func sha(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:13]
}

// ServiceAccount is what the pods run as; it has no rights, and its token is not
// mounted.
func (p Place) ServiceAccount() *corev1.ServiceAccount {
	return &corev1.ServiceAccount{
		TypeMeta:                     metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta:                   p.meta(p.Base(), p.Labels()),
		AutomountServiceAccountToken: ptr(false),
	}
}

// Entry is the Service for callers inside the cluster: it leads to the live
// revision, or to nobody.
func (p Place) Entry(revision string) *corev1.Service { return p.service(p.EntryName(), revision) }

// Fence is the NetworkPolicy that lets nobody in but to the app's port; nil
// where the environment asks for none.
func (p Place) Fence(r deploy.Revision) *networkingv1.NetworkPolicy {
	if !p.Cluster.Isolated {
		return nil
	}
	port, tcp := intstr.FromInt32(int32(r.Config.Port)), corev1.ProtocolTCP
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "NetworkPolicy"},
		ObjectMeta: p.meta(p.Name(r.ID), p.labelsOf(r)),
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{MatchLabels: p.Pods(r.ID)},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress: []networkingv1.NetworkPolicyIngressRule{{
				Ports: []networkingv1.NetworkPolicyPort{{Port: &port, Protocol: &tcp}},
			}},
		},
	}
}

// NamespaceObject is a namespace that Slipway makes for an environment of which
// it has the name.
func (p Place) NamespaceObject() *corev1.Namespace {
	return &corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{Name: p.Namespace, Labels: p.Labels()},
	}
}

// Host is the name that users ask for; empty without a gateway.
func (p Place) Host() string {
	if p.Cluster.Gateway == nil {
		return ""
	}
	return deploy.In(p.Environment, p.Cluster.Gateway.Host)
}
