// Package manifests reads what people deploy with into objects: a file or
// folder of YAML, a Kustomization, or a Helm chart. It finds the workload, the
// service and the route of an app in them, and puts the app's image by digest.
//
// It reads files below the folder that it was given and nothing else: no
// network, no cluster, no program is run.
package manifests
