// Package pods tells how the pods of one revision fare in a Kubernetes cluster:
// whether they are ready, have to be waited for, or will never be ready.
//
// Judge is pure: the status of one pod, the time and the limits come to a
// Verdict. Wait watches the pods of a revision, and the workload that makes
// them, until enough are ready or it is certain that they never will be. It
// does not poll: it lists once, and then a watch tells what changes.
package pods
