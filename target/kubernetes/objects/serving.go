package objects

import "maps"

// LabelServes is on every pod of a revision, and on no other: whether it gets
// users while the entry of its environment is shared by two revisions. A pod is
// made with ServesUsers, so that one that takes the place of another serves.
const (
	LabelServes  = "slipway.dev/serves"
	ServesUsers  = "users"
	ServesNobody = "nobody"
)

// AnnotationCost tells the cluster which pods it ends first when there are to be
// fewer: those that stand by.
// Source: kubernetes.io/docs/concepts/workloads/controllers/replicaset, "Pod deletion cost".
const AnnotationCost = "controller.kubernetes.io/pod-deletion-cost"

// Shared are the labels of the pods that get users while two revisions share them.
func (p Place) Shared() map[string]string {
	return map[string]string{LabelApp: p.App, LabelEnvironment: p.Environment, LabelServes: ServesUsers}
}

// Serving are the labels of a pod as it is made.
func Serving(set map[string]string) map[string]string {
	all := maps.Clone(set)
	all[LabelServes] = ServesUsers
	return all
}

// Leads are the labels of the pods that the entry of an environment sends users to:
// those of one revision, or those of two that serve.
func (p Place) Leads(t Traffic) map[string]string {
	if t.Shared() {
		return p.Shared()
	}
	return p.Pods(t.Pointed())
}

// Shared reports whether both revisions have users.
func (t Traffic) Shared() bool {
	return t.Live != "" && t.Candidate != "" && t.Share > 0 && t.Share < 100
}

// Pointed is the revision that a Service leads to where it does not split; empty
// where there is none.
func (t Traffic) Pointed() string {
	if t.Candidate != "" && t.Share == 100 {
		return t.Candidate
	}
	return t.Live
}
