package manifests

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/yaml"

	"github.com/slipway-ci/slipway/deploy"
)

// largest is how large a file of manifests may be, in bytes.
const largest = 16 << 20

// files reads a file, or all files below a folder that end in .yaml, .yml or
// .json, in the order of their names. Hidden files and folders are left out. A
// link that leads out of the folder is an error.
func files(path string) ([]*unstructured.Unstructured, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, deploy.Usage("name a file or folder that is there", "read manifests: %w", err)
	}
	dir, name := path, "."
	if !info.IsDir() {
		dir, name = filepath.Split(path)
		dir = filepath.Clean(dir)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("read manifests: %w", err)
	}
	defer root.Close()
	var all []*unstructured.Unstructured
	err = fs.WalkDir(root.FS(), name, func(at string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && at != "." && strings.HasPrefix(entry.Name(), "."):
			return fs.SkipDir
		case entry.IsDir(), at != name && (!manifest(at) || strings.HasPrefix(entry.Name(), ".")):
			return nil
		}
		objects, err := file(root, at, filepath.Join(dir, at))
		all = append(all, objects...)
		return err
	})
	if err != nil && !deploy.IsUsage(err) {
		err = fmt.Errorf("read manifests: %w", err)
	}
	return all, err
}

func manifest(path string) bool {
	switch strings.ToLower(filepath.Ext(path)) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

func file(root *os.Root, at, shown string) ([]*unstructured.Unstructured, error) {
	if isKustomization(filepath.Base(at)) {
		return nil, deploy.Usage("name the folder as a Kustomization", "%s makes its folder a Kustomization", shown)
	}
	info, err := root.Stat(at)
	if err != nil {
		return nil, err
	}
	if info.Size() > largest {
		return nil, deploy.Usage("divide it", "%s has %d bytes, more than the %d that a file of manifests may have", shown, info.Size(), largest)
	}
	data, err := root.ReadFile(at)
	if err != nil {
		return nil, err
	}
	return read(shown, data)
}

// document is a part of a file, and the number of the line before it.
type document struct {
	text   []byte
	before int
}

// documents divides a file at the lines that begin with "---".
func documents(data []byte) []document {
	all := []document{{}}
	for n, line := range bytes.SplitAfter(data, []byte("\n")) {
		if rest, ok := bytes.CutPrefix(line, []byte("---")); ok && (len(rest) == 0 || strings.ContainsRune(" \t\r\n", rune(rest[0]))) {
			all = append(all, document{before: n})
			line = append([]byte("   "), rest...)
		}
		last := &all[len(all)-1]
		last.text = append(last.text, line...)
	}
	return all
}

// read gives the objects of a file; name is how it is called in errors, each of
// which is one of usage.
func read(name string, data []byte) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	for _, d := range documents(data) {
		content, err := decode(d.text)
		if err != nil {
			return nil, mistake(name, lineOf(err, d), "%s", strings.TrimSpace(plainly(err)))
		}
		if content == nil {
			continue
		}
		objects, err := unfold(content)
		if err != nil {
			return nil, mistake(name, first(d), "%w", err)
		}
		all = append(all, objects...)
	}
	return all, nil
}

func mistake(name string, line int, format string, args ...any) error {
	return deploy.Usage("every document is one object of Kubernetes, or a list of them", "%s:%d: %w", name, line, fmt.Errorf(format, args...))
}

// decode gives a document's content, nil if it has none. Keys that are there
// twice are an error, and whole numbers are int64.
func decode(text []byte) (any, error) {
	data, err := yaml.YAMLToJSONStrict(text)
	if err != nil {
		return nil, err
	}
	var content any
	err = json.Unmarshal(data, &content)
	return content, err
}

var lineNumber = regexp.MustCompile(`(?:yaml: )?line (\d+): ?`)

// lineOf is the line of a file that the parser complains about.
func lineOf(err error, d document) int {
	if found := lineNumber.FindStringSubmatch(err.Error()); found != nil {
		if n, err := strconv.Atoi(found[1]); err == nil {
			return d.before + n
		}
	}
	return first(d)
}

// plainly is what the parser says, without its line, which is another one.
func plainly(err error) string {
	said := strings.ReplaceAll(err.Error(), "error converting YAML to JSON: ", "")
	said = strings.ReplaceAll(said, "yaml: unmarshal errors:\n", "")
	return strings.TrimPrefix(lineNumber.ReplaceAllString(said, ""), "yaml: ")
}

// first is the line on which a document's content begins.
func first(d document) int {
	for n, line := range bytes.Split(d.text, []byte("\n")) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
			return d.before + n + 1
		}
	}
	return d.before + 1
}

// unfold gives a document's objects: itself, or the items of a list.
func unfold(content any) ([]*unstructured.Unstructured, error) {
	fields, ok := content.(map[string]any)
	if !ok {
		return nil, errors.New("the document is no object")
	}
	kind, _ := fields["kind"].(string)
	if version, ok := fields["apiVersion"].(string); !ok || version == "" || kind == "" {
		return nil, errors.New("the object has no apiVersion or no kind")
	}
	items, ok := fields["items"].([]any)
	if !ok || !strings.HasSuffix(kind, "List") {
		o := &unstructured.Unstructured{Object: fields}
		return []*unstructured.Unstructured{o}, named(o)
	}
	var all []*unstructured.Unstructured
	for i, item := range items {
		fields, ok := item.(map[string]any)
		if !ok || strings.HasSuffix(fmt.Sprint(fields["kind"]), "List") {
			return nil, fmt.Errorf("item %d of the %s is no object", i, kind)
		}
		objects, err := unfold(item)
		if err != nil {
			return nil, fmt.Errorf("item %d of the %s: %w", i, kind, err)
		}
		all = append(all, objects...)
	}
	return all, nil
}

// named refuses what cannot be found again: an object needs a name that stays.
func named(o *unstructured.Unstructured) error {
	metadata, ok := o.Object["metadata"].(map[string]any)
	if !ok {
		return fmt.Errorf("the %s has no metadata", o.GetKind())
	}
	if name, ok := metadata["name"].(string); !ok || name == "" {
		if _, ok := metadata["generateName"]; ok {
			return fmt.Errorf("the %s has a generateName: it needs a metadata.name, so that the next release finds it", o.GetKind())
		}
		return fmt.Errorf("the %s has no metadata.name", o.GetKind())
	}
	for _, field := range []string{"labels", "annotations"} {
		if _, _, err := unstructured.NestedStringMap(o.Object, "metadata", field); metadata[field] != nil && err != nil {
			return fmt.Errorf("%s: metadata.%s must be strings; put numbers and true or false into quotes", title(o), field)
		}
	}
	if namespace, ok := metadata["namespace"]; ok && namespace != nil {
		if _, ok := namespace.(string); !ok {
			return fmt.Errorf("%s: metadata.namespace must be a string", title(o))
		}
	}
	return nil
}
