// Package usage measures what both versions need of a cluster, for the judge:
// restarts, CPU and memory of a replica.
//
// Restarts come from the status of pods. CPU and memory come from the cluster's
// metrics API (metrics.k8s.io), where one is installed. Where it is not, the
// kubelets can be asked through the API server, which takes a permission that
// is more than Slipway needs otherwise (get nodes/proxy), and hence is used only
// where somebody asks for it.
package usage
