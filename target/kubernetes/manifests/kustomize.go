package manifests

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/manifests/documents"
)

func isKustomization(name string) bool {
	return slices.Contains([]string{"kustomization.yaml", "kustomization.yml", "Kustomization"}, name)
}

// kustomized builds a Kustomization. Files are read below each Kustomization's
// own folder alone; no plugin is run; what is not on this machine is refused
// before the library could fetch it.
func kustomized(dir string) ([]*unstructured.Unstructured, error) {
	if err := (locals{}).check(dir); err != nil {
		return nil, err
	}
	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, deploy.Usage("kustomize build says the same of it", "build the Kustomization %s: %w", dir, err)
	}
	data, err := built.AsYaml()
	if err != nil {
		return nil, fmt.Errorf("build the Kustomization %s: %w", dir, err)
	}
	return documents.Read(dir+" (built)", data)
}

// locals proves that a Kustomization, and each that it includes, names nothing
// but what is on this machine.
type locals map[string]bool

// Which fields of a Kustomization name Kustomizations, files or objects written
// out, and which hold settings that name files.
var (
	includes = []string{"resources", "bases", "components", "generators", "transformers", "validators"}
	naming   = []string{"crds", "configurations", "patchesStrategicMerge", "patches", "patchesJson6902", "replacements", "openapi", "configMapGenerator", "secretGenerator"}
)

func (l locals) check(dir string) error {
	if l[dir] {
		return nil
	}
	l[dir] = true
	name, fields, err := kustomization(dir)
	if err != nil {
		return err
	}
	if _, ok := fields["helmCharts"]; ok {
		return deploy.Usage("name the chart itself", "%s has helmCharts, for which a program would be run", name)
	}
	for _, field := range includes {
		for _, path := range texts(fields[field], field) {
			if err := l.include(dir, path, name, field); err != nil {
				return err
			}
		}
	}
	for _, field := range naming {
		for _, path := range texts(fields[field], field) {
			if remote(path) {
				return elsewhere(name, field, path)
			}
		}
	}
	return nil
}

// include follows one entry: a file, a folder, an object written out, or nothing
// that is here.
func (l locals) include(dir, path, name, field string) error {
	if strings.Contains(path, "\n") {
		return settings(name, field, []byte(path))
	}
	at := filepath.Join(dir, path)
	info, err := os.Stat(at)
	switch {
	case remote(path) || err != nil:
		return elsewhere(name, field, path)
	case info.IsDir():
		return l.check(at)
	case field == "generators", field == "transformers", field == "validators":
		data, err := os.ReadFile(at)
		if err != nil {
			return fmt.Errorf("read %s: %w", at, err)
		}
		return settings(at, field, data)
	}
	return nil
}

// settings are those of generators and transformers, which may name files, too.
func settings(name, field string, data []byte) error {
	for _, fields := range documents.Maps(data) {
		for _, path := range texts(fields, field) {
			if remote(path) {
				return elsewhere(name, field, path)
			}
		}
	}
	return nil
}

func elsewhere(name, field, path string) error {
	return deploy.Usage("put it beside the Kustomization: nothing is fetched while a release is made",
		"%s: %s names %q, which is no file or folder here", name, field, path)
}

// remote reports whether a path would be fetched. Generators take KEY=PATH, too.
func remote(path string) bool {
	_, behind, _ := strings.Cut(path, "=")
	for _, p := range []string{path, behind} {
		if u, err := url.Parse(p); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
			return true
		}
	}
	return false
}

func kustomization(dir string) (name string, fields map[string]any, err error) {
	for _, name := range []string{"kustomization.yaml", "kustomization.yml", "Kustomization"} {
		path := filepath.Join(dir, name)
		data, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue
		}
		if err == nil {
			err = yaml.Unmarshal(data, &fields)
		}
		if err != nil {
			return "", nil, deploy.Usage("kustomize build says the same of it", "%s: %w", path, err)
		}
		return path, fields, nil
	}
	return "", nil, deploy.Usage("name the folder of a kustomization.yaml", "%s has no kustomization.yaml", dir)
}

// content are the fields whose strings are no paths.
var content = []string{"patch", "literals", "target", "options", "metadata", "annotations", "labels", "commonAnnotations", "value"}

// texts are all strings of a part of a document that may be paths.
func texts(v any, key string) []string {
	if slices.Contains(content, key) {
		return nil
	}
	var all []string
	switch v := v.(type) {
	case string:
		all = append(all, v)
	case []any:
		for _, item := range v {
			all = append(all, texts(item, key)...)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			all = append(all, texts(v[key], key)...)
		}
	}
	return all
}
