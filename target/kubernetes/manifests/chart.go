package manifests

import (
	"bytes"
	"cmp"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/ignore"
	"helm.sh/helm/v3/pkg/releaseutil"
	"helm.sh/helm/v3/pkg/strvals"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/slipway-ci/slipway/deploy"
	"github.com/slipway-ci/slipway/target/kubernetes/manifests/documents"
)

// Hook is an object that Helm would apply at an event, by its annotations.
type Hook struct {
	Object *unstructured.Unstructured
	// Events are such as "pre-upgrade" or "test"; Weight orders hooks of one event.
	Events []string
	Weight int
	// Delete are Helm's policies, such as "hook-succeeded".
	Delete []string
}

// The annotations by which Helm knows a hook.
const (
	hookEvents = "helm.sh/hook"
	hookWeight = "helm.sh/hook-weight"
	hookDelete = "helm.sh/hook-delete-policy"
)

// chartSet renders a chart, as a first install of it. Templates see no cluster:
// lookup finds nothing. NOTES.txt is left out.
func chartSet(s Source) (Set, error) {
	c, err := loadChart(filepath.Clean(s.Chart))
	if err != nil {
		return Set{}, err
	}
	rendered, err := render(c, s)
	if err != nil {
		return Set{}, err
	}
	var set Set
	for _, crd := range c.CRDObjects() {
		objects, err := documents.Read(crd.Filename, crd.File.Data)
		if err != nil {
			return Set{}, err
		}
		set.Objects = append(set.Objects, objects...)
	}
	for _, name := range slices.Sorted(maps.Keys(rendered)) {
		if strings.HasPrefix(path.Base(name), "_") || path.Base(name) == "NOTES.txt" {
			continue
		}
		objects, err := documents.Read(name+" (rendered)", []byte(rendered[name]))
		if err != nil {
			return Set{}, err
		}
		if err := set.add(objects); err != nil {
			return Set{}, err
		}
	}
	slices.SortStableFunc(set.Hooks, func(a, b Hook) int {
		return cmp.Or(cmp.Compare(a.Weight, b.Weight), cmp.Compare(kindOrder(a.Object), kindOrder(b.Object)), cmp.Compare(title(a.Object), title(b.Object)))
	})
	return distinct(set, nil)
}

// kindOrder is when Helm brings in objects of a kind: accounts and settings before
// Pods and Jobs. Kinds that it does not know come last.
func kindOrder(o *unstructured.Unstructured) int {
	i := slices.Index(releaseutil.InstallOrder, o.GetKind())
	if i < 0 {
		return len(releaseutil.InstallOrder)
	}
	return i
}

// add tells hooks from the rest.
func (s *Set) add(objects []*unstructured.Unstructured) error {
	for _, o := range objects {
		annotations := o.GetAnnotations()
		events := list(annotations[hookEvents])
		if len(events) == 0 {
			s.Objects = append(s.Objects, o)
			continue
		}
		weight := 0
		if text := strings.TrimSpace(annotations[hookWeight]); text != "" {
			var err error
			if weight, err = strconv.Atoi(text); err != nil {
				return deploy.Usage("a weight is a whole number in quotes", "%s: the annotation %s is %q", title(o), hookWeight, text)
			}
		}
		s.Hooks = append(s.Hooks, Hook{Object: o, Events: events, Weight: weight, Delete: list(annotations[hookDelete])})
	}
	return nil
}

// list divides an annotation at its commas.
func list(text string) []string {
	var all []string
	for _, part := range strings.Split(text, ",") {
		if part = strings.ToLower(strings.TrimSpace(part)); part != "" {
			all = append(all, part)
		}
	}
	return all
}

// loadChart reads a chart's files, all of them below its folder, or in its
// archive.
func loadChart(at string) (*chart.Chart, error) {
	files, err := chartFiles(at)
	if err != nil {
		return nil, deploy.Usage("name the folder of a Chart.yaml, or a packed chart", "read the chart %s: %w", at, err)
	}
	c, err := loader.LoadFiles(files)
	if err == nil {
		err = c.Validate()
	}
	if err != nil {
		return nil, deploy.Usage("helm lint says the same of it", "read the chart %s: %w", at, err)
	}
	if c.Metadata.Type == "library" {
		return nil, deploy.Usage("name the chart that uses it", "the chart %s is a library: there is nothing in it to deploy", at)
	}
	return c, complete(c, at)
}

// complete refuses a chart whose dependencies are not all in it.
func complete(c *chart.Chart, at string) error {
	for _, wanted := range c.Metadata.Dependencies {
		if !slices.ContainsFunc(c.Dependencies(), func(d *chart.Chart) bool { return d.Metadata.Name == wanted.Name }) {
			return deploy.Usage("run helm dependency build before the release: nothing is fetched while it is made",
				"the chart %s depends on %s %s, which is not in its folder charts/", at, wanted.Name, wanted.Version)
		}
	}
	return nil
}

func chartFiles(at string) ([]*loader.BufferedFile, error) {
	info, err := os.Stat(at)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return chartFolder(at)
	}
	archive, err := os.Open(at)
	if err != nil {
		return nil, err
	}
	defer archive.Close()
	return loader.LoadArchiveFiles(archive)
}

// chartFolder reads a folder as Helm does, by its .helmignore, but follows no
// link out of it.
func chartFolder(at string) ([]*loader.BufferedFile, error) {
	root, err := os.OpenRoot(at)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	rules := ignore.Empty()
	if text, err := root.ReadFile(ignore.HelmIgnore); err == nil {
		if rules, err = ignore.Parse(bytes.NewReader(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", ignore.HelmIgnore, err)
		}
	}
	rules.AddDefaults()
	var files []*loader.BufferedFile
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		info, err := root.Stat(name) // what a link leads to
		switch {
		case err != nil:
			return err
		case rules.Ignore(name, info) && entry.IsDir():
			return fs.SkipDir
		case rules.Ignore(name, info), info.IsDir():
			return nil
		case info.Size() > largest:
			return fmt.Errorf("%s has %d bytes, more than the %d that a file of a chart may have", name, info.Size(), largest)
		}
		data, err := root.ReadFile(name)
		files = append(files, &loader.BufferedFile{Name: name, Data: bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))})
		return err
	})
	return files, err
}

// render gives the text of each template, by its path in the chart.
func render(c *chart.Chart, s Source) (map[string]string, error) {
	if s.Release == "" {
		return nil, deploy.Usage("name one", "the chart %s needs the name of a release", s.Chart)
	}
	capabilities, err := capabilitiesOf(c, s)
	if err != nil {
		return nil, err
	}
	values, err := valuesOf(s)
	if err != nil {
		return nil, err
	}
	if err := chartutil.ProcessDependencies(c, values); err != nil {
		return nil, deploy.Usage("helm template says the same of it", "the chart %s: %w", s.Chart, err)
	}
	if err := offline(c); err != nil {
		return nil, err
	}
	all, err := chartutil.ToRenderValues(c, values, chartutil.ReleaseOptions{
		Name: s.Release, Namespace: s.Namespace, Revision: 1, IsInstall: true,
	}, capabilities)
	if err != nil {
		return nil, deploy.Usage("compare them with the chart's values.schema.json and values.yaml", "the values of the chart %s: %w", s.Chart, err)
	}
	rendered, err := new(engine.Engine).Render(c, all)
	if err != nil {
		return nil, deploy.Usage("helm template --debug shows what it comes to", "render the chart %s: %w", s.Chart, err)
	}
	return rendered, nil
}

func capabilitiesOf(c *chart.Chart, s Source) (*chartutil.Capabilities, error) {
	capabilities := chartutil.DefaultCapabilities.Copy()
	if s.Kubernetes != "" {
		version, err := chartutil.ParseKubeVersion(s.Kubernetes)
		if err != nil {
			return nil, deploy.Usage("a version is such as v1.34.2", "the version of Kubernetes %q: %w", s.Kubernetes, err)
		}
		capabilities.KubeVersion = *version
	}
	if len(s.APIs) > 0 {
		capabilities.APIVersions = s.APIs
	}
	if wanted := c.Metadata.KubeVersion; wanted != "" && !chartutil.IsCompatibleRange(wanted, capabilities.KubeVersion.Version) {
		return nil, deploy.Usage("take a version of the chart that is made for it",
			"the chart %s wants Kubernetes %s, and the cluster has %s", s.Chart, wanted, capabilities.KubeVersion.Version)
	}
	return capabilities, nil
}

// valuesOf are the values of all files and sets, the later over the earlier.
func valuesOf(s Source) (map[string]any, error) {
	all := map[string]any{}
	for _, name := range s.Values {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, deploy.Usage("name files of values that are there", "read values: %w", err)
		}
		fields, err := documents.Values(name, data)
		if err != nil {
			return nil, err
		}
		all = merged(all, fields)
	}
	for _, set := range s.Set {
		if err := strvals.ParseInto(set, all); err != nil {
			return nil, deploy.Usage("a value is set as KEY=VALUE, such as image.tag=1.4.2", "the value %q: %w", set, err)
		}
	}
	return all, nil
}

// merged is b over a, map by map. Null stays: it removes a chart's default.
func merged(a, b map[string]any) map[string]any {
	all := maps.Clone(a)
	for key, value := range b {
		below, ok := value.(map[string]any)
		if have, is := all[key].(map[string]any); ok && is {
			all[key] = merged(have, below)
			continue
		}
		all[key] = value
	}
	return all
}

var remoteSchema = regexp.MustCompile(`"\$ref"\s*:\s*"(https?:[^"]*)"`)

// offline refuses a schema of values for which the library would ask the
// network.
func offline(c *chart.Chart) error {
	for _, found := range remoteSchema.FindAllSubmatch(c.Schema, -1) {
		if !bytes.Contains(found[1], []byte("//json-schema.org/")) {
			return deploy.Usage("write it into the schema: nothing is fetched while a release is made",
				"values.schema.json of the chart %s refers to %s", c.Name(), found[1])
		}
	}
	for _, below := range c.Dependencies() {
		if err := offline(below); err != nil {
			return err
		}
	}
	return nil
}
