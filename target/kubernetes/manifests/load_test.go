package manifests

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/slipway-ci/slipway/deploy"
)

var update = flag.Bool("update", false, "write golden files anew")

const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

var shop = Source{Chart: "testdata/shop", Release: "prod", Namespace: "shops", Kubernetes: "v1.34.2"}

// golden compares what was loaded with what it came to before.
func golden(t *testing.T, name string, s Set) {
	t.Helper()
	var text bytes.Buffer
	for _, o := range s.Objects {
		dump(t, &text, o.Object, "")
	}
	for _, h := range s.Hooks {
		dump(t, &text, h.Object.Object, strings.Join(h.Events, ", "))
	}
	path := filepath.Join("testdata", "golden", name+".yaml")
	if *update {
		if err := os.WriteFile(path, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), text.String()); diff != "" {
		t.Error(diff)
	}
}

func dump(t *testing.T, to *bytes.Buffer, object map[string]any, hook string) {
	t.Helper()
	data, err := yaml.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	to.WriteString("---\n")
	if hook != "" {
		to.WriteString("# hook: " + hook + "\n")
	}
	to.Write(data)
}

func load(t *testing.T, s Source) Set {
	t.Helper()
	set, err := Load(s)
	if err != nil {
		t.Fatalf("%v\n%s", err, deploy.HintOf(err))
	}
	return set
}

func TestLoadsWhatPeopleHave(t *testing.T) {
	with := func(change func(*Source)) Source {
		s := shop
		change(&s)
		return s
	}
	values := write(t, "values.yaml", "autoscaling: {enabled: false}\nreplicas: 3\ncache: {enabled: false}\nmigrate: false\n")
	for name, s := range map[string]Source{
		"plain":           {Files: "testdata/plain"},
		"file":            {Files: "testdata/plain/worker.yml"},
		"kustomize":       {Kustomization: "testdata/kustomize/production"},
		"chart":           shop,
		"chart-values":    with(func(s *Source) { s.Values = []string{values}; s.Set = []string{"image.tag=1.4", "replicas=5"} }),
		"chart-old-apis":  with(func(s *Source) { s.Kubernetes = "1.28.0"; s.APIs = []string{"v1", "apps/v1"} }),
		"chart-ingresses": with(func(s *Source) { s.Set = []string{"ingress.enabled=true,ingress.host=shop.example.com"} }),
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, load(t, s)) })
	}
}

func TestAPackedChartIsTheSame(t *testing.T) {
	var packed bytes.Buffer
	zipped := gzip.NewWriter(&packed)
	archive := tar.NewWriter(zipped)
	err := fs.WalkDir(os.DirFS("testdata"), "shop", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		data, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			return err
		}
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data)), Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		_, err = archive.Write(data)
		return err
	})
	for _, close := range []func() error{archive.Close, zipped.Close} {
		if e := close(); e != nil && err == nil {
			err = e
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	s := shop
	s.Chart = write(t, "shop-0.3.0.tgz", packed.String())
	golden(t, "chart", load(t, s))
}

func TestHooksAreToldApart(t *testing.T) {
	set := load(t, shop)
	var said []string
	for _, h := range set.Hooks {
		said = append(said, title(h.Object)+": "+strings.Join(h.Events, " ")+"; "+strings.Join(h.Delete, " "))
	}
	want := []string{
		"ServiceAccount/migrate: pre-install pre-upgrade; ",
		"Pod/test: test; ",
		"Job/prod-shop-migrate: pre-install pre-upgrade; before-hook-creation hook-succeeded",
	}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
	if first := set.Objects[0].GetKind(); first != "CustomResourceDefinition" {
		t.Errorf("a %s comes first", first)
	}
}

// write makes a file of a name in a folder of its own.
func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// folder makes files below a folder, by their names.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// refused is what Load says to a source; it must be wrong usage, and say what to
// do.
func refused(t *testing.T, s Source) string {
	t.Helper()
	set, err := Load(s)
	if err == nil {
		t.Fatalf("loaded %d objects", len(set.Objects))
	}
	if !deploy.IsUsage(err) || deploy.HintOf(err) == "" {
		t.Errorf("no error of usage with a hint: %v", err)
	}
	return err.Error()
}

const settings1 = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"

func TestMistakesInFilesHaveFileAndLine(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"no YAML":             {settings1 + "---\nkind: [\n", "a.yaml:5: "},
		"a tab":               {settings1 + "---\napiVersion: v1\nkind: ConfigMap\ndata:\n\ta: b\n", "a.yaml:8: "},
		"a key twice":         {settings1 + "---\n" + settings1 + "kind: Secret\n", `a.yaml:8: key "kind" already set`},
		"no kind":             {"# a remark\n\napiVersion: v1\n", "a.yaml:3: the object has no apiVersion or no kind"},
		"no name":             {settings1 + "---\n\napiVersion: v1\nkind: Pod\nmetadata: {}\n", "a.yaml:6: the Pod has no metadata.name"},
		"a name not yet":      {"apiVersion: v1\nkind: Pod\nmetadata: {generateName: a-}\n", "a.yaml:1: the Pod has a generateName"},
		"a number as label":   {"apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {b: 1}}\n", "a.yaml:1: Pod/a: metadata.labels must be strings"},
		"a text":              {"just a text\n", "a.yaml:1: the document is no object"},
		"a list of no object": {"apiVersion: v1\nkind: List\nitems: [a]\n", "a.yaml:1: item 0 of the List is no object"},
		"a list in a list":    {"apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: List, items: []}]\n", "item 0 of the List is no object"},
		"twice":               {settings1 + "---\n" + settings1, "ConfigMap/a is there twice"},
		"nothing":             {"---\n# nothing\n", "there is no object in the manifests"},
	} {
		t.Run(name, func(t *testing.T) {
			if said := refused(t, Source{Files: write(t, "a.yaml", c.text)}); !strings.Contains(said, c.want) {
				t.Errorf("said %q, not %q", said, c.want)
			}
		})
	}
}

func TestSourcesThatAreWrong(t *testing.T) {
	outside := write(t, "secret.yaml", settings1)
	linked := folder(t, map[string]string{"b.yaml": settings1})
	chart := folder(t, map[string]string{"Chart.yaml": "apiVersion: v2\nname: a\nversion: 1.0.0\n"})
	for _, dir := range []string{linked, chart} {
		if err := os.Symlink(outside, filepath.Join(dir, "a.yaml")); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		s    Source
		want string
	}{
		"none":                    {Source{}, "0 sources"},
		"two":                     {Source{Files: "a", Chart: "b"}, "2 sources"},
		"no such file":            {Source{Files: "testdata/none"}, "no such file"},
		"a Kustomization as file": {Source{Files: "testdata/kustomize"}, "kustomization.yaml makes its folder a Kustomization"},
		"no Kustomization":        {Source{Kustomization: "testdata/plain"}, "has no kustomization.yaml"},
		"no chart":                {Source{Chart: "testdata/plain", Release: "a"}, "Chart.yaml"},
		"no chart at all":         {Source{Chart: "testdata/none", Release: "a"}, "no such file"},
		"a chart without release": {Source{Chart: "testdata/shop"}, "needs the name of a release"},
		"a chart with a link out": {Source{Chart: chart, Release: "a"}, "a.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			if said := refused(t, c.s); !strings.Contains(said, c.want) {
				t.Errorf("said %q, not %q", said, c.want)
			}
		})
	}
	t.Run("a file that is a link out", func(t *testing.T) {
		if set, err := Load(Source{Files: linked}); err == nil {
			t.Errorf("read %d objects", len(set.Objects))
		}
	})
}

func TestChartsThatAreWrong(t *testing.T) {
	const head = "apiVersion: v2\nname: a\nversion: 1.0.0\n"
	with := func(change func(*Source)) Source {
		s := shop
		change(&s)
		return s
	}
	small := func(files map[string]string) Source {
		if files["Chart.yaml"] == "" {
			files["Chart.yaml"] = head
		}
		return Source{Chart: folder(t, files), Release: "a"}
	}
	for name, c := range map[string]struct {
		s    Source
		want []string
	}{
		"values against the schema": {with(func(s *Source) { s.Set = []string{"replicas=0"} }), []string{"replicas", "minimum"}},
		"a value that is required":  {with(func(s *Source) { s.Set = []string{"ingress.enabled=true"} }), []string{"shop/templates/network.yaml:14", "ingress.host is needed"}},
		"a set that is none":        {with(func(s *Source) { s.Set = []string{"a[b"} }), []string{`the value "a[b"`}},
		"values that are none":      {with(func(s *Source) { s.Values = []string{write(t, "v.yaml", "a: 1\na: 2\n")} }), []string{"v.yaml:2: ", "already set"}},
		"no values":                 {with(func(s *Source) { s.Values = []string{"testdata/none.yaml"} }), []string{"read values", "no such file"}},
		"another Kubernetes":        {with(func(s *Source) { s.Kubernetes = "v1.20.0" }), []string{"wants Kubernetes >=1.27.0-0", "v1.20.0"}},
		"no version":                {with(func(s *Source) { s.Kubernetes = "new" }), []string{`"new"`}},
		"a template that is none":   {small(map[string]string{"templates/x.yaml": "a: {{ .Values.b"}), []string{"a/templates/x.yaml:1"}},
		"a function that fails":     {small(map[string]string{"templates/x.yaml": "\n\n{{ .Values.a.b.c }}"}), []string{"a/templates/x.yaml:3:"}},
		"what comes out is no YAML": {small(map[string]string{"templates/x.yaml": settings1 + "data: {a: {{ print \"{\" }}\n"}), []string{"a/templates/x.yaml (rendered):"}},
		"a dependency is missing":   {small(map[string]string{"Chart.yaml": head + "dependencies: [{name: db, version: 1.x, repository: 'https://charts.example.com'}]\n"}), []string{"depends on db 1.x"}},
		"a library":                 {small(map[string]string{"Chart.yaml": head + "type: library\n"}), []string{"is a library"}},
		"a weight that is none": {
			small(map[string]string{"templates/x.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: a, annotations: {helm.sh/hook: test, helm.sh/hook-weight: heavy}}\n"}),
			[]string{"Pod/a", `"heavy"`},
		},
		"a schema elsewhere": {
			small(map[string]string{"values.schema.json": `{"properties": {"a": {"$ref": "https://schemas.example.com/a.json"}}}`}),
			[]string{"refers to https://schemas.example.com/a.json"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			said := refused(t, c.s)
			for _, want := range c.want {
				if !strings.Contains(said, want) {
					t.Errorf("said %q, without %q", said, want)
				}
			}
		})
	}
}

func TestKustomizationsThatWouldFetchOrRunAreRefused(t *testing.T) {
	outside := write(t, "outside.txt", "secret")
	for name, text := range map[string]string{
		"a file at a URL":         "resources: ['https://example.com/a.yaml']",
		"a repository":            "resources: ['github.com/acme/shop//k8s?ref=main']",
		"a repository by SSH":     "components: ['git@github.com:acme/shop.git']",
		"a patch at a URL":        "patches: [{path: 'https://example.com/a.yaml'}]",
		"a patch of old at a URL": "patchesStrategicMerge: ['HTTPS://example.com/a.yaml']",
		"a file of a ConfigMap":   "configMapGenerator: [{name: a, files: ['a=https://example.com/a']}]",
		"a schema":                "openapi: {path: 'https://example.com/a'}",
		"a transformer":           "transformers: ['https://example.com/a']",
		"a transformer's patch":   "transformers: [\"apiVersion: builtin\\nkind: PatchTransformer\\nmetadata: {name: a}\\npath: https://example.com/a\\n\"]",
		"a chart":                 "helmCharts: [{name: a, repo: 'https://example.com'}]",
		"nothing that is here":    "resources: [none.yaml]",
		"a file above":            "configMapGenerator: [{name: a, files: ['" + outside + "']}]",
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, map[string]string{"kustomization.yaml": text + "\n"})
			said := refused(t, Source{Kustomization: dir})
			if strings.Contains(said, "dial") || strings.Contains(said, "lookup") {
				t.Errorf("the network was asked: %s", said)
			}
			if !strings.Contains(said, dir) {
				t.Errorf("it does not say where: %s", said)
			}
		})
	}
}
