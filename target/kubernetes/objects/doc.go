// Package objects says what slipway.yaml alone comes to in a Kubernetes cluster:
// names, labels and objects, with secure defaults. It is pure: it asks nobody.
//
// A revision is a Deployment of its own, with a Service and, where it has more
// than one replica, a PodDisruptionBudget. Nothing of it is changed once it is
// there but the number of replicas, so that going back means to point users
// somewhere else and never to start or configure anything anew. What all
// revisions of an environment share is a ServiceAccount without rights, a
// Service for callers inside the cluster, the route of a Gateway where one is
// named, and a NetworkPolicy on request.
package objects
