// Package access opens the way to a Kubernetes cluster: it finds the kubeconfig,
// logs in (also to the large clouds, where their plugins are not installed), counts
// and bounds every request, and says which permissions are missing before anything
// changes.
package access
