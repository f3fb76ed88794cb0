package objects

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/slipway-ci/slipway/deploy"
)

// Manager is the field manager by which the cluster knows Slipway's writes.
const Manager = "slipway"

// The labels of all objects. App, Environment and Revision together select the
// pods of a revision: they are Slipway's own, so that they stand beside whatever
// labels a user's manifests have.
const (
	LabelApp         = "slipway.dev/app"
	LabelName        = "app.kubernetes.io/name"
	LabelInstance    = "app.kubernetes.io/instance"
	LabelVersion     = "app.kubernetes.io/version"
	LabelManagedBy   = "app.kubernetes.io/managed-by"
	LabelEnvironment = "slipway.dev/environment"
	LabelRevision    = "slipway.dev/revision"
)

// Place is one environment of one app in a namespace.
type Place struct {
	App, Environment, Namespace string
	Cluster                     deploy.Cluster
	// Front is what of a user's own brings users in; its zero value is what
	// Slipway makes itself.
	Front Front
}

// Front names the objects of a user's own manifests that bring users to the
// revisions. It is kept in the environment's ConfigMap, so that a process without
// the manifests knows it.
type Front struct {
	// Service is the one for callers in the cluster, Route the HTTPRoute; each is
	// empty where it is Slipway's own.
	Service string `json:"service,omitempty"`
	Route   string `json:"route,omitempty"`
	// Gateway is the one that the Route is attached to; nil without a Route.
	Gateway *deploy.Gateway `json:"gateway,omitempty"`
	// Rollout is the name of one of Argo Rollouts that moves users itself, and
	// Container the app's in its pods; both are empty where there is none.
	Rollout   string `json:"rollout,omitempty"`
	Container string `json:"container,omitempty"`
}

// With is the place with users' own objects in front. A gateway that slipway.yaml
// names goes over that of the route.
func (p Place) With(f Front) Place {
	p.Front = f
	if p.Cluster.Gateway == nil {
		p.Cluster.Gateway = f.Gateway
	}
	return p
}

// Preview reports whether the environment is that of a pull request, which comes and
// goes.
func (p Place) Preview() bool {
	_, is := deploy.PullRequestOf(p.Environment)
	return is
}

// HostWritten reports whether slipway.yaml itself names the host by which users come.
func (p Place) HostWritten() bool {
	g := p.Cluster.Gateway
	return g != nil && g != p.Front.Gateway && g.Host != ""
}

// EntryName is the name of the Service for callers in the cluster.
func (p Place) EntryName() string { return cmp.Or(p.Front.Service, p.Base()) }

// RouteName is the name of the HTTPRoute.
func (p Place) RouteName() string { return cmp.Or(p.Front.Route, p.Base()) }

// The longest names: a Service is a DNS label of 63 characters, and the cluster
// makes names of pods by what is left of their Deployment's after 57 and a dash.
// The ID of a revision, and the longer one of a baseline, go behind the name of
// their environment; names of pods begin with all of that, by which queries of
// metrics tell them apart.
const (
	maxName = 63
	maxBase = 57 - 1 - 12 - len(baselineEnd)
)

// baselineEnd is what IDs of baselines end with; see deploy.Revision.AsBaseline.
const baselineEnd = "-baseline"

// Base is the name of what all revisions share: app and environment. It begins
// with a letter, as names of Services do, and has 35 characters at most.
func (p Place) Base() string {
	name := p.App + "-" + p.Environment
	if name[0] >= '0' && name[0] <= '9' {
		name = "app-" + name
	}
	if len(name) <= maxBase {
		return name
	}
	sum := sha256.Sum256([]byte(name))
	return name[:maxBase-9] + "-" + hex.EncodeToString(sum[:4])
}

// Name is that of a revision's own objects.
func (p Place) Name(revision string) string { return p.Base() + "-" + revision }

// Own reports whether a name is that of the environment's Service, or of one of
// its revisions.
func (p Place) Own(name string) bool {
	if name == p.EntryName() {
		return true
	}
	rest, own := strings.CutPrefix(name, p.Base())
	if !own {
		return false
	}
	id, dashed := strings.CutPrefix(strings.TrimSuffix(rest, baselineEnd), "-")
	_, err := hex.DecodeString(id)
	return rest == "" || dashed && len(id) == 12 && err == nil
}

// State is the name of the ConfigMap with record and history, and of the Lease.
func (p Place) State() string { return p.Base() }

// Labels are those of everything in the environment.
func (p Place) Labels() map[string]string {
	return map[string]string{
		LabelApp: p.App, LabelName: p.App, LabelInstance: p.Base(), LabelManagedBy: Manager, LabelEnvironment: p.Environment,
	}
}

// labelsOf are those of a revision's objects.
func (p Place) labelsOf(r deploy.Revision) map[string]string {
	all := p.Labels()
	all[LabelRevision] = r.ID
	if v := deploy.TagOf(r.Image.Version); len(v) <= maxName {
		all[LabelVersion] = v
	}
	return all
}

// Select finds everything of the environment.
func (p Place) Select() string {
	return labels.Set{LabelApp: p.App, LabelEnvironment: p.Environment}.String()
}

// Pods are the labels by which a revision's pods are selected; none has those of
// an empty revision.
func (p Place) Pods(revision string) map[string]string {
	if revision == "" {
		revision = "none"
	}
	return map[string]string{LabelApp: p.App, LabelEnvironment: p.Environment, LabelRevision: revision}
}

// SelectPods finds the pods of a revision.
func (p Place) SelectPods(revision string) string { return labels.Set(p.Pods(revision)).String() }

func (p Place) meta(name string, set map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: p.Namespace, Labels: set}
}
