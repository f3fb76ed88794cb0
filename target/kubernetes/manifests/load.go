package manifests

import (
	"fmt"
	"path/filepath"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
)

// Source is where objects come from: exactly one of the first three is given.
type Source struct {
	// Files is a file of YAML or JSON, or a folder of them.
	Files string
	// Kustomization is a folder with a kustomization.yaml.
	Kustomization string
	// Chart is a folder with a Chart.yaml, or a packed chart (.tgz).
	Chart string
	// Release and Namespace are what a chart's templates know as .Release.Name and
	// .Release.Namespace. A release's name is needed for a chart.
	Release, Namespace string
	// Values are files of values, of which a later one wins; Set are single values
	// in Helm's form, such as image.tag=1.4.2, which win over all files.
	Values, Set []string
	// Kubernetes is the version of the cluster, such as "v1.34.2", and APIs are the
	// groups and versions that it has, such as "autoscaling/v2" or
	// "autoscaling/v2/HorizontalPodAutoscaler": what a chart's templates know as
	// .Capabilities. Where they are empty, Helm's own defaults stand.
	Kubernetes string
	APIs       []string
}

// Set is what was loaded.
type Set struct {
	// Objects are all but hooks; definitions of a chart's crds/ come first.
	Objects []*unstructured.Unstructured
	// Hooks are a chart's hooks, by weight, then by the order in which Helm brings in
	// their kinds, then by name.
	Hooks []Hook
}

// Load reads a source. What is wrong with it is an error of usage that names the
// file and, where there is one, the line.
func Load(s Source) (Set, error) {
	given := 0
	for _, path := range []string{s.Files, s.Kustomization, s.Chart} {
		if path != "" {
			given++
		}
	}
	switch {
	case given != 1:
		return Set{}, deploy.Usage("name exactly one of a file or folder, a Kustomization, and a chart", "%d sources of manifests are named", given)
	case s.Chart != "":
		return chartSet(s)
	case s.Kustomization != "":
		objects, err := kustomized(filepath.Clean(s.Kustomization))
		return distinct(Set{Objects: objects}, err)
	}
	objects, err := files(filepath.Clean(s.Files))
	return distinct(Set{Objects: objects}, err)
}

// distinct refuses a set that names an object twice, and one that is empty.
func distinct(s Set, err error) (Set, error) {
	if err != nil {
		return Set{}, err
	}
	if len(s.Objects) == 0 {
		return Set{}, deploy.Usage("check the path, and the values of a chart", "there is no object in the manifests")
	}
	seen := map[string]bool{}
	for _, o := range s.Objects {
		key := fmt.Sprint(o.GroupVersionKind().GroupKind(), o.GetNamespace(), "/", o.GetName())
		if seen[key] {
			return Set{}, deploy.Usage("remove one of them, or give it another name", "%s is there twice", title(o))
		}
		seen[key] = true
	}
	return s, nil
}

// title names an object for people, in the form that the configuration takes.
func title(o *unstructured.Unstructured) string { return o.GetKind() + "/" + o.GetName() }
